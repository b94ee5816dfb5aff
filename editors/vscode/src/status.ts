/** How the server is: an item in the status bar, and the list from which the user picks who is asked first. */

import * as vscode from 'vscode';
import type { LanguageClient } from 'vscode-languageclient/node';

/** A provider as the server tells it; durations are in seconds. */
interface Provider {
  readonly name: string;
  readonly model: string;
  readonly local: boolean;
  readonly toy: boolean;
  readonly state: string;
  readonly health?: string;
  readonly p50?: number | null;
  readonly lastError?: string | null;
  readonly retryIn?: number;
  readonly dollarsToday?: number;
}

/** What `glossator/status` and `glossator/statusChanged` say. */
interface Status {
  readonly health?: string;
  readonly message?: string;
  readonly first?: string | null;
  readonly preferred?: string | null;
  readonly providers?: readonly Provider[];
  readonly groups?: Readonly<Record<string, readonly string[]>> | null;
}

export const SELECT = 'glossator.selectProvider';
const AUTOMATIC = 'automatic';

/** The item in the status bar; a click on it lets the user pick who is asked first. */
export class StatusItem implements vscode.Disposable {
  private readonly item = vscode.window.createStatusBarItem('glossator.status', vscode.StatusBarAlignment.Right, 50);

  constructor() {
    this.item.name = 'Glossator';
    this.item.command = SELECT;
  }

  /** Follow a server from its start on. */
  follow(client: LanguageClient): vscode.Disposable {
    this.show({});
    return client.onNotification('glossator/statusChanged', (status: Status) => {
      this.show(status);
    });
  }

  /** There is no server any more. */
  hide(): void {
    this.item.hide();
  }

  dispose(): void {
    this.item.dispose();
  }

  private show(status: Status): void {
    const warning = status.health === 'warning' || status.health === 'error';
    this.item.text = `${warning ? '$(warning)' : '$(comment-discussion)'} ${status.first ?? 'glossator'}`;
    // What a provider said last may stand here: text, and no Markdown that could hold a link.
    this.item.tooltip = [status.message ?? '', ...(status.providers ?? []).map(describe)].filter(Boolean).join('\n');
    this.item.show();
  }
}

/** Return the arguments of `glossator.selectProvider`: those given, or what the user picks; undefined where nothing is. */
export async function pickProvider(given: unknown[], client: LanguageClient | undefined): Promise<unknown[] | undefined> {
  if (given.length > 0 || client === undefined) {
    return given;
  }
  const status = await client.sendRequest<Status>('glossator/status', {});
  if (status.providers === undefined || status.providers.length === 0) {
    void vscode.window.showInformationMessage(`Glossator: ${status.message ?? 'no model is there'}`);
    return undefined;
  }
  const preferred = status.preferred ?? undefined;
  const mark = (name: string | undefined): string => (name === preferred ? '$(check) ' : '');
  const items = [
    { name: AUTOMATIC, label: `${mark(undefined)}Automatic`, description: 'as the strategy says' },
    ...status.providers.map((one) => ({
      name: one.name,
      label: `${mark(one.name)}${one.name}`,
      description: where(one),
      detail: standing(one),
    })),
    ...Object.entries(status.groups ?? {}).map(([name, members]) => ({
      name,
      label: `${mark(name)}${name}`,
      description: `group: ${members.join(', ')}`,
    })),
  ];
  const picked = await vscode.window.showQuickPick(items, {
    title: 'Glossator: who is asked first?',
    matchOnDescription: true,
  });
  return picked === undefined ? undefined : [picked.name];
}

function describe(provider: Provider): string {
  return `${provider.name} (${where(provider)}): ${standing(provider)}`;
}

function where(provider: Provider): string {
  const place = provider.toy ? 'toy model' : provider.local ? 'local' : 'cloud';
  return `${place}: ${provider.model || 'its own choice'}`;
}

function standing(provider: Provider): string {
  const words = [provider.state];
  if (provider.health !== undefined && provider.health !== 'unknown') {
    words.push(provider.health);
  }
  if (typeof provider.p50 === 'number') {
    words.push(`${provider.p50.toFixed(1)} s to the first token`);
  }
  if (provider.retryIn) {
    words.push(`rests for ${provider.retryIn.toFixed(0)} s`);
  }
  if (provider.lastError && provider.health !== 'up') {
    words.push(provider.lastError);
  }
  if (provider.dollarsToday) {
    words.push(`$${provider.dollarsToday.toFixed(2)} today`);
  }
  return words.join(', ');
}
