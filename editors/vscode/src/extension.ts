/** Start the server, put its commands into menus, and tell it what the editor knows; everything else is the server's. */

import * as os from 'node:os';
import * as vscode from 'vscode';
import {
  CloseAction,
  ErrorAction,
  LanguageClient,
  State,
  type ClientCapabilities,
  type LanguageClientOptions,
  type StaticFeature,
} from 'vscode-languageclient/node';

import { ASK, askOn, rememberJob } from './conversation';
import { pushDiagnostics } from './diagnostics';
import { showPreview } from './preview';
import { findServer, INSTALL } from './server';
import { pickProvider, SELECT, StatusItem } from './status';
import { completeArguments } from './target';

/** Editors have documents of many schemes, chat boxes among them: only these are ours. */
const SELECTOR = [{ scheme: 'file' }, { scheme: 'untitled' }];

/** What the server is told once, when it starts. */
const AT_START = ['path', 'arguments', 'edits.confirm', 'privacy.private', 'privacy.never'];

const OUTCOME_SHOWN = 15_000; // milliseconds

let client: LanguageClient | undefined;

export async function activate(context: vscode.ExtensionContext): Promise<void> {
  const output = vscode.window.createOutputChannel('Glossator', { log: true });
  const item = new StatusItem();
  const restart = async (): Promise<void> => {
    item.hide();
    await stop();
    await start(output, item);
  };
  context.subscriptions.push(
    output,
    item,
    vscode.commands.registerCommand('glossator.restart', restart),
    vscode.workspace.onDidGrantWorkspaceTrust(restart),
    vscode.workspace.onDidChangeConfiguration(async (event) => {
      if (AT_START.some((name) => event.affectsConfiguration(`glossator.${name}`))) {
        await restart();
      }
    }),
    pushDiagnostics(() => client),
  );
  await start(output, item);
}

export async function deactivate(): Promise<void> {
  await stop();
}

async function start(output: vscode.LogOutputChannel, item: StatusItem): Promise<void> {
  const settings = vscode.workspace.getConfiguration('glossator');
  const program = await findServer(settings.get<string>('path', ''));
  if (program === undefined) {
    await reportMissing(settings.get<string>('path', ''));
    return;
  }
  const options: LanguageClientOptions = {
    documentSelector: SELECTOR,
    outputChannel: output,
    initializationOptions: { trusted: vscode.workspace.isTrusted, ...ofTheUser(settings) },
    // What a model wrote is shown: no links that run commands, no raw HTML.
    markdown: { isTrusted: false, supportHtml: false },
    errorHandler: {
      error: () => ({ action: ErrorAction.Continue }),
      closed: () => ({
        action: CloseAction.DoNotRestart,
        message: 'The Glossator server ended; your text was not touched. “Glossator: Restart the Server” starts it again.',
      }),
    },
    middleware: {
      executeCommand: async (command, given, next) => {
        if (command === ASK && (await askOn(given, client))) {
          return undefined;
        }
        const complete = await (command === SELECT ? pickProvider(given, client) : completeArguments(command, given, client));
        if (complete === undefined) {
          return undefined;
        }
        const begun: unknown = await next(command, complete);
        rememberJob(command, complete, begun);
        return begun;
      },
      handleWorkDoneProgress: (token, params, next) => {
        if (params.kind === 'end' && params.message) {
          // VS Code drops these last words, and they say what a checker said of a fix.
          vscode.window.setStatusBarMessage(`Glossator: ${params.message}`, OUTCOME_SHOWN);
        }
        next(token, params);
      },
      window: { showDocument: showPreview },
    },
  };
  const server = {
    command: program,
    args: settings.get<string[]>('arguments', ['serve']),
    // Not the workspace: nothing that lies there may be picked up by the program.
    options: { cwd: os.homedir() },
  };
  client = new LanguageClient('glossator', 'Glossator', server, options);
  client.registerFeature(extensionFeature);
  client.onDidChangeState(({ newState }) => {
    if (newState === State.Stopped) {
      item.hide();
    }
  });
  item.follow(client);
  try {
    await client.start();
  } catch (problem) {
    item.hide();
    output.error(`The server did not start: ${String(problem)}`);
    client = undefined;
  }
}

/** The user's own settings without the workspace's: those arrive by `workspace/configuration`, and may only be stricter. */
function ofTheUser(settings: vscode.WorkspaceConfiguration): object {
  const own = (name: string): unknown => settings.inspect(name)?.globalValue;
  return {
    edits: { confirm: own('edits.confirm') },
    privacy: { private: own('privacy.private') ?? [], never: own('privacy.never') ?? [] },
  };
}

async function stop(): Promise<void> {
  const running = client;
  client = undefined;
  if (running?.needsStop()) {
    await running.stop();
  }
}

async function reportMissing(path: string): Promise<void> {
  const message =
    path === ''
      ? `Glossator: its server is not on the PATH. Install it: ${INSTALL}`
      : `Glossator: there is no program at ${path}, the setting glossator.path.`;
  const chosen = await vscode.window.showErrorMessage(message, 'Copy the command', 'Open the setting');
  if (chosen === 'Copy the command') {
    await vscode.env.clipboard.writeText(INSTALL);
  } else if (chosen === 'Open the setting') {
    await vscode.commands.executeCommand('workbench.action.openSettings', 'glossator.path');
  }
}

/** What this extension adds to the protocol. Streams are not asked for: VS Code shows the server's virtual document. */
const extensionFeature: StaticFeature = {
  fillClientCapabilities(capabilities: ClientCapabilities): void {
    const others = (capabilities.experimental ?? {}) as Record<string, unknown>;
    capabilities.experimental = { ...others, glossator: { version: 1, diagnostics: true, status: true, ui: 'vscode' } };
  },
  initialize(): void {},
  getState() {
    return { kind: 'static' };
  },
  clear(): void {},
};
