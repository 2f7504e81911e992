import t from 'tap';
import { COMMANDS } from '../../../cli/commands.ts';
import { completionOutput } from '../../../cli/completion/completion.ts';
import { COMPLETION_SCRIPTS } from '../../../cli/completion/completion-scripts.ts';
import { namespaceIn } from '../../../cli/completion-names.ts';
import { run } from '../../harness/netns/processes.ts';

const asked: string[] = [];
const names = {
  contexts: async () => ['prod', 'test'],
  namespaces: async () => ['media', 'storage'],
  pods: async (namespace: string) => {
    asked.push(namespace);
    return ['store-0', 'web-0'];
  },
};
const after = async (...words: string[]) => {
  const lines = (await completionOutput(words, COMMANDS, names)).split('\n');
  t.strictSame(lines.slice(-2), [':4', ''], 'ends with a directive');
  return lines.slice(0, -2).map((line) => line.split('\t')[0]);
};

t.test('commands, then what they take', async (t) => {
  t.strictSame(await after('sta'), ['status']);
  t.ok((await after('')).includes('coverage'));
  t.strictSame(await after('status', '--w'), ['--wait']);
  t.strictSame(await after('coverage', '-o', ''), ['table', 'wide', 'json', 'yaml']);
  t.strictSame(await after('coverage', '--output=j'), ['--output=json']);
  t.strictSame(await after('completion', 'f'), ['fish']);
  t.strictSame(await after('coverage', ''), [], 'it takes no arguments');
});

t.test('names of the cluster', async (t) => {
  t.strictSame(await after('coverage', '-n', 's'), ['storage']);
  t.strictSame(await after('-n', 'm'), ['media']);
  t.strictSame(await after('status', '--context', ''), ['prod', 'test']);
  t.strictSame(await after('guard', '-n', 'storage', 'st'), ['store-0']);
  t.strictSame(asked, ['storage']);
  for (const words of [['-n', 'a'], ['-na'], ['-n=a'], ['--namespace', 'a'], ['--namespace=a']])
    t.equal(namespaceIn(['guard', ...words]), 'a', words.join(' '));
  t.equal(namespaceIn(['guard']), '');
});

t.test('the scripts for bash and sh are syntactically right', async (t) => {
  for (const [shell, kind] of [
    ['bash', 'bash'],
    ['sh', 'kubectl'],
  ] as const) {
    const { exitCode, stderr } = await run(shell, ['-n'], { input: COMPLETION_SCRIPTS[kind] ?? '' });
    t.strictSame([exitCode, stderr], [0, ''], kind);
  }
});

t.test('bash completes by the script', async (t) => {
  const folder = t.testdir({
    'kubectl-invalid_drop': `#!/bin/sh\nprintf '%s\\n' "$*" >&2\nprintf 'status\\tsays\\ncoverage\\tprints\\n:4\\n'\n`,
  });
  const script = `PATH=${folder}:$PATH; chmod +x ${folder}/*; ${COMPLETION_SCRIPTS['bash']}
COMP_WORDS=(kubectl-invalid_drop sta); COMP_CWORD=1; _kubectl_invalid_drop; printf '%s,' "\${COMPREPLY[@]}"`;
  const { stdout } = await run('bash', ['-c', script]);
  t.equal(stdout, 'status,coverage,');
});
