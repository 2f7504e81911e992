import t from 'tap';
import { describeRuleset, findInvalidRules } from '../../../init-image/explain/evidence.ts';
import { describeRedirection, redirectionText } from '../../../init-image/explain/redirection.ts';
import { errors } from '../../../lib/errors.ts';
import type { Family } from '../../../lib/netfilter/packet.ts';
import { parseRuleset } from '../../../lib/netfilter/ruleset.ts';
import { DROP_FROM_1_24, DROP_TO_1_23, redirectRules, tproxyRules } from '../../harness/netns/istio-rules.ts';
import { checkOf, legacySnapshot } from '../../lib/netfilter/made-checks.ts';
import { listing, match, meta, payload, prerouting, saved, table } from '../../lib/netfilter/ruleset-dumps.ts';
import { asSaved } from './made-evidence.ts';

const legacy = (text: string) => parseRuleset({ legacySave: { ipv4: text, ipv6: text } });
const meshOf = (text: string, family: Family = 'ipv4') => describeRedirection(legacy(text), family, 'eth0');
const NAT_CHAINS = [':ISTIO_INBOUND - [0:0]', ':ISTIO_IN_REDIRECT - [0:0]'];
const TO_PROXY = '-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006';
const ENTER = '-A PREROUTING -p tcp -j ISTIO_INBOUND';

t.test('REDIRECT is told with the proxy and the ports that are excluded, in both families', async (t) => {
  for (const family of ['ipv4', 'ipv6'] as const) {
    const mesh = meshOf(asSaved(redirectRules(family, '22,8000')), family);
    t.match(mesh, { mode: 'REDIRECT', mesh: 'istio', native: false, proxyPorts: [15006] });
    t.equal(
      redirectionText(mesh),
      'REDIRECT to 15006 (Istio); ports redirected: all but 22, 8000, 15008, 15020-15021, 15090',
    );
  }
});

t.test('a list of included ports is told as that list', async (t) => {
  const rules = ['9000', '9100:9200'].map(
    (ports) => `-A ISTIO_INBOUND -p tcp -m tcp --dport ${ports} -j ISTIO_IN_REDIRECT`,
  );
  t.match(
    redirectionText(meshOf(saved('nat', ...NAT_CHAINS, TO_PROXY, ENTER, ...rules))),
    /redirected: 9000, 9100-9200$/,
  );
});

t.test('TPROXY is told, and what conntrack has to do with it is not in the way of a new connection', async (t) => {
  const mesh = meshOf(asSaved(tproxyRules('ipv4')));
  t.equal(redirectionText(mesh), 'TPROXY to 15006 (Istio); ports redirected: all but 15020-15021, 15090');
});

t.test("Istio's native nftables mode is told by its tables", async (t) => {
  const rules = [
    [match(payload('tcp', 'dport'), 15020), { return: null }],
    [match(meta('l4proto'), 'tcp'), { counter: { packets: 0, bytes: 0 } }, { redirect: { port: 15006 } }],
  ];
  const chain = prerouting(rules, { type: 'nat', prio: -100 });
  const ruleset = parseRuleset({ nft: listing(table('inet', 'istio-proxy-nat', [chain])) });
  const text = redirectionText(describeRedirection(ruleset, 'ipv4', 'eth0'));
  t.equal(text, 'REDIRECT to 15006 (Istio, native nftables); ports redirected: all but 15020');
});

t.test('the mesh whose rules redirect is told by its chains, as its sources have them', async (t) => {
  const [linkerd, kuma, consul, osm, ambient] = [
    [
      ':PROXY_INIT_REDIRECT - [0:0]',
      '-A PREROUTING -m comment --comment "proxy-init/install-proxy-init-prerouting" -j PROXY_INIT_REDIRECT',
      '-A PROXY_INIT_REDIRECT -p tcp -m multiport --dports 4190,4191,15099 -m comment --comment "proxy-init/ignore-port-4190,4191,15099" -j RETURN',
      '-A PROXY_INIT_REDIRECT -p tcp -m comment --comment "proxy-init/redirect-all-incoming-to-proxy-port" -j REDIRECT --to-ports 4143',
    ],
    [
      ...[':KUMA_MESH_INBOUND - [0:0]', ':KUMA_MESH_INBOUND_REDIRECT - [0:0]'],
      '-A PREROUTING -p tcp -m comment --comment "kuma/mesh/transparent/proxy/a" -j KUMA_MESH_INBOUND',
      '-A KUMA_MESH_INBOUND -p tcp -m comment --comment "kuma/mesh/transparent/proxy/b" -j KUMA_MESH_INBOUND_REDIRECT',
      '-A KUMA_MESH_INBOUND_REDIRECT -p tcp -m comment --comment "kuma/mesh/transparent/proxy/c" -j REDIRECT --to-ports 15006',
    ],
    [
      ...[':CONSUL_PROXY_INBOUND - [0:0]', ':CONSUL_PROXY_IN_REDIRECT - [0:0]'],
      '-A PREROUTING -p tcp -j CONSUL_PROXY_INBOUND',
      '-A CONSUL_PROXY_INBOUND -p tcp -m tcp --dport 15099 -j RETURN',
      '-A CONSUL_PROXY_INBOUND -p tcp -j CONSUL_PROXY_IN_REDIRECT',
      '-A CONSUL_PROXY_IN_REDIRECT -p tcp -j REDIRECT --to-ports 20000',
    ],
    [
      ...[':OSM_PROXY_INBOUND - [0:0]', ':OSM_PROXY_IN_REDIRECT - [0:0]'],
      '-A PREROUTING -p tcp -j OSM_PROXY_INBOUND',
      '-A OSM_PROXY_INBOUND -p tcp -j OSM_PROXY_IN_REDIRECT',
      '-A OSM_PROXY_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15003',
    ],
    [
      ':ISTIO_PRERT - [0:0]',
      '-A PREROUTING -j ISTIO_PRERT',
      '-A ISTIO_PRERT -s 169.254.7.127/32 -p tcp -m tcp -j ACCEPT',
      '-A ISTIO_PRERT ! -d 127.0.0.1/32 -p tcp -m tcp ! --dport 15008 -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15006',
    ],
  ];
  const texts = [linkerd, kuma, consul, osm, ambient].map((rules) =>
    redirectionText(meshOf(saved('nat', ...(rules ?? [])))),
  );
  t.same(texts, [
    'REDIRECT to 4143 (Linkerd); ports redirected: all but 4190-4191, 15099',
    'REDIRECT to 15006 (Kuma); ports redirected: all',
    'REDIRECT to 20000 (Consul); ports redirected: all but 15099',
    'REDIRECT to 15003 (Open Service Mesh); ports redirected: all',
    'REDIRECT to 15006 (Istio ambient); ports redirected: all but 15008',
  ]);
});

