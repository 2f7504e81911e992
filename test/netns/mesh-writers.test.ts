// What the rule writers of other meshes put into a pod, and whether rules that are rebuilt are those of the programs.
import { MESHES } from '../../lib/mesh/meshes.ts';
import { linkerdRules } from '../harness/mesh-rules/linkerd-rules.ts';
import { MESH_SETUPS } from '../harness/mesh-rules/mesh-setups.ts';
import { everyRule, meshTest } from '../harness/mesh-rules/mesh-test.ts';
import { addPair, type NetworkNamespace } from '../harness/netns/network-namespaces.ts';

for (const setup of MESH_SETUPS) {
  meshTest(setup, "its rules redirect to the mesh's port, in both backends", async (t, { pod }) => {
    for (const backend of ['nft', 'legacy'] as const) {
      await setup.redirect(pod, backend);
      const rules = await everyRule(pod);
      for (const family of ['ipv4', 'ipv6'] as const) {
        const program = `${family === 'ipv4' ? 'iptables' : 'ip6tables'}-${backend}-save `;
        const ofFamily = rules.filter((line) => line.startsWith(program)).join('\n');
        if (!setup.families.includes(family)) {
          t.equal(ofFamily, '', `${backend}, ${family}`);
          continue;
        }
        const { inboundPort, proxyUid } = MESHES[setup.mesh];
        t.match(ofFamily, new RegExp(`-j REDIRECT --to-ports ${inboundPort}\\b`), `${backend}, ${family}: port`);
        t.match(ofFamily, new RegExp(`--uid-owner ${proxyUid}\\b`), `${backend}, ${family}: uid`);
      }
    }
  });
}

const lastModule = MESH_SETUPS.find(({ mesh, origin }) => mesh === 'linkerd' && origin === 'run');
if (!lastModule) throw new Error('no such setup');

meshTest(lastModule, 'the rules that are rebuilt for later versions are the same', async (t, { pod }) => {
  const other = await addPair();
  t.teardown(() => other.remove());
  await lastModule.redirect(pod, 'nft');
  await other.pod.must('iptables-nft-restore', ['--noflush'], { input: linkerdRules() });
  // 1.6.2 adds the time to each comment.
  const withoutTime = async (of: NetworkNamespace) =>
    (await everyRule(of)).map((line) => line.replace(/(proxy-init\/[^" ]+)\/\d+/, '$1'));
  t.same(await withoutTime(other.pod), await withoutTime(pod));
});
