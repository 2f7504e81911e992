// A pod with the rules of another mesh, written by its own program in an init container: an upload with stray segments is
// reset without us, and fine in both modes.
import { dirname } from 'node:path';
import t from 'tap';
import { OPT_IN_LABEL } from '../../lib/contract.ts';
import { MESHES } from '../../lib/mesh/meshes.ts';
import { apply } from '../harness/cluster/kubectl.ts';
import { DROPS, guardedByAgent, installNodeMode, otherNode } from '../harness/cluster/node-agents.ts';
import { node, PodPrograms, podRuleset, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { barePod, isInjected, type Pod, waitReady } from '../harness/cluster/pod-status.ts';
import { meshContainers, uploadFrom } from '../harness/cluster/redirected-pod.ts';
import { plainNamespace } from '../harness/cluster/test-workloads.ts';
import { consulArguments, findRuleWriter } from '../harness/mesh-rules/rule-writers.ts';
import { countStrays, startStrays } from '../harness/netns/stray-segments.ts';

const skip = skipWithoutNode;
const MB = 1_000_000;
const EVERY = 20;
/** It has iptables, but not by its plain name, which Consul asks for: the script makes that, and runs what follows it. */
const IMAGE = process.env['INVALID_DROP_E2E_INIT_IMAGE'] ?? 'localhost/invalid-drop/init-image:0.1.0';
const RUN = `const { mkdirSync, symlinkSync } = require('node:fs');
mkdirSync('/links/bin');
for (const name of ['iptables', 'ip6tables']) symlinkSync('/usr/sbin/' + name + '-nft', '/links/bin/' + name);
const [program, ...args] = process.argv.slice(1);
const env = { PATH: '/links/bin:' + process.env.PATH };
process.exitCode = require('node:child_process').spawnSync(program, args, { env, stdio: 'inherit' }).status ?? 1;`;

t.before(() => installNodeMode());

/** As Consul's injector leaves a pod, with Consul's program mounted from the node. */
async function consulPod(namespace: string, name: string): Promise<Pod> {
  const program = await findRuleWriter('consul');
  const writer = {
    name: 'consul-connect-inject-init',
    image: IMAGE,
    imagePullPolicy: 'IfNotPresent',
    command: ['node', '-e', RUN, '/consul/consul', ...consulArguments()],
    securityContext: { runAsUser: 0, capabilities: { drop: ['ALL'], add: ['NET_ADMIN'] } },
    volumeMounts: [
      { name: 'program', mountPath: '/consul', readOnly: true },
      { name: 'links', mountPath: '/links' },
    ],
  };
  const { inboundPort: proxyPort, proxyUid } = MESHES.consul;
  const spec = {
    nodeName: node().nodeName,
    initContainers: [writer],
    containers: meshContainers({ proxyPort, proxyUid }),
    volumes: [
      { name: 'program', hostPath: { path: dirname(program), type: 'Directory' } },
      { name: 'links', emptyDir: {} },
    ],
  };
  await apply(barePod(namespace, name, spec));
  return waitReady(namespace, name);
}

t.test("Consul's own program writes the rules: reset without us, fine in both modes", { skip }, async (t) => {
  const without = await plainNamespace(t);
  const inPodMode = await plainNamespace(t, { [OPT_IN_LABEL]: 'pod' });
  const inNodeMode = await plainNamespace(t, { [OPT_IN_LABEL]: 'node' });
  await apply(barePod(without, 'sender', { nodeName: await otherNode() }));
  const [bare, injected, guarded] = await Promise.all([
    consulPod(without, 'store'),
    consulPod(inPodMode, 'store'),
    consulPod(inNodeMode, 'store'),
    waitReady(without, 'sender'),
  ]);
  await guardedByAgent(inNodeMode, 'store');
  t.equal(isInjected(bare), false, 'without us');
  t.equal(isInjected(injected), true, 'pod mode adds a container');
  t.equal(isInjected(guarded), false, 'node mode adds none');
  for (const [namespace, drops] of [
    [without, false],
    [inPodMode, true],
    [inNodeMode, true],
  ] as const) {
    const rules = await podRuleset(namespace, 'store');
    t.match(rules, /CONSUL_PROXY_INBOUND/);
    t.equal(DROPS.test(rules), drops, `a rule of ours: ${drops}`);
  }

  const sender = new PodPrograms(without, 'sender');
  await startStrays(sender, EVERY);
  for (const { ok, error } of await uploadFrom(sender, bare.status.podIP ?? '', 30 * MB, 3)) {
    t.equal(ok, false, 'reset without us');
    t.match(error, /ECONNRESET|EPIPE/);
  }
  for (const [mode, pod] of [
    ['pod mode', injected],
    ['node mode', guarded],
  ] as const) {
    const before = await countStrays(sender);
    for (const { ok, error } of await uploadFrom(sender, pod.status.podIP ?? '', 30 * MB, 5))
      t.equal(ok, true, error ?? `${mode}: fine`);
    t.ok((await countStrays(sender)) > before, `${mode}: there were stray segments`);
  }
});
