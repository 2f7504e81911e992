// The commands of `kubectl invalid-drop`, in the order of --help.
import type { Command } from './cli-command.ts';
import { completionCommand } from './completion/completion-command.ts';
import { coverageCommand } from './coverage-command.ts';
import { dashboardCommand } from './dashboard/dashboard-command.ts';
import { explainCommandDefinition } from './explain/explain-command.ts';
import { guardCommand } from './guard/guard-command.ts';
import { preflightCommand } from './preflight/preflight-command.ts';
import { statusCommand } from './status/status-command.ts';
import { versionCommand } from './version-command.ts';

export const COMMANDS: readonly Command[] = [
  preflightCommand,
  statusCommand,
  coverageCommand,
  guardCommand,
  explainCommandDefinition,
  dashboardCommand,
  completionCommand,
  versionCommand,
];
