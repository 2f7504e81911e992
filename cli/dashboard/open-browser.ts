// Opens a page in the person's browser, where there is a screen to show it on.
import { spawn } from 'node:child_process';

/** Pure. @returns the program that opens a page; undefined where no browser would show */
export function browserOpener(
  platform: NodeJS.Platform,
  env: Record<string, string | undefined>,
): readonly string[] | undefined {
  if (platform === 'darwin') return ['open'];
  if (platform === 'win32') return ['explorer.exe'];
  return env['DISPLAY'] || env['WAYLAND_DISPLAY'] ? ['xdg-open'] : undefined;
}

/**
 * Apart from this process, and without a time limit: the program may be the browser itself, and stays when the command ends.
 * @param failed called where the program cannot be started
 */
export function openBrowser(
  [program = '', ...args]: readonly string[],
  url: string,
  failed: (why: string) => void,
): void {
  const child = spawn(program, [...args, url], { detached: true, stdio: 'ignore' });
  child.once('error', (error) => failed(error.message));
  child.unref();
}
