// `kubectl invalid-drop` against a real API server: status after an install, coverage, the dashboard, and missing rights.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { CHECKER_CONTAINER, OPT_IN_LABEL, OWN_NAMESPACE } from '../../lib/contract.ts';
import { CLI_PROGRAM, runCli } from '../harness/cluster/cli-run.ts';
import { apply, create, kubectl } from '../harness/cluster/kubectl.ts';
import { barePod, isInjected, type Pod } from '../harness/cluster/pod-status.ts';
import { optedInNamespace, plainNamespace } from '../harness/cluster/test-workloads.ts';
import { tokenKubeconfig } from '../harness/cluster/token-kubeconfig.ts';
import { install, MANIFESTS, uninstall } from '../harness/cluster/webhook-installation.ts';

/** Longer than the waits of `status --wait`. */
const cli = (args: string[], env: Record<string, string> = {}) => runCli(args, { env, limit: 200_000 });

interface Part {
  part: string;
  state: string;
  detail: string;
}

async function status(...args: string[]) {
  const { exitCode, stdout, stderr } = await cli(['status', '-o', 'json', ...args]);
  const { parts } = JSON.parse(stdout) as { parts: Part[] };
  const named = (name: string) => parts.find(({ part }) => part === name);
  return { exitCode, stderr, parts, named };
}

t.test('right after an install, a pod that is created when --wait has ended is guarded', async (t) => {
  const namespace = await optedInNamespace(t);
  await uninstall();
  await kubectl(['apply', '-k', MANIFESTS]);
  const early = await status('-n', namespace);
  t.equal(early.exitCode, 1, 'it does not work yet');
  const { exitCode, parts, named } = await status('--wait', '-n', namespace);
  const [pod] = await create<Pod>(barePod(namespace, 'first'));
  t.ok(pod !== undefined && isInjected(pod), 'the first pod is injected');
  t.equal(exitCode, 0, JSON.stringify(parts));
  t.ok(parts.every(({ state }) => state === 'ok'));
  t.match(named('webhook')?.detail, /^2 of 2 replicas Ready; image \S+, for pods \S+$/);
  t.equal(parts.filter(({ part }) => part.startsWith('replica ')).length, 2);
  t.match(named('admission')?.detail, `dry run gets ${CHECKER_CONTAINER}, 3 times of 3`);
});

t.test('a namespace that is not opted in shows nothing, and that is said', async (t) => {
  await install();
  const namespace = await plainNamespace(t);
  const { exitCode, named } = await status('-n', namespace);
  t.equal(exitCode, 2);
  t.match(named('admission'), { state: 'unknown', detail: /no label invalid-drop\.io\/inject/ });
});

t.test('coverage has the names of pods', async (t) => {
  await install();
  const namespace = await plainNamespace(t);
  await apply(barePod(namespace, 'old'));
  await kubectl(['label', 'namespace', namespace, `${OPT_IN_LABEL}=enabled`]);
  let report = { reasons: {}, notGuarded: [] as object[] };
  for (let i = 0; i < 100 && report.notGuarded.length === 0; i += 1)
    report = JSON.parse((await cli(['coverage', '-n', namespace, '-o', 'json'])).stdout);
  t.match(report.notGuarded, [{ namespace, pod: 'old', reason: 'created-before-opt-in' }]);
  const table = await cli(['coverage', '-A']);
  t.match(table, { exitCode: 0, stderr: '', stdout: new RegExp(`^${namespace} +old +created-before-opt-in `, 'm') });
  t.match((await cli(['coverage', '-o', 'wide'])).stdout, /WHAT TO DO[\s\S]*kubectl rollout restart/);
  const yaml = await cli(['coverage', '-n', namespace, '-o', 'yaml']);
  t.match(yaml.stdout, /^synced: true$/m);
});

t.test('the dashboard passes pages on, and ends on Ctrl-C', async (t) => {
  await install();
  const child = spawn(process.execPath, [CLI_PROGRAM, 'dashboard', '--no-browser'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const ended = once(child, 'exit');
  const [url] = (await once(createInterface(child.stdout), 'line')) as [string];
  t.match(url, /^http:\/\/127\.0\.0\.1:\d+\/$/);
  const report = await fetch(`${url}selfcheck`);
  t.equal(report.status, 200);
  t.match(await report.json(), { ok: true });
  const coverage = (await (await fetch(`${url}coverage`)).json()) as object;
  t.notOk('names' in coverage, 'names are given');
  child.kill('SIGINT');
  t.strictSame(await ended, [0, null]);
});

t.test('somebody without rights is told which right is missing, and who lacks it', async (t) => {
  await install();
  const namespace = await optedInNamespace(t);
  await kubectl(['create', 'serviceaccount', 'nobody', '-n', namespace]);
  const KUBECONFIG = await tokenKubeconfig(t, await kubectl(['create', 'token', 'nobody', '-n', namespace]));
  const who = `"system:serviceaccount:${namespace}:nobody"`;
  const { exitCode, stderr, stdout } = await cli(['coverage'], { KUBECONFIG });
  t.strictSame([exitCode, stdout], [2, '']);
  t.match(stderr, `RIGHT_MISSING: ${who} may not list pods in namespace ${OWN_NAMESPACE}`);
  await may(t, namespace, 'list,get', 'pods');
  const forward = await cli(['coverage'], { KUBECONFIG });
  t.equal(forward.exitCode, 2);
  t.match(forward.stderr, /RIGHT_MISSING: .* may not (create|get) pods\/portforward in namespace invalid-drop-system/);
  await may(t, namespace, 'create,get', 'pods/portforward');
  t.equal((await cli(['coverage'], { KUBECONFIG })).exitCode, 0, 'the rights that were named are enough');
  const whole = await cli(['status', '-o', 'json'], { KUBECONFIG });
  t.equal(whole.exitCode, 2);
  const { parts } = JSON.parse(whole.stdout) as { parts: Part[] };
  const unknown = Object.fromEntries(
    parts.filter(({ state }) => state === 'unknown').map((one) => [one.part, one.detail]),
  );
  t.match(unknown, {
    webhook: new RegExp(`${who} may not get deployments`),
    configuration: /may not get mutatingwebhookconfigurations .* in the whole cluster/,
    admission: /may not list namespaces in the whole cluster/,
  });
});

/** Gives the account of the namespace a role in the webhook's namespace. */
async function may(t: Test, namespace: string, verbs: string, resource: string): Promise<void> {
  const name = `${namespace}-${resource.replace('/', '-')}`;
  const own = ['-n', OWN_NAMESPACE];
  t.teardown(() => kubectl(['delete', 'role,rolebinding', name, ...own, '--ignore-not-found']));
  await kubectl(['create', 'role', name, ...own, `--verb=${verbs}`, `--resource=${resource}`]);
  await kubectl(['create', 'rolebinding', name, ...own, `--role=${name}`, `--serviceaccount=${namespace}:nobody`]);
}
