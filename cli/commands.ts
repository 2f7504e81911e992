// The commands of `kubectl invalid-drop`, in the order of --help.
import type { Command } from './cli-command.ts';
import { versionCommand } from './version-command.ts';

export const COMMANDS: readonly Command[] = [versionCommand];
