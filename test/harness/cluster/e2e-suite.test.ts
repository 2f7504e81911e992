import { readdirSync } from 'node:fs';
import t from 'tap';
import { E2E_SUITE } from '../../e2e/run-e2e.ts';
import { E2E_MESH_SUITE } from '../../e2e-mesh/run-e2e-mesh.ts';
import { E2E_NODE_SUITE } from '../../e2e-node/run-e2e-node.ts';
import { E2E_RELEASE_SUITE } from '../../e2e-release/run-e2e-release.ts';
import { chosenStages, stagesOf } from './e2e-suite.ts';

const SUITE = {
  folder: 'test/made',
  suffix: '.made.ts',
  stages: [
    { why: '', files: ['b.made.ts', 'a.made.ts'] },
    { why: 'last', files: ['0.made.ts'] },
  ],
};

t.test('stages run in their order', async (t) => {
  t.same(stagesOf(SUITE, ['0.made.ts', 'a.made.ts', 'b.made.ts', 'run.ts']), [
    ['test/made/b.made.ts', 'test/made/a.made.ts'],
    ['test/made/0.made.ts'],
  ]);
});

t.test('chosen files run in their stages, in order, with what these need', async (t) => {
  const prepare = async () => 0;
  const stages = [
    { why: '', files: [] },
    { why: 'later', files: [], prepare },
    { why: 'last', files: [] },
  ];
  const paths = [['a', 'b'], ['c'], ['d']];
  t.match(chosenStages({ stages }, paths, []), [{ paths: ['a', 'b'] }, { paths: ['c'], prepare }, { paths: ['d'] }]);
  const some = chosenStages({ stages }, paths, ['new', 'd', 'c', 'b']);
  t.match(some, [{ paths: ['b'] }, { paths: ['c'], prepare }, { paths: ['d'] }, { paths: ['new'] }]);
  t.match(chosenStages({ stages }, paths, ['c']), [{ paths: ['c'], prepare }]);
  t.equal(chosenStages({ stages }, paths, ['c']).length, 1);
});

t.test('a file that another target runs is in no stage', async (t) => {
  const names = ['0.made.ts', 'a.made.ts', 'b.made.ts', 'slow.made.ts'];
  t.doesNotThrow(() => stagesOf({ ...SUITE, apart: ['slow.made.ts'] }, names));
});

t.test('a file that no stage names, and a name without a file, are errors', async (t) => {
  t.throws(() => stagesOf(SUITE, ['0.made.ts', 'a.made.ts', 'new.made.ts']), {
    message: 'test/made/new.made.ts is in no stage of the suite\ntest/made/b.made.ts is in a stage, but missing',
  });
});

for (const suite of [E2E_SUITE, E2E_MESH_SUITE, E2E_NODE_SUITE, E2E_RELEASE_SUITE]) {
  t.test(`each file of ${suite.folder} is in a stage`, async (t) => {
    t.doesNotThrow(() => stagesOf(suite, readdirSync(suite.folder)));
  });
}

t.test('permissions, overlays and uninstall come last, in this order', async (t) => {
  t.same(
    E2E_SUITE.stages.slice(1).map(({ files }) => files),
    [['permissions.e2e.ts'], ['overlays.e2e.ts'], ['uninstall.e2e.ts']],
  );
});
