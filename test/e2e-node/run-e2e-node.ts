// The end-to-end tests of node agents, on two nodes: `make e2e-node`. Arguments: the test files; all of them where none is
// given.
import { buildPlugin, clusterUp, loadImages, runSuite, type Suite } from '../harness/cluster/e2e-suite.ts';
import { findRuleWriter } from '../harness/mesh-rules/rule-writers.ts';

/** A second node shows that each agent keeps to its own. */
const NODES = '2';

const twoNodesUp = () => {
  process.env['NODES'] = NODES;
  process.env['USER_NAMESPACES'] ??= 'true';
  return clusterUp();
};

/** The tests' network has no way out to Go's modules. */
const buildRuleWriter = async () => {
  await findRuleWriter('consul');
  return 0;
};

export const E2E_NODE_SUITE: Suite = {
  folder: 'test/e2e-node',
  suffix: '.node.ts',
  stages: [
    {
      why: '',
      files: [
        'agent-absence.node.ts',
        'liberal-network.node.ts',
        'many-pods.node.ts',
        'mesh-writer.node.ts',
        'placement.node.ts',
        'resets.node.ts',
        'running-pods.node.ts',
        'sandboxes.node.ts',
        'status-page.node.ts',
      ],
    },
    {
      why: 'reads from the audit log what the agents asked for while the tests before it ran',
      files: ['rights.node.ts'],
    },
    { why: 'removes the agents that all other tests need', files: ['removal.node.ts'] },
  ],
  fileLimitSeconds: 600,
  prepare: [twoNodesUp, () => loadImages(), buildPlugin, buildRuleWriter],
};

if (import.meta.main) process.exitCode = await runSuite(E2E_NODE_SUITE, process.argv.slice(2));
