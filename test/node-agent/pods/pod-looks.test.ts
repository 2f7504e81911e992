// What the agent tells of pods that nothing guards, in namespaces that ask for containers.
import t from 'tap';
import { OPT_IN_LABEL } from '../../../lib/contract.ts';
import { madeGuards, podOf } from './made-guards.ts';

/** All listed, and the pod in a namespace that asks for containers, which it has none of. */
async function looking(liberal: boolean | undefined) {
  const all = madeGuards();
  all.sandbox('u1');
  all.liberal.set('/netns/u1', liberal);
  all.engine.namespaces.replace([{ name: 'shop', labels: { [OPT_IN_LABEL]: 'pod' } }]);
  all.engine.pods.replace([podOf({ uid: 'u1' })]);
  await all.settle();
  return all;
}

t.test('of a pod that nothing guards it is told that its conntrack is liberal, and nothing is touched', async (t) => {
  const { engine, guards, looks, wanted, states, pass, settle } = await looking(true);
  t.same([guards, looks, wanted, states()], [[], ['/netns/u1'], ['u1: True LiberalConntrack'], ['u1: left-alone']]);
  t.equal(engine.settled(), true);
  engine.pods.put(podOf({ uid: 'u1' }));
  await settle();
  await pass(599_999);
  t.equal(looks.length, 1, 'not at each change of the pod');
  await pass(1);
  t.equal(looks.length, 2, 'again after ten minutes');
  engine.sandboxChanged('u1');
  await settle();
  t.equal(looks.length, 3, 'its network may be another one');
  t.equal([...engine.outcomes()][0]?.liberal, true, 'for the report');
});

t.test('a condition says so where it is liberal no more', async (t) => {
  const { liberal, wanted, pass } = await looking(true);
  liberal.set('/netns/u1', false);
  await pass(600_000);
  t.equal(wanted.at(-1), 'u1: False StrictConntrack');
  liberal.set('/netns/u1', true);
  await pass(600_000);
  t.equal(wanted.at(-1), 'u1: True LiberalConntrack');
});

t.test('of a pod that is not liberal nothing is written', async (t) => {
  const { wanted, looks, pass } = await looking(false);
  await pass(60_000);
  t.same([wanted, looks.length], [[], 1]);
});

t.test('what cannot be entered, or is not found, is looked for again', async (t) => {
  const { wanted, looks, liberal, sandboxes, sandbox, pass } = await looking(undefined);
  t.same(wanted, []);
  sandboxes.clear();
  await pass(2000);
  t.equal(looks.length, 1, 'there is nothing to look into');
  sandbox('u1');
  liberal.set('/netns/u1', true);
  await pass(2000);
  t.equal(wanted.at(-1), 'u1: True LiberalConntrack');
});

t.test('what was found liberal is guarded once its namespace asks for agents', async (t) => {
  const { guards, label, wanted, looks, settle } = await looking(true);
  label('node');
  await settle();
  guards[0]?.become('guarded');
  await settle();
  t.equal(wanted.at(-1), 'u1: True Guarded');
  label('pod');
  await settle();
  t.same([guards[0]?.calls, looks.length], [['start'], 1], 'and stays so when it is switched back');
});

t.test('without the label its condition stays, and it is looked at anew when it is back', async (t) => {
  const { label, wanted, looks, settle } = await looking(true);
  label(undefined);
  await settle();
  label('pod');
  await settle();
  t.same([wanted, looks.length], [['u1: True LiberalConntrack'], 2]);
});
