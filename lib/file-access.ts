// Whether a file of the system may be used.
import { accessSync } from 'node:fs';

/** @param mode of node:fs' constants, such as R_OK @returns false also where there is no such file */
export function allows(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return true;
  } catch {
    return false;
  }
}
