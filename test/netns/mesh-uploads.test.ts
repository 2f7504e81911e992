// The incident in the pods of every mesh: an upload with stray segments is reset without us and fine with us, in both modes;
// the checker answers at its port; and the mesh's rules are the same before, with us and after.

import { CHECKER_PORT } from '../../lib/contract.ts';
import { RULE } from '../../lib/netfilter/drop-rule.ts';
import type { Backend } from '../../lib/netfilter/model.ts';
import { MESH_SETUPS, type MeshSetup, withBackends } from '../harness/mesh-rules/mesh-setups.ts';
import { everyRule, meshTest } from '../harness/mesh-rules/mesh-test.ts';
import { makeGuard, startGuard } from '../harness/netns/guarded-namespace.ts';
import { ADDRESS, type NetworkNamespace, type Pair } from '../harness/netns/network-namespaces.ts';
import { startMeshOf, UPLOAD, upload } from '../harness/netns/redirected-upload.ts';
import { getPage, install, startChecker } from '../harness/netns/shipped-programs.ts';
import { countStrays, startStrays } from '../harness/netns/stray-segments.ts';

const EVERY = 50;
const LIBERAL = '/proc/sys/net/netfilter/nf_conntrack_tcp_be_liberal';
/** Reading iptables-legacy needs NET_RAW. */
const CAPABILITIES = { nft: ['NET_ADMIN'], legacy: ['NET_ADMIN', 'NET_RAW'] };

const pathOf = ({ name }: NetworkNamespace) => `/run/netns/${name}`;
const withoutOurs = (rules: string[]) => rules.filter((rule) => !rule.endsWith(`-A PREROUTING ${RULE.tcp}`));

/** What becomes of one upload a family; one word where it is the same for all. */
async function uploadEach(pair: Pair, { families }: MeshSetup): Promise<string> {
  const outcomes = new Set<string>();
  for (const family of families) {
    const before = await countStrays(pair.gateway);
    for (const { ok, error } of await upload(pair, family, UPLOAD, 1))
      outcomes.add(ok ? 'fine' : /ECONNRESET|EPIPE/.test(`${error}`) ? 'reset' : `${error}`);
    if ((await countStrays(pair.gateway)) === before) throw new Error('there were no stray segments');
  }
  return [...outcomes].join(' and ');
}

/** Takes out what is ours, as the node's agent does. */
async function withdrawFrom(t: Parameters<typeof makeGuard>[0], pod: NetworkNamespace): Promise<void> {
  await makeGuard(t, pathOf(pod)).guard.withdraw();
  await pod.must('tee', [LIBERAL], { input: '0\n' });
}

function uploadTest(setup: MeshSetup, backend: Backend): void {
  meshTest(setup, `uploads with stray segments, without us and in both modes (${backend})`, async (t, pair) => {
    const { pod, gateway } = pair;
    await startMeshOf(setup, pair, backend);
    const rules = await everyRule(pod);
    await startStrays(gateway, EVERY);
    const without = await uploadEach(pair, setup);
    t.equal(without, setup.dropsInvalid ? 'fine' : 'reset', 'without us');

    const installed = await install(pod, {}, CAPABILITIES[backend]);
    t.equal(installed.exitCode, 0, 'install');
    const action = setup.dropsInvalid ? 'left' : 'inserted';
    for (const family of setup.families) t.match(installed.family(family), { action }, family);
    const checker = await startChecker(pod, {}, CAPABILITIES[backend]);
    const inPodMode = await uploadEach(pair, setup);
    t.equal(inPodMode, 'fine', 'pod mode');
    for (const family of setup.families) {
      const host = family === 'ipv4' ? ADDRESS.pod.ipv4 : `[${ADDRESS.pod.ipv6}]`;
      const page = await getPage(gateway, `http://${host}:${CHECKER_PORT}/readyz`);
      t.equal(page.status, 200, `${family}: the checker answers`);
    }
    t.same(withoutOurs(await everyRule(pod)), rules, "install leaves the mesh's rules");
    await checker.stop();
    await withdrawFrom(t, pod);
    t.same(await everyRule(pod), rules, "withdrawal leaves the mesh's rules");

    const inNodeMode: string[] = [];
    for (const beLiberal of ['enabled', 'disabled'] as const) {
      const { guard } = await startGuard(t, pathOf(pod), { beLiberal });
      t.equal(guard.state.state, 'guarded', `the guard, be-liberal ${beLiberal}`);
      const outcome = await uploadEach(pair, setup);
      t.equal(outcome, 'fine', `node mode, be-liberal ${beLiberal}`);
      inNodeMode.push(outcome);
      t.same(withoutOurs(await everyRule(pod)), rules, "the guard leaves the mesh's rules");
      guard.stop();
      await withdrawFrom(t, pod);
      t.same(await everyRule(pod), rules, "its withdrawal leaves the mesh's rules");
    }
    const facts = [setup.title, `${setup.origin}, ${setup.version}`, backend, setup.families.join(' and ')];
    t.comment(`| ${[...facts, without, inPodMode, ...inNodeMode].join(' | ')} |`);
  });
}

for (const [setup, backend] of withBackends(MESH_SETUPS)) uploadTest(setup, backend);
