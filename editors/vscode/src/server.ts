/** Find the server's program: the setting, else the PATH; never anything that lies in the workspace. */

import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import * as path from 'node:path';

export const INSTALL = 'uv tool install glossator';

/** Return the absolute path of the server, undefined where there is none. */
export async function findServer(
  setting: string,
  environment: NodeJS.ProcessEnv = process.env,
  platform: NodeJS.Platform = process.platform,
): Promise<string | undefined> {
  if (setting !== '') {
    return path.isAbsolute(setting) && (await isProgram(setting)) ? setting : undefined;
  }
  const names = platform === 'win32' ? ['glossator.exe', 'glossator.cmd'] : ['glossator'];
  for (const folder of (environment['PATH'] ?? environment['Path'] ?? '').split(path.delimiter)) {
    // A relative entry would mean the folder that happens to be open.
    if (!path.isAbsolute(folder)) {
      continue;
    }
    for (const name of names) {
      const candidate = path.join(folder, name);
      if (await isProgram(candidate)) {
        return candidate;
      }
    }
  }
  return undefined;
}

async function isProgram(candidate: string): Promise<boolean> {
  try {
    await access(candidate, constants.X_OK);
    return (await stat(candidate)).isFile();
  } catch {
    return false;
  }
}
