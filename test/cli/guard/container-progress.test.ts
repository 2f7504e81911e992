import t from 'tap';
import { progressOf } from '../../../cli/guard/guard-pod.ts';
import { LATER, runningPod } from './running-pod.ts';

const NAME = 'invalid-drop-guard-1';
const progress = (state: object) => progressOf(runningPod({ ephemeral: [{ name: NAME, state }] }), NAME);
const ended = (exitCode: number, message: string) =>
  progress({ terminated: { exitCode, message, reason: 'Error', finishedAt: LATER } });

t.test('what a container waits for is in the words of the kubelet', async (t) => {
  t.same(progressOf(runningPod(), NAME), { state: 'waiting', why: 'the kubelet has not reported it' });
  t.same(progress({ waiting: { reason: 'ErrImagePull', message: 'no such host' } }), {
    state: 'waiting',
    why: 'ErrImagePull: no such host',
  });
  t.same(progress({ running: { startedAt: LATER } }), { state: 'running' });
});

t.test('the message is what the program said of its errors, though the log be cut', async (t) => {
  const lines = ['"family":"ipv4"}', '{"level":"info","message":"fine"}', '{"level":"error","message":"A"}'];
  t.match(ended(1, [...lines, '{"level":"error","message":"B"}'].join('\n')), { exitCode: 1, message: 'A; B' });
  t.match(ended(127, 'exec: node: not found\n'), { exitCode: 127, message: 'exec: node: not found' });
  const stack = `Error: Cannot find module '/x.js'\n${'    at next (node:internal)\n'.repeat(50)}Node.js v26.10.0\n`;
  t.match(ended(1, `node:internal/modules:1\n  throw err;\n\n${stack}`), {
    message: "Error: Cannot find module '/x.js'",
  });
  t.match(ended(137, ''), { message: 'Error' });
  t.match(progress({ terminated: { exitCode: 3 } }), { message: 'exit code 3' });
});
