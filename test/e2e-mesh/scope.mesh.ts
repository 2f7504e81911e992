// What users set for a pod's sidecar: ports, start order, users.
import t from 'tap';
import { apply } from '../harness/cluster/kubectl.ts';
import { skipWithoutNode } from '../harness/cluster/node-side.ts';
import { askChecker, isInjected, waitReady } from '../harness/cluster/pod-status.ts';
import { install } from '../harness/cluster/webhook-installation.ts';
import { changeMesh } from '../harness/mesh/change-mesh.ts';
import { sendInvalid, startShaper } from '../harness/mesh/invalid-packets.ts';
import { meshNamespace, storeContainer, storePod } from '../harness/mesh/object-store.ts';

const skip = skipWithoutNode;
const READY_LIMIT = 180_000;

interface Scope {
  name: string;
  annotations?: Record<string, string>;
  spec?: Record<string, unknown>;
}

const traffic = (name: string) => `traffic.sidecar.istio.io/${name}`;
const SCOPES: Scope[] = [
  { name: 'exclude-other-port', annotations: { [traffic('excludeInboundPorts')]: '9001' } },
  { name: 'exclude-own-port', annotations: { [traffic('excludeInboundPorts')]: '9000,15099' } },
  { name: 'include-list', annotations: { [traffic('includeInboundPorts')]: '9000,9001' } },
  { name: 'include-other-port', annotations: { [traffic('includeInboundPorts')]: '9001' } },
  { name: 'include-none', annotations: { [traffic('includeInboundPorts')]: '' } },
  {
    name: 'outbound',
    annotations: { [traffic('excludeOutboundIPRanges')]: '10.96.0.0/16', [traffic('excludeOutboundPorts')]: '443' },
  },
  { name: 'exclude-interface', annotations: { [traffic('excludeInterfaces')]: 'net1' } },
  {
    name: 'hold-application',
    annotations: {
      'proxy.istio.io/config': '{"holdApplicationUntilProxyStarts":true}',
      'sidecar.istio.io/nativeSidecar': 'false',
    },
  },
  { name: 'run-as-user', spec: { securityContext: { runAsUser: 1000, runAsNonRoot: true } } },
  {
    name: 'app-as-1337',
    annotations: { [traffic('excludeInboundPorts')]: '9000' },
    spec: { containers: [storeContainer({ securityContext: { runAsUser: 1337 } })] },
  },
];

t.before(async () => {
  if (skip) return;
  await install();
  t.teardown(await startShaper());
});
t.teardown(() => (skip ? undefined : changeMesh({})));

for (const dataplane of ['init', 'cni'] as const) {
  t.test(dataplane, { skip }, async (t) => {
    await changeMesh({ dataplane });
    const namespace = await meshNamespace(t, true);
    await apply(...SCOPES.map(({ name, annotations, spec }) => storePod(namespace, name, annotations, spec)));
    for (const { name } of SCOPES) {
      await t.test(`${name}: Ready, guarded, and a real INVALID packet is dropped`, async (t) => {
        const pod = await waitReady(namespace, name, READY_LIMIT);
        t.ok(isInjected(pod));
        t.match(JSON.parse(await askChecker(namespace, name, '/selfcheck')), { guarded: true, ready: true });
        t.strictSame([...(await sendInvalid(pod)).values()], ['dropped', 'dropped']);
      });
    }
  });
}
