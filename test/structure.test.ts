// What holds for all source files: unique names, and which folder may import from which. That there are no import
// cycles is checked by the linter (noImportCycles in biome.json, type imports included).
import { readdir, readFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const FOLDERS = ['lib', 'cli', 'init-image', 'node-agent', 'webhook', 'tools', 'demo', 'bench', 'test'];

/** A source file: its path below the root, and its text. */
interface SourceFile {
  path: string;
  text: string;
}

/** Folders, or parts of them, that the files of a folder may import from. */
const MAY_IMPORT: Record<string, string[]> = {
  lib: ['lib'],
  'init-image': ['init-image', 'lib'],
  webhook: ['webhook', 'lib'],
  'node-agent': ['node-agent', 'lib'],
  // The command builds the containers that the webhook builds, and decides about a pod as its coverage does.
  cli: [
    ...['cli', 'lib', 'webhook/admission', 'webhook/coverage', 'webhook/selfcheck/configuration-finding.ts'],
    'webhook/webhook-options.ts',
  ],
  // Tooling shares code with the tests by test/harness.
  tools: ['tools', 'cli', 'webhook', 'init-image', 'node-agent', 'lib', 'test/harness'],
  demo: ['demo', 'tools', 'webhook', 'init-image', 'node-agent', 'lib', 'test/harness'],
  bench: ['bench', 'demo', 'tools', 'cli', 'webhook', 'init-image', 'node-agent', 'lib', 'test/harness'],
  test: [...FOLDERS, 'build.ts'],
};

/** Imports across folders that stay, each with its reason. */
const EXCEPTIONS = [
  // The documentation shows the same evidence as the tests see.
  'tools/docs/explain-examples.ts imports test/init-image/explain/made-evidence.ts',
  'tools/docs/explain-examples.ts imports test/lib/resets/made-resets.ts',
];

async function sourceFiles(): Promise<SourceFile[]> {
  const lists = FOLDERS.map(async (folder) => {
    const names = await readdir(`${ROOT}${folder}`, { recursive: true });
    return names.filter((name) => name.endsWith('.ts')).map((name) => `${folder}/${name}`);
  });
  const paths = ['build.ts', ...(await Promise.all(lists)).flat()].sort();
  return Promise.all(paths.map(async (path) => ({ path, text: await readFile(`${ROOT}${path}`, 'utf8') })));
}

/**
 * Paths of the project's files that a file imports or re-exports. A word `from` inside a text is not one: ^ and no ;.
 */
function importsOf({ path, text }: SourceFile): string[] {
  const statements = text.matchAll(/^(?:import|export)\b[^;'"`]*?(?:from\s*)?['"](\.[^'"]+)['"]/gm);
  const calls = text.matchAll(/\bimport\(\s*['"](\.[^'"]+)['"]/g);
  return [...statements, ...calls].map(([, specifier = '']) => join(dirname(path), specifier));
}

/** Imports that cross folders where they may not, as "A imports B". */
function forbiddenImports(files: SourceFile[]): string[] {
  return files.flatMap((file) => {
    const allowed = MAY_IMPORT[file.path.split('/')[0] ?? ''];
    if (!allowed) return [];
    return importsOf(file)
      .filter((to) => to.endsWith('.ts') && !allowed.some((place) => to === place || to.startsWith(`${place}/`)))
      .map((to) => `${file.path} imports ${to}`);
  });
}

function importsOfTests(files: SourceFile[]): string[] {
  return files.flatMap((file) =>
    importsOf(file)
      .filter((to) => /\.(test|e2e|mesh|node|release|browser)\.ts$/.test(to))
      .map((to) => `${file.path} imports ${to}`),
  );
}

/** Names that more than one file has, each with the files. */
function repeated(files: SourceFile[], namesIn: (file: SourceFile) => string[]): Map<string, string[]> {
  const places = new Map<string, string[]>();
  for (const file of files) {
    for (const name of namesIn(file)) places.set(name, [...(places.get(name) ?? []), file.path]);
  }
  return new Map([...places].filter(([, paths]) => paths.length > 1));
}

function exportedTypes({ text }: SourceFile): string[] {
  const declared = text.matchAll(/^export (?:default |declare |abstract )*(?:type|interface|class|enum) (\w+)/gm);
  return [...new Set([...declared].map(([, name = '']) => name))];
}

const listed = (names: Map<string, string[]>) => [...names].map(([name, paths]) => `${name}: ${paths.join(', ')}`);

t.test('the rules see what breaks them', async (t) => {
  // Not written out: this file is among those that are looked at.
  const TEST = '.test.ts';
  const files = [
    { path: 'lib/a.ts', text: "import { b } from '../webhook/b.ts';\nexport interface Twice {}\n" },
    { path: 'webhook/b.ts', text: "export type { C } from '../init-image/c.ts';\nexport class Twice {}\n" },
    { path: 'init-image/c.ts', text: `export * from '../lib/a.ts';\nconst d = import('../test/d${TEST}');\n` },
    { path: 'tools/a.ts', text: "import {\n  e,\n} from '../test/harness/e.ts';\nimport '../test/f.ts';\n" },
  ];
  t.same(forbiddenImports(files), [
    'lib/a.ts imports webhook/b.ts',
    'webhook/b.ts imports init-image/c.ts',
    'init-image/c.ts imports test/d.test.ts',
    'tools/a.ts imports test/f.ts',
  ]);
  t.same(importsOfTests(files), ['init-image/c.ts imports test/d.test.ts']);
  t.same(listed(repeated(files, ({ path }) => [basename(path)])), ['a.ts: lib/a.ts, tools/a.ts']);
  t.same(listed(repeated(files, exportedTypes)), ['Twice: lib/a.ts, webhook/b.ts']);
});

const files = await sourceFiles();

t.test('base names of files are unique', async (t) => {
  t.same(listed(repeated(files, ({ path }) => [basename(path)])), []);
});

t.test('names of exported types, interfaces and classes are unique', async (t) => {
  t.same(listed(repeated(files, exportedTypes)), []);
});

t.test('files import only from the folders that theirs may import from', async (t) => {
  t.same(
    forbiddenImports(files).filter((line) => !EXCEPTIONS.includes(line)),
    [],
  );
});

t.test('no file imports a test', async (t) => {
  t.same(importsOfTests(files), []);
});

t.test('a file has at most 450 lines', async (t) => {
  const long = files.filter(({ text }) => text.split('\n').length > 451);
  t.same(
    long.map(({ path, text }) => `${path}: ${text.split('\n').length - 1} lines`),
    [],
  );
});
