import t from 'tap';
import { checkerFigures } from '../../../webhook/collection/checker-figures.ts';
import { reportText } from './made-reports.ts';

t.test('counters and peers are taken from a report', async (t) => {
  t.strictSame(checkerFigures(reportText()), {
    counters: { drops: 59, rescues: 14, drift: 2 },
    peers: [
      { peer: '10.1.4.7', port: 9000, segments: 71, rescued: 14, lastSeen: Date.parse('2030-01-15T11:24:29.000Z') },
    ],
  });
});

t.test('what is no report is nothing', async (t) => {
  const bad = [
    '',
    'null',
    '[]',
    '{}',
    '"text"',
    reportText().slice(0, -1),
    `${'['.repeat(30_000)}`,
    ...[-1, 1.5, 1e13, '7', null, Number.NaN, {}].map((drift) => reportText({ drift })),
    reportText({ prevented: { ipv4: { packets: 1 } } }),
    reportText({ prevented: { ipv4: { packets: '<script>' }, ipv6: { packets: 0 } } }),
    reportText({ strays: { rescued: 1e300, peers: [] } }),
  ];
  for (const text of bad) t.equal(checkerFigures(text), undefined, text.slice(0, 60));
});

t.test('a peer is an address with whole numbers and a time, or it is left out', async (t) => {
  const good = { peer: '2001:db8::7', port: 1, segments: 2, rescued: 0, lastSeen: '2030-01-15T11:24:29Z' };
  const peersOf = (...peers: unknown[]) => checkerFigures(reportText({ strays: { rescued: 0, peers } }))?.peers;
  t.equal(peersOf(good)?.length, 1);
  const changes = [
    { peer: '<script>' },
    { peer: 'fe80::1%<script>' },
    { peer: '10.0.0.1 ' },
    { peer: 7 },
    { port: 70_000 },
    { segments: -1 },
    { rescued: '1' },
    { lastSeen: 'yesterday' },
  ];
  for (const change of changes) {
    t.equal(peersOf({ ...good, ...change })?.length, 0, JSON.stringify(change));
  }
  t.equal(peersOf(...Array.from({ length: 100 }, () => good))?.length, 5, 'as many as a checker tells of');
  t.strictSame(peersOf('no object'), []);
});
