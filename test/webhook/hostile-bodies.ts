// Bodies that no API server would send.
import { creationOf } from './admission/injection-settings.ts';
import { reviewOf } from './test-server.ts';

const POD = { metadata: { name: 'store-0' }, spec: { containers: [{ name: 'app' }] } };
const WRONG_TYPES = [null, true, 0, -1e308, '', 'text', [], [null], [[]], {}, { a: null }];
const DEEP = 100_000;
const deepArray = '['.repeat(DEEP) + ']'.repeat(DEEP);
const deepObject = '{"a":'.repeat(DEEP) + 1 + '}'.repeat(DEEP);

/** A body that is text with `"@"` replaced, for what JSON.stringify cannot make. */
const withText = (value: object, text: string) => JSON.stringify(value).replace('"@"', text);

/** Each with its name. */
export const HOSTILE_BODIES: [string, string][] = [
  ...['', ' ', 'null', '0', '""', '[]', '{}', '{', '\u0000', '\ufeff{}', 'NaN', '{"a":1}{', '"\\ud800"'].map(
    (text): [string, string] => [`text ${JSON.stringify(text)}`, text],
  ),
  ['deep array', deepArray],
  ['deep object', deepObject],
  ['deep array as the pod', withText(reviewOf(creationOf('@')), deepArray)],
  ['deep object in the spec', withText(reviewOf(creationOf({ ...POD, spec: { ...POD.spec, x: '@' } })), deepObject)],
  ['huge names', JSON.stringify(reviewOf(creationOf({ ...POD, metadata: { name: 'n'.repeat(4_000_000) } })))],
  [
    'huge annotation',
    JSON.stringify(reviewOf(creationOf(annotated({ 'invalid-drop.io/mode': 'x'.repeat(4_000_000) })))),
  ],
  ['huge version', JSON.stringify({ ...reviewOf(creationOf(POD)), apiVersion: 'v'.repeat(4_000_000) })],
  ['huge uid', JSON.stringify(reviewOf({ ...creationOf(POD), uid: 'u'.repeat(4_000_000) }))],
  ['prototype of the body', `{"__proto__":{"polluted":true},${JSON.stringify(reviewOf(creationOf(POD))).slice(1)}`],
  ['prototype of the pod', withText(reviewOf(creationOf('@')), '{"__proto__":{"metadata":{},"spec":{}}}')],
  ['constructor', withText(reviewOf(creationOf('@')), '{"constructor":{"prototype":{"polluted":true}}}')],
  ['prototype as an annotation', withText(reviewOf(creationOf(annotated('@'))), '{"__proto__":"x","constructor":"y"}')],
  ['keys twice', withText(reviewOf(creationOf('@')), '{"spec":{},"spec":null,"metadata":1}')],
  ...WRONG_TYPES.flatMap((wrong) => wrongTypesEverywhere(wrong)),
];

function annotated(annotations: unknown) {
  return { ...POD, metadata: { annotations } };
}

/** The same wrong value at each place that is read. */
function wrongTypesEverywhere(wrong: unknown): [string, string][] {
  const inRequest = ['uid', 'kind', 'operation', 'namespace', 'object', 'name', 'subResource', 'dryRun'].map((key) =>
    reviewOf({ ...creationOf(POD), [key]: wrong }),
  );
  const inSpec = [
    ...['containers', 'initContainers', 'hostNetwork', 'os', 'nodeSelector', 'restartPolicy', 'resources'],
    ...['ephemeralContainers', 'securityContext'],
  ].map((key) => ({ ...POD, spec: { ...POD.spec, [key]: wrong } }));
  const inContainers = ['name', 'args', 'command'].flatMap((key) => [
    { ...POD, spec: { containers: [{ name: 'app', [key]: wrong }], initContainers: [wrong] } },
    { ...POD, spec: { ...POD.spec, initContainers: [{ name: 'istio-init', [key]: wrong }] } },
    { ...POD, spec: { ...POD.spec, initContainers: [{ name: 'istio-init', args: ['-b', wrong, '-d'] }] } },
  ]);
  const inMetadata = ['annotations', 'labels', 'name', 'generateName'].map((key) => ({
    ...POD,
    metadata: { [key]: wrong },
  }));
  const inMaps = [
    annotated({ 'invalid-drop.io/mode': wrong }),
    annotated({ 'traffic.sidecar.istio.io/excludeInboundPorts': wrong }),
    { ...POD, metadata: { labels: { 'invalid-drop.io/inject': wrong } } },
    { ...POD, metadata: wrong },
    { ...POD, spec: wrong },
  ];
  const pods = [...inSpec, ...inContainers, ...inMetadata, ...inMaps].map((pod) => reviewOf(creationOf(pod)));
  const reviews = [wrong, { ...reviewOf({}), request: wrong }, { ...reviewOf(creationOf(POD)), apiVersion: wrong }];
  return [...reviews, ...inRequest, ...pods].map((body, index) => [
    `${JSON.stringify(wrong)} at place ${index}`,
    JSON.stringify(body),
  ]);
}
