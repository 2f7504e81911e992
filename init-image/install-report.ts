// What an install has done, as log lines: the same ones of the init container and of the checker that installs.
import { errors } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import type { InstallResult } from '../lib/netfilter/installer.ts';
import { FAMILIES } from '../lib/netfilter/packet.ts';
import { unguardedClasses } from '../lib/netfilter/ruleset-check.ts';

/** The last line is `guarded`, or says of one class of interfaces why it is `not-guarded`. */
export function reportInstall(log: Log, { families, exemption, check, warnings, guarded }: InstallResult): void {
  for (const { code, message } of warnings) log('warn', 'warning', { code, message });
  for (const family of FAMILIES) {
    const { status } = check.families[family];
    log(families[family].action === 'failed' ? 'error' : 'info', 'family', { family, ...families[family], status });
  }
  log(exemption.action === 'failed' ? 'warn' : 'info', 'exemption', { ...exemption });
  for (const { family, interfaceClass, interface: name, reason } of unguardedClasses(check)) {
    const { code, message } = errors.NOT_GUARDED(family, interfaceClass, reason);
    log('error', 'not-guarded', { code, message, family, interface: name });
  }
  if (guarded) log('info', 'guarded', { message: 'INVALID TCP packets are dropped' });
}
