// Guards the namespace of its first argument with the /proc/sys/net of its second, prints each state and log line, and ends
// when its input does. For tests that limit what it may do.
import { statSync } from 'node:fs';
import { NamespaceGuard } from '../../../node-agent/guard/namespace-guard.ts';
import { ProgramSlots } from '../../../node-agent/guard/program-slots.ts';
import { shareRulesets } from '../../../node-agent/guard/shared-rulesets.ts';

const [, , path = '', procSysNet = ''] = process.argv;
const print = (value: unknown) => process.stdout.write(`${JSON.stringify(value)}\n`);
const guard = new NamespaceGuard(
  { path, inode: statSync(path).ino },
  { mode: 'enforce', protocol: 'tcp', onDrift: 'repair', rescue: 'enabled', beLiberal: 'enabled' },
  {
    log: (level, event, details) => print({ level, event, ...details }),
    onChange: print,
    commandTimeout: 10_000,
    interval: 1000,
    procSysNet,
    slots: new ProgramSlots(4),
    keeping: shareRulesets(),
    environment: process.env,
  },
);
process.stdin.on('end', () => guard.stop()).resume();
await guard.start();
print({ event: 'report', ...guard.report() });
