// Kernel tests of one mesh's rules.
import type { Test } from 'tap';
import { hasGo } from '../../../tools/cluster/build-program.ts';
import { missing } from '../netns/kernel-requirements.ts';
import { kernelTest } from '../netns/netns-test.ts';
import type { NetworkNamespace, Pair } from '../netns/network-namespaces.ts';
import type { MeshSetup } from './mesh-setups.ts';

const noGo = (await hasGo()) ? undefined : 'Go is missing: the rule writers of other meshes are built from Go modules';

/** As kernelTest, where the mesh's rules can be written. */
export function meshTest(setup: MeshSetup, name: string, body: (t: Test, pair: Pair) => Promise<void>): void {
  kernelTest(`${setup.title}: ${name}`, body, missing() ?? (setup.origin === 'run' ? noGo : undefined));
}

const PROGRAMS = ['iptables', 'ip6tables'].flatMap((name) => [`${name}-nft-save`, `${name}-legacy-save`]);

/** Every rule of iptables in the pod, each with its table and the program that printed it. */
export async function everyRule(pod: NetworkNamespace): Promise<string[]> {
  const saved = await Promise.all(PROGRAMS.map((program) => pod.must(program)));
  return saved.flatMap((text, i) => {
    let table = '';
    return text.split('\n').flatMap((line) => {
      if (line.startsWith('*')) table = line.slice(1);
      return line.startsWith('-A') ? [`${PROGRAMS[i]} ${table} ${line}`] : [];
    });
  });
}
