// No connection to the pods of any mesh is worse off with us than without, in both modes.
import { compareModes } from '../harness/mesh-rules/compare-modes.ts';
import { DIFFERENT_SETUPS } from '../harness/mesh-rules/mesh-setups.ts';
import { meshTest } from '../harness/mesh-rules/mesh-test.ts';

for (const setup of DIFFERENT_SETUPS) meshTest(setup, 'no connection is worse off', (t) => compareModes(t, setup));
