// `kubectl invalid-drop explain` on a real cluster: in a checker, by an ephemeral container, on the node, and interrupted.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import t from 'tap';
import { CLI_PROGRAM, runCli } from '../harness/cluster/cli-run.ts';
import { apply, getJson, kubectl } from '../harness/cluster/kubectl.ts';
import { onNode, skipWithoutNode } from '../harness/cluster/node-side.ts';
import { appContainer, barePod, getPod, type Pod, waitReady } from '../harness/cluster/pod-status.ts';
import { optedInNamespace, plainNamespace } from '../harness/cluster/test-workloads.ts';
import { tokenKubeconfig } from '../harness/cluster/token-kubeconfig.ts';
import { install } from '../harness/cluster/webhook-installation.ts';
import { eventually } from '../harness/wait-until.ts';

const LEVEL = 'pod-security.kubernetes.io/enforce';

const skip = skipWithoutNode;
const TRACEFS = '/sys/kernel/tracing';

t.before(async () => {
  await install();
  // As systemd does on a node.
  if (!skip) await onNode('mount', '-t', 'tracefs', 'tracefs', TRACEFS);
});
t.teardown(() => (skip ? undefined : onNode('umount', TRACEFS)));

async function nodeName(): Promise<string> {
  const { items } = await getJson<{ items: { metadata: { name: string } }[] }>('nodes');
  return items[0]?.metadata.name ?? '';
}

/** Pods that watch nodes, in all namespaces. */
async function nodePods(): Promise<Pod[]> {
  const selector = 'app.kubernetes.io/component=explain';
  return (await getJson<{ items: Pod[] }>('pods', '--all-namespaces', '-l', selector)).items;
}

/** A pod of a run that was killed: it has ended, and nobody deleted it. */
async function leftover(): Promise<void> {
  const labels = { 'app.kubernetes.io/name': 'invalid-drop', 'app.kubernetes.io/component': 'explain' };
  const containers = [appContainer('explain', '')];
  await apply(barePod('kube-system', 'left', { restartPolicy: 'Never', containers }, { labels }));
  await eventually('the pod has ended', async () => (await getPod('kube-system', 'left')).status.phase === 'Succeeded');
}

const noNodePods = () => eventually('the pod on the node is gone', async () => (await nodePods()).length === 0);

const ephemeralNames = ({ spec }: Pod) =>
  ((spec['ephemeralContainers'] ?? []) as { name: string }[]).map(({ name }) => name);

t.test('a guarded pod: its checker answers, and nothing is added', async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'store'));
  await waitReady(namespace, 'store');
  const text = await runCli(['explain', 'store', '-n', namespace, '--seconds=1']);
  t.equal(text.exitCode, 2, 'nothing happened, so it cannot tell');
  t.match(text.stdout, /^Was it this\? Cannot tell\./);
  t.match(text.stdout, /verdict +guarded/);
  t.equal(text.stderr, '');
  const json = await runCli(['explain', `${namespace}/store`, '--seconds=1', '-o', 'json']);
  t.match(JSON.parse(json.stdout), { code: 'nothing-happened' });
  t.same(ephemeralNames(await getPod(namespace, 'store')), []);
});

t.test('a pod without a checker: an ephemeral container of its own each time', async (t) => {
  const namespace = await plainNamespace(t);
  await apply(barePod(namespace, 'plain'));
  await waitReady(namespace, 'plain');
  for (const name of ['invalid-drop-explain-1', 'invalid-drop-explain-2']) {
    const { exitCode, stdout, stderr } = await runCli(['explain', 'plain', '-n', namespace, '--seconds=1']);
    t.equal(exitCode, 2, stderr);
    t.match(stdout, /^Was it this\? Cannot tell\.[\s\S]*verdict +not guarded/);
    t.match(stderr, new RegExp(`adding the ephemeral container ${name}: it ends after 1 s`));
  }
  await kubectl(['label', 'namespace', namespace, `${LEVEL}=restricted`]);
  const refused = await runCli(['explain', 'plain', '-n', namespace, '--seconds=1']);
  t.equal(refused.exitCode, 2);
  t.match(refused.stderr, /EXPLAIN_NOT_POSSIBLE: .*violates PodSecurity .*explain --node /);
});

