// The verdicts on the rules of every mesh are what the kernel does to the packets: without us, with us in both modes, and
// after we were taken out.
import { compareVerdicts } from '../harness/mesh-rules/compare-verdicts.ts';
import { DIFFERENT_SETUPS, withBackends } from '../harness/mesh-rules/mesh-setups.ts';
import { meshTest } from '../harness/mesh-rules/mesh-test.ts';

for (const [setup, backend] of withBackends(DIFFERENT_SETUPS)) {
  meshTest(setup, `the verdicts are what the kernel does (${backend})`, (t, pair) =>
    compareVerdicts(t, pair, () => setup.redirect(pair.pod, backend), setup.dropsInvalid),
  );
}
