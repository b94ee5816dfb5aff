/** Ask on about the last answer, as long as the user is in the file that it was about. */

import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';

export const ASK = 'glossator.ask';

/** Commands whose answer is words, about which there can be further questions. */
const ANSWERING = new Set(['glossator.explain', ASK]);

let last: { readonly job: string; readonly uri: string } | undefined;

/** Remember which job answers, from what the server replied to a command. */
export function rememberJob(command: string, [target]: unknown[], begun: unknown): void {
  const uri = (target as { uri?: unknown } | undefined)?.uri;
  if (ANSWERING.has(command) && typeof uri === 'string' && isBegun(begun)) {
    last = { job: begun.job, uri };
  }
}

/** Say whether a question from the palette or a menu went on with the last answer; a selection begins anew. */
export async function askOn(given: unknown[], client: LanguageClient | undefined): Promise<boolean> {
  const editor = vscode.window.activeTextEditor;
  const fromAction = given.some((one) => typeof one === 'object' && one !== null && 'range' in one);
  if (fromAction || client === undefined || editor?.selection.isEmpty !== true) {
    return false;
  }
  const earlier = last;
  if (earlier === undefined || earlier.uri !== client.code2ProtocolConverter.asUri(editor.document.uri)) {
    return false;
  }
  const question = await vscode.window.showInputBox({
    prompt: 'What else do you want to know? (select code to ask about that instead)',
    title: 'Glossator: ask on',
    ignoreFocusOut: true,
  });
  if (question?.trim()) {
    const begun: unknown = await client.sendRequest('glossator/ask', { job: earlier.job, question: question.trim() });
    if (isBegun(begun)) {
      last = { ...earlier, job: begun.job };
    }
  }
  return true;
}

function isBegun(reply: unknown): reply is { job: string } {
  return typeof reply === 'object' && reply !== null && 'job' in reply && typeof reply.job === 'string';
}