t.test('without rules, or with rules for loopback only, nothing is redirected', async (t) => {
  t.equal(meshOf(saved('nat')).mode, 'none');
  t.equal(meshOf(saved('nat', '-A PREROUTING -i lo -p tcp -j REDIRECT --to-ports 15006')).mode, 'none');
  t.equal(
    meshOf(saved('nat', '-A PREROUTING -p tcp -j RETURN', '-A PREROUTING -p tcp -j REDIRECT --to-ports 1')).mode,
    'none',
  );
  t.equal(meshOf(saved('mangle', '-A PREROUTING -p tcp -j DROP')).mode, 'none');
  t.equal(meshOf(saved('mangle', ':PREROUTING DROP [0:0]')).mode, 'none');
});

t.test('a match that is not understood is named, for the ports that it concerns', async (t) => {
  const strange = meshOf(saved('nat', '-A PREROUTING -p tcp -m strange --sort odd -j REDIRECT --to-ports 1'));
  t.match(strange, { mode: 'unknown', reason: /strange/ });
  t.match(redirectionText(strange), /^perhaps REDIRECT \(depends on/);
  t.match(redirectionText(meshOf(saved('nat', '-A PREROUTING -p tcp -j STRANGE'))), /^cannot be told \(/);
  const partly = meshOf(
    saved(
      'nat',
      '-A PREROUTING -p tcp -m tcp --dport 80 -j STRANGE',
      '-A PREROUTING -p tcp -j REDIRECT --to-ports 15006',
    ),
  );
  t.match(
    redirectionText(partly),
    /^REDIRECT to 15006; ports redirected: all but 80; some ports cannot be told: .*STRANGE/,
  );
});

t.test('a ruleset of more ports than a mesh has is not followed', async (t) => {
  const rules = Array.from({ length: 1001 }, (_, i) => `-A PREROUTING -p tcp -m tcp --dport ${2 * i + 2} -j RETURN`);
  const many = saved('nat', ...rules, '-A PREROUTING -p tcp -j REDIRECT --to-ports 15006');
  t.match(meshOf(many), { mode: 'unknown', reason: /ranges of ports/, perhaps: ['REDIRECT'] });
  const none = meshOf(saved('nat', ...rules));
  t.match(none, { mode: 'unknown', perhaps: [] });
  const one = parseRuleset({ legacySave: { ipv4: many, ipv6: asSaved(redirectRules('ipv6')) } });
  t.match(describeRedirection(one, 'ipv6', 'eth0'), { mode: 'REDIRECT' }, 'the other family is told all the same');
});

t.test('chains that jump to each other without end are not followed for ever', async (t) => {
  const loop = [':A - [0:0]', '-A PREROUTING -j A', '-A A -j A'];
  t.match(meshOf(saved('nat', ...loop)), { mode: 'unknown', reason: /nested jumps/ });
});

t.test('drop rules are found in every form, with their owner and counters', async (t) => {
  const owners = (text: string) => findInvalidRules(legacy(text)).map(({ owner }) => owner);
  t.match(owners(asSaved(DROP_TO_1_23))[0], /up to 1\.23/);
  t.match(owners(asSaved(DROP_FROM_1_24))[0], /1\.24 or later/);
  const counted = findInvalidRules(
    legacy(saved('mangle', '[5:500] -A PREROUTING -p tcp -m conntrack --ctstate INVALID -j DROP')),
  );
  t.match(counted, [
    { owner: 'invalid-drop', packets: 5, bytes: 500, table: 'ip mangle' },
    { owner: 'invalid-drop', table: 'ip6 mangle' },
  ]);
});

t.test('a rule that spares INVALID packets, or only logs them, is no drop rule', async (t) => {
  for (const rule of [
    '! --ctstate INVALID -j DROP',
    '--ctstate NEW -j DROP',
    '--ctstate INVALID -j LOG',
    '--ctstate INVALID -j A',
  ]) {
    t.same(findInvalidRules(legacy(saved('mangle', ':A - [0:0]', `-A PREROUTING -m conntrack ${rule}`))), [], rule);
  }
});

t.test('no redirection to be seen, and a nat table of iptables-legacy that cannot be read: unknown', async (t) => {
  const reading = { ...legacySnapshot(''), natError: { ipv4: errors.LEGACY_UNREADABLE('ipv4', 'not tried') } };
  const { mesh } = describeRuleset(checkOf(reading), ['lo', 'eth0']);
  t.match(mesh.ipv4, { mode: 'unknown', reason: /CAP_NET_RAW/ });
  t.equal(mesh.ipv6?.mode, 'none');
});
