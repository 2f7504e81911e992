import t from 'tap';
import { type AgentPodOptions, readPodOptions } from '../../../lib/pod/pod-options.ts';
import { viewPod } from '../../../lib/pod/pod-view.ts';

const AGENT: AgentPodOptions = {
  mode: 'enforce',
  protocol: 'tcp',
  onDrift: 'repair',
  rescue: 'enabled',
  beLiberal: 'enabled',
};

function read(annotations: Record<string, string>) {
  const pod = viewPod({ metadata: { annotations }, spec: { containers: [{ name: 'app' }] } });
  if (pod === undefined) throw new Error('not a pod');
  return readPodOptions(pod, AGENT);
}

t.test('an agent reads its own options, each from the annotation or from its configuration', async (t) => {
  t.strictSame(read({}), { options: AGENT, wrong: [] });
  const annotations = {
    'invalid-drop.io/mode': 'observe',
    'invalid-drop.io/be-liberal': 'disabled',
    'invalid-drop.io/checker-port': '16000',
  };
  t.strictSame(read(annotations), { options: { ...AGENT, mode: 'observe', beLiberal: 'disabled' }, wrong: [] });
});

t.test('of a pod that runs already, the configuration counts where an annotation is wrong', async (t) => {
  const { options, wrong } = read({ 'invalid-drop.io/be-liberal': 'on', 'invalid-drop.io/protocol': 'all' });
  t.strictSame(options, { ...AGENT, protocol: 'all' });
  t.strictSame(wrong, ['annotation invalid-drop.io/be-liberal="on" is not allowed: use enabled or disabled']);
});
