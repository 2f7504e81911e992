// The commands of `kubectl invalid-drop`, in the order of --help.
import type { Command } from './cli-command.ts';
import { guardCommand } from './guard/guard-command.ts';
import { versionCommand } from './version-command.ts';

export const COMMANDS: readonly Command[] = [guardCommand, versionCommand];
