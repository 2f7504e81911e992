// How the node agent enters a namespace: where programs run, whatever happens to the agent's own files meanwhile.
import { chmodSync, readFileSync, statSync } from 'node:fs';
import { EnteredNamespace } from '../../node-agent/guard/entered-namespace.ts';
import { ProgramSlots } from '../../node-agent/guard/program-slots.ts';
import { kernelTest } from '../harness/netns/netns-test.ts';
import { patient } from '../harness/netns/processes.ts';

const timeout = patient(10_000);

function enteredNamespace({ name }: { name: string }) {
  const path = `/run/netns/${name}`;
  const slots = new ProgramSlots(4);
  return new EnteredNamespace({ path, inode: statSync(path).ino }, { slots, procSysNet: '/proc/sys/net', timeout });
}

kernelTest(
  'a program that has just been started enters its own namespace, and none that is opened',
  async (t, pair) => {
    for (let turn = 0; turn < 10; turn++) {
      const [first, second] = [enteredNamespace(pair.pod), enteredNamespace(pair.gateway)];
      first.open();
      const running = first.run('readlink', ['/proc/self/ns/net'], { timeout });
      first.close();
      // Its file gets the number of the one that was closed.
      second.open();
      const { stdout } = await running;
      t.equal(stdout.trim(), `net:[${statSync(`/run/netns/${pair.pod.name}`).ino}]`);
      second.close();
    }
  },
);

kernelTest('where no child can enter, few are started', async (t, { pod }) => {
  const path = process.env['PATH'] ?? '';
  const folder = t.testdir({ nsenter: `#!/bin/sh\necho >> "$0".started\nexit 1\n` });
  chmodSync(`${folder}/nsenter`, 0o755);
  process.env['PATH'] = `${folder}:${path}`;
  t.teardown(() => Object.assign(process.env, { PATH: path }));
  const namespace = enteredNamespace(pod);
  t.teardown(() => namespace.close());
  namespace.open();
  await t.rejects(namespace.makeVisible(), { code: 'NAMESPACE_UNSEEN' });
  t.equal(readFileSync(`${folder}/nsenter.started`, 'utf8'), '\n\n\n');
});
