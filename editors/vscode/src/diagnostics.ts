/** Tell the server what all the other extensions found: hovers and commands carry no diagnostics of their own. */

import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';

const QUIET = 150; // milliseconds without a change
const LIMIT = 200; // diagnostics of one document

/** Begin to push diagnostics to whichever client runs. */
export function pushDiagnostics(client: () => LanguageClient | undefined): vscode.Disposable {
  const waiting = new Map<string, NodeJS.Timeout>();
  const subscription = vscode.languages.onDidChangeDiagnostics(({ uris }) => {
    for (const uri of uris) {
      const key = uri.toString();
      clearTimeout(waiting.get(key));
      waiting.set(
        key,
        setTimeout(() => {
          waiting.delete(key);
          void push(client(), uri);
        }, QUIET),
      );
    }
  });
  return new vscode.Disposable(() => {
    subscription.dispose();
    for (const timer of waiting.values()) {
      clearTimeout(timer);
    }
  });
}

async function push(client: LanguageClient | undefined, uri: vscode.Uri): Promise<void> {
  const document = vscode.workspace.textDocuments.find((open) => open.uri.toString() === uri.toString());
  if (client?.isRunning() !== true || document === undefined || !['file', 'untitled'].includes(uri.scheme)) {
    return;
  }
  const others = vscode.languages
    .getDiagnostics(uri)
    .filter((diagnostic) => diagnostic.source !== 'glossator')
    .sort((one, other) => one.severity - other.severity)
    .slice(0, LIMIT);
  await client.sendNotification('glossator/diagnostics', {
    textDocument: { uri: client.code2ProtocolConverter.asUri(uri), version: document.version },
    origin: 'editor',
    diagnostics: await client.code2ProtocolConverter.asDiagnostics(others),
  });
}
