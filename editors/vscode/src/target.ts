/** What the user points at, for commands that come from the palette or a menu and not from a code action. */

import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';

/** The question for each command that needs words. */
const PROMPTS: Readonly<Record<string, string>> = {
  'glossator.refactor': 'How should this code be changed?',
  'glossator.ask': 'What do you want to know about this code?',
};

/** Commands about a place in a document. */
const PLACED = new Set(['glossator.explain', 'glossator.fix', 'glossator.refactor', 'glossator.ask', 'glossator.why']);

/** Return the arguments with place and words added where they are missing; undefined where the user changed their mind. */
export async function completeArguments(
  command: string,
  given: unknown[],
  client: LanguageClient | undefined,
): Promise<unknown[] | undefined> {
  if (!PLACED.has(command)) {
    return given;
  }
  // A menu of VS Code passes the resource that it was opened on; a code action of ours passes an object with its `uri`.
  const fromAction = given.find(isTarget);
  const target = fromAction ?? (await pointedAt(client));
  if (target === undefined) {
    await vscode.window.showInformationMessage('Glossator: open a file and put the cursor on some code first.');
    return undefined;
  }
  const prompt = PROMPTS[command];
  if (prompt === undefined || typeof target['instruction'] === 'string') {
    return [target];
  }
  const instruction = await vscode.window.showInputBox({ prompt, title: 'Glossator', ignoreFocusOut: true });
  return instruction?.trim() ? [{ ...target, instruction: instruction.trim() }] : undefined;
}

function isTarget(argument: unknown): argument is Record<string, unknown> {
  return typeof argument === 'object' && argument !== null && 'uri' in argument && typeof argument.uri === 'string';
}

async function pointedAt(client: LanguageClient | undefined): Promise<Record<string, unknown> | undefined> {
  const editor = vscode.window.activeTextEditor;
  if (editor === undefined || client === undefined) {
    return undefined;
  }
  const { document, selection } = editor;
  const touched = vscode.languages
    .getDiagnostics(document.uri)
    .filter((diagnostic) => diagnostic.range.intersection(selection) !== undefined);
  return {
    uri: client.code2ProtocolConverter.asUri(document.uri),
    version: document.version,
    range: client.code2ProtocolConverter.asRange(selection),
    diagnostics: await client.code2ProtocolConverter.asDiagnostics(touched),
  };
}