t.test('the node: a pod is made where a namespace takes it, watches, and is deleted', { skip }, async (t) => {
  const node = await nodeName();
  const text = await runCli(['explain', '--node', node, '--seconds=1']);
  t.match(text.stdout, /^Watching the resets of \d+ network namespaces for 1 s\./, text.stderr);
  t.match(text.stdout, /resets in \d+ s/);
  t.match(text.stderr, /namespace invalid-drop-system does not take a privileged pod, so it is made in kube-system/);
  t.ok([0, 1].includes(text.exitCode ?? -1));
  await noNodePods();
  await leftover();
  const json = await runCli(['explain', '--node', node, '--seconds=1', '-o', 'json', '-n', 'kube-system']);
  const lines = json.stdout.trim().split('\n');
  t.match(JSON.parse(lines[0] ?? ''), { watching: { seconds: 1 } });
  t.match(JSON.parse(lines.at(-1) ?? ''), { summary: [] });
  await noNodePods();
  const strict = await runCli(['explain', '--node', node, '-n', 'invalid-drop-system']);
  t.equal(strict.exitCode, 2);
  t.match(strict.stderr, /EXPLAIN_NODE_REFUSED: namespace invalid-drop-system .*violates PodSecurity.* with -n/);
  const none = await runCli(['explain', '--node', 'no-such-node']);
  t.equal(none.exitCode, 2);
  t.match(none.stderr, /no-such-node/);
});

t.test('interrupted, the pod on the node still prints its summary, and is deleted', { skip }, async (t) => {
  const args = [CLI_PROGRAM, 'explain', '--node', await nodeName(), '--seconds=120', '-n', 'kube-system'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [printed, noted] = ['', ''];
  child.stdout.on('data', (chunk) => {
    printed += chunk;
  });
  child.stderr.on('data', (chunk) => {
    noted += chunk;
  });
  const ended = once(child, 'exit');
  await eventually('it watches', async () => {
    if (!printed.includes('Watching the resets')) throw new Error(printed + noted);
    return true;
  });
  t.equal((await nodePods()).length, 1);
  child.kill('SIGINT');
  const [code] = (await ended) as [number | null];
  t.ok(code !== null, 'it ended by itself');
  t.match(printed, /resets in \d+ s/, noted);
  await noNodePods();
});

t.test('interrupted while a checker watches: its answer comes early', async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'store'));
  await waitReady(namespace, 'store');
  const args = [CLI_PROGRAM, 'explain', 'store', '-n', namespace, '--seconds=300'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  let printed = '';
  child.stdout.on('data', (chunk) => {
    printed += chunk;
  });
  const ended = once(child, 'exit');
  const processes = async () =>
    kubectl(['exec', 'store', '-n', namespace, '-c', 'invalid-drop-checker', '--', 'node', '-e', LIST]);
  await eventually('the program runs in the pod', async () => /--explain/.test(await processes()));
  child.kill('SIGINT');
  t.same(await ended, [2, null]);
  t.match(printed, /^Was it this\?/);
  t.notMatch(await processes(), /--explain/, 'nothing is left in the pod');
});

/** Command lines of the container's processes, but for its own. */
const LIST = `const fs=require("fs");console.log(fs.readdirSync("/proc").filter((n)=>+n&&+n!==process.pid).map((n)=>{try{return fs.readFileSync("/proc/"+n+"/cmdline","utf8").replaceAll("\\0"," ")}catch{return ""}}).join("\\n"))`;

t.test('a missing right is named', async (t) => {
  const namespace = await optedInNamespace(t);
  await apply(barePod(namespace, 'store'));
  await waitReady(namespace, 'store');
  await kubectl(['create', 'serviceaccount', 'reader', '-n', namespace]);
  const token = await kubectl(['create', 'token', 'reader', '-n', namespace]);
  const env = { KUBECONFIG: await tokenKubeconfig(t, token) };
  const pod = ['explain', 'store', '-n', namespace, '--seconds=1'];
  t.match((await runCli(pod, { env })).stderr, /RIGHT_MISSING: .*may not get pods in namespace/);
  const account = `--serviceaccount=${namespace}:reader`;
  await kubectl(['create', 'rolebinding', 'view', '-n', namespace, '--clusterrole=view', account]);
  await eventually('exec is what is missing', async () => {
    const { stderr, exitCode } = await runCli(pod, { env });
    if (!/EXPLAIN_EXEC: .*pods\/exec/.test(stderr)) throw new Error(stderr);
    t.equal(exitCode, 2);
    return true;
  });
});
