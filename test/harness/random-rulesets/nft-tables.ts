// Random native nftables tables, in nft's own language.
import { type NftFamily, type Place, randomNftRule } from './nft-rules.ts';
import type { Prng } from './prng.ts';

const PRIORITIES = [-310, -300, -300, -250, -199, -160, -150, -150, -149, 0, 0, 10, 50];
const FAMILIES = ['ip', 'ip6', 'inet', 'inet'] as const;
const SETS = [
  'set ports { type inet_service; flags interval; elements = { 22, 9001-9002 } }',
  'set fed { type inet_service; size 100; flags dynamic; }',
  'map decide { type inet_service : verdict; elements = { 9001 : drop, 9003 : accept } }',
];

/** Text for `nft -f`: one or two tables. */
export function randomNft(random: Prng): string {
  const families = random.some(1, 2, () => random.pick(random.chance(0.1) ? (['netdev'] as const) : FAMILIES));
  return families.map((family, i) => randomTable(random, family, `t${i}`)).join('');
}

function randomTable(random: Prng, family: NftFamily, name: string): string {
  const names = random.chance(0.3) ? ['base', 'other'] : ['base'];
  const chains = names.map((chain) => randomBaseChain(random, family, chain));
  const hooks = [...new Set(chains.map(({ hook }) => hook))];
  const place = { family, hook: hooks.length === 1 ? hooks[0] : undefined, sets: true };
  const sub = random.some(0, 3, () => randomNftRule(random, { ...place, chains: [] }));
  return [
    `table ${family} ${name} {`,
    ...(random.chance(0.06) ? ['flags dormant'] : []),
    ...SETS,
    `chain sub {\n${sub.join('\n')}\n}`,
    ...chains.map(({ text }) => text),
    '}',
    '',
  ].join('\n');
}

function randomBaseChain(
  random: Prng,
  family: NftFamily,
  name: string,
): { hook: NonNullable<Place['hook']>; text: string } {
  const hook = family === 'netdev' ? 'ingress' : random.pick(hooksOf(family));
  const device = hook === 'ingress' ? ` device ${random.pick(['eth0', 'lo'])}` : '';
  const priority = random.pick(PRIORITIES);
  const rules = random.some(0, 4, () => randomNftRule(random, { family, hook, chains: ['sub'], sets: true }));
  const policy = random.chance(0.03) ? 'drop' : 'accept';
  const type = `type filter hook ${hook}${device} priority ${priority}; policy ${policy};`;
  // A chain of type nat never sees the packet.
  const nat = `type nat hook prerouting priority -100; policy ${policy};`;
  const isNat = hook === 'prerouting' && random.chance(0.1);
  return { hook, text: `chain ${name} {\n${isNat ? nat : type}\n${(isNat ? ['accept'] : rules).join('\n')}\n}` };
}

function hooksOf(family: NftFamily) {
  const usual = ['prerouting', 'prerouting', 'input'] as const;
  const hooks = [...usual, ...usual, ...usual];
  return family === 'inet' ? [...hooks, 'ingress' as const] : hooks;
}
