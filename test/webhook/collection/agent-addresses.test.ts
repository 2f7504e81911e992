import t from 'tap';
import { agentPod, createAgentStore } from '../../../webhook/collection/agent-addresses.ts';

const pod = (name: string, node: string, podIP: string, more: { deletionTimestamp?: string; phase?: string } = {}) => {
  const { phase = 'Running', ...metadata } = more;
  const kept = agentPod({ metadata: { name, ...metadata }, spec: { nodeName: node }, status: { phase, podIP } });
  if (kept === undefined) throw new Error('no agent');
  return kept;
};

t.test('an agent is known by its node, until it ends', async (t) => {
  t.strictSame(pod('a', 'node-1', '10.1.0.5'), { name: 'a', node: 'node-1', ip: '10.1.0.5' });
  for (const more of [{ deletionTimestamp: '2030-01-15T11:00:00Z' }, { phase: 'Failed' }, { phase: 'Succeeded' }])
    t.equal(pod('a', 'node-1', '10.1.0.5', more).ip, '', JSON.stringify(more));
  t.equal(agentPod({ metadata: { name: 'a' }, spec: {}, status: {} }), undefined, 'it has no node yet');
  t.equal(agentPod({}), undefined);
});

t.test('while an agent is replaced, the one that answers counts, whichever comes first', async (t) => {
  const { on, sink } = createAgentStore();
  sink.replace([pod('a', 'node-1', '10.1.0.5'), pod('b', 'node-2', '10.1.1.5')]);
  t.strictSame([on('node-1'), on('node-2'), on('node-3')], ['10.1.0.5', '10.1.1.5', undefined]);
  sink.put(pod('c', 'node-1', ''));
  t.equal(on('node-1'), '10.1.0.5', 'the next one has no address yet');
  sink.put(pod('c', 'node-1', '10.1.0.6'));
  sink.put(pod('a', 'node-1', '10.1.0.5', { deletionTimestamp: '2030-01-15T11:00:00Z' }));
  sink.remove(pod('a', 'node-1', '10.1.0.5'));
  t.equal(on('node-1'), '10.1.0.6');
  sink.remove(pod('c', 'node-1', '10.1.0.6'));
  t.equal(on('node-1'), undefined);
  sink.replace([]);
  t.equal(on('node-2'), undefined);
});
