import t from 'tap';
import { parseTableText } from '../../../lib/netfilter/nft-json.ts';

t.test('devices of ingress chains, one or more, and the flag dormant are read', async (t) => {
  const text = `table netdev n {
\tflags dormant

\tcounter c {
\t\tpackets 0 bytes 0
\t}

\tchain one {
\t\ttype filter hook ingress device "eth0" priority filter; policy accept;
\t\taccept comment "device lo"
\t}

\tchain two {
\t\ttype filter hook ingress devices = { eth0, "lo" } priority -500; policy accept;
\t}

\tchain sub {
\t}
}
`;
  t.strictSame(parseTableText(text), { dormant: true, devices: { one: ['eth0'], two: ['eth0', 'lo'] } });
});

t.test('a table without flags and ingress chains has neither', async (t) => {
  const text = 'table ip t {\n\tchain c {\n\t\ttype filter hook input priority 0; policy drop;\n\t}\n}\n';
  t.strictSame(parseTableText(text), { dormant: false, devices: {} });
  t.strictSame(parseTableText('table ip t {\n\tflags owner\n}\n'), { dormant: false, devices: {} });
});
