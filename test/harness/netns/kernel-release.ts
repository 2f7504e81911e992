import { release } from 'node:os';

/** Whether a kernel is of that series or a later one. @param of its release, as uname -r prints it; this kernel's own */
export function isAtLeast(major: number, minor: number, of = release()): boolean {
  const [itsMajor = 0, itsMinor = 0] = of.split('.').map(Number);
  return itsMajor > major || (itsMajor === major && itsMinor >= minor);
}
