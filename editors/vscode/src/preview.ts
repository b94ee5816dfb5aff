/** Show what the server explains as a page beside the code, not as its Markdown source. */

import * as vscode from 'vscode';
import type { ShowDocumentRequest } from 'vscode-languageclient/node';

/** The scheme of the server's own documents. */
const SCHEME = 'glossator';

/** VS Code's own preview as an editor: unlike the command that opens one, it leaves the focus where it is. */
const PREVIEW = 'vscode.markdown.preview.editor';

/** Show a document of the server in VS Code's preview, which follows its changes. */
export const showPreview: ShowDocumentRequest.MiddlewareSignature = async (params, token, next) => {
  const uri = vscode.Uri.parse(params.uri);
  if (uri.scheme === SCHEME) {
    try {
      await vscode.commands.executeCommand('vscode.openWith', uri, PREVIEW, {
        viewColumn: vscode.ViewColumn.Beside,
        preserveFocus: params.takeFocus !== true,
        preview: true,
      });
      return { success: true };
    } catch {
      // The user has switched VS Code's own Markdown extension off: the source can be read too.
    }
  }
  return next(params, token);
};
