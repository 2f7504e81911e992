import t from 'tap';
import { ONE, parseQuantity } from '../../../webhook/admission/quantity.ts';

const MI = 2n ** 20n;

/** As ParseQuantity of k8s.io/apimachinery reads them, in billionths. */
const QUANTITIES: [unknown, bigint][] = [
  ['0', 0n],
  ['2', 2n * ONE],
  [2, 2n * ONE],
  [0.5, ONE / 2n],
  ['500m', ONE / 2n],
  ['0.5', ONE / 2n],
  ['.5', ONE / 2n],
  ['+5.', 5n * ONE],
  ['-1m', -ONE / 1000n],
  ['007k', 7000n * ONE],
  ['1u', 1000n],
  ['1n', 1n],
  ['0.1n', 1n],
  ['-0.1n', -1n],
  ['1.5Mi', (3n * MI * ONE) / 2n],
  ['64Mi', 64n * MI * ONE],
  ['1Ei', 2n ** 60n * ONE],
  ['1E', 10n ** 18n * ONE],
  ['1E3', 1000n * ONE],
  ['1e-3', ONE / 1000n],
  ['12e+6', 12_000_000n * ONE],
  ['9007199254740993', 9_007_199_254_740_993n * ONE],
];

t.test('quantities are read exactly', async (t) => {
  for (const [quantity, expected] of QUANTITIES) t.equal(parseQuantity(quantity), expected, String(quantity));
});

t.test('what is no quantity is none', async (t) => {
  const others = [
    '',
    ' ',
    '.',
    '-',
    'm',
    'Mi',
    '1 Mi',
    '1mi',
    '1KI',
    '1ki',
    '1e',
    '1e5Mi',
    '1e1000',
    '0x10',
    '1,5',
    '1\n',
  ];
  for (const other of [...others, '9'.repeat(41), undefined, null, {}, [1], Number.NaN, Number.POSITIVE_INFINITY]) {
    t.equal(parseQuantity(other), undefined, JSON.stringify(other));
  }
});
