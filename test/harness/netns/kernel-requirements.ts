// What kernel tests, demo and bench need of the machine.
import { accessSync, constants } from 'node:fs';
import { release } from 'node:os';

const PROGRAMS = [
  ...['ip', 'nsenter', 'unshare', 'setpriv', 'conntrack', 'ethtool', 'perl', 'script', 'curl', 'socat'],
  ...['nft', 'iptables-nft', 'iptables-legacy', 'ip6tables-legacy'],
];

function isInstalled(program: string): boolean {
  return (process.env['PATH'] ?? '').split(':').some((folder) => {
    try {
      accessSync(`${folder}/${program}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Why kernel tests cannot run here, or undefined where they can. */
export function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'root is needed';
  const programs = PROGRAMS.filter((program) => !isInstalled(program));
  return programs.length > 0 ? `not installed: ${programs.join(', ')}` : undefined;
}

/**
 * Whether a kernel is of that series or a later one.
 * @param of its release, as uname -r prints it; this kernel's own
 */
export function isAtLeast(major: number, minor: number, of = release()): boolean {
  const [itsMajor = 0, itsMinor = 0] = of.split('.').map(Number);
  return itsMajor > major || (itsMajor === major && itsMinor >= minor);
}
