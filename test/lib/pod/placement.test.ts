import t from 'tap';
import type { NodeMode } from '../../../lib/contract.ts';
import { hasOwnContainers, isOptedIn, placementOf } from '../../../lib/pod/placement.ts';
import { viewPod } from '../../../lib/pod/pod-view.ts';

const of = (value: string, nodeMode: NodeMode) => placementOf({ 'invalid-drop.io/inject': value }, nodeMode);

t.test('the label and the installation decide what guards the pods', async (t) => {
  for (const nodeMode of ['disabled', 'available', 'default'] as const) {
    t.equal(of('pod', nodeMode), 'pod');
    t.equal(of('nod', nodeMode), undefined);
    t.equal(of('disabled', nodeMode), undefined);
    t.equal(placementOf({}, nodeMode), undefined);
    t.equal(placementOf(undefined, nodeMode), undefined);
  }
  t.equal(of('enabled', 'disabled'), 'pod');
  t.equal(of('enabled', 'available'), 'pod');
  t.equal(of('enabled', 'default'), 'node');
  t.equal(of('node', 'disabled'), 'missing');
  t.equal(of('node', 'available'), 'node');
  t.equal(of('node', 'default'), 'node');
});

t.test('each of three values opts in', async (t) => {
  for (const value of ['enabled', 'pod', 'node']) t.ok(isOptedIn({ 'invalid-drop.io/inject': value }), value);
  for (const value of ['', 'disabled', 'Enabled', 'true'])
    t.notOk(isOptedIn({ 'invalid-drop.io/inject': value }), value);
  t.notOk(isOptedIn(undefined));
});

t.test('a pod with a container under a name of ours is left to it', async (t) => {
  const has = (spec: object) => {
    const pod = viewPod({ metadata: {}, spec });
    return pod !== undefined && hasOwnContainers(pod);
  };
  const app = { name: 'app' };
  t.ok(has({ containers: [app], initContainers: [{ name: 'invalid-drop-init' }] }));
  t.ok(has({ containers: [app, { name: 'invalid-drop-checker' }] }));
  t.notOk(has({ containers: [app], initContainers: [{ name: 'invalid-drop-guard-1' }] }));
});
