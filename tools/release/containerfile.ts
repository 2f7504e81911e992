// What a Containerfile says, for an image that is assembled from files: which packages, which files, and how it runs.
// Only the words that ours use are understood; anything else in the last stage is an error.
import { errors } from './release-errors.ts';

/** A layer: what is copied from which stage. */
export interface CopiedLayer {
  stage: string;
  /** Paths in that stage; the last part may have a `*`. */
  sources: string[];
  /** A file, or a folder where it ends in a slash. */
  target: string;
}

export interface ImageRecipe {
  /** Arguments of image-root.sh: PACKAGE, PACKAGE:FILE or /FIFO. */
  packages: string[];
  /** Lowest first. */
  layers: CopiedLayer[];
  env: string[];
  user: string;
  entrypoint: string[];
  labels: Record<string, string>;
}

/**
 * Reads the last stage of a Containerfile, and the packages that its stage `root` installs.
 * @param args build arguments; those that are not given have the defaults of ARG
 * @param file is named in errors
 * @throws CodedError RELEASE_CONTAINERFILE
 */
export function readContainerfile(text: string, args: Record<string, string>, file: string): ImageRecipe {
  const lines = text
    .replace(/^\s*#.*\n/gm, '')
    .replace(/\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
  const [, packages] =
    lines.map((line) => line.match(/^RUN sh \/image-root\.sh \/root-of-image (.+)$/)).find(Boolean) ?? [];
  if (!packages) throw errors.RELEASE_CONTAINERFILE(file, '', 'no stage runs image-root.sh');
  const last = lines.findLastIndex((line) => line.startsWith('FROM '));
  if (lines[last] !== 'FROM scratch')
    throw errors.RELEASE_CONTAINERFILE(file, lines[last] ?? '', 'FROM scratch is needed');
  const recipe: ImageRecipe = {
    packages: packages.split(/\s+/),
    layers: [],
    env: [],
    user: '',
    entrypoint: [],
    labels: {},
  };
  const values = { ...args };
  for (const line of lines.slice(last + 1)) addInstruction(recipe, line, { values, file });
  return recipe;
}

/** NAME=VALUE or NAME="VALUE with spaces". */
const PAIR = /([\w.]+)=(?:"([^"]*)"|(\S*))/g;

function addInstruction(recipe: ImageRecipe, line: string, at: { values: Record<string, string>; file: string }): void {
  const [word = ''] = line.split(/\s/, 1);
  const rest = line.slice(word.length).trim();
  const pairs = () =>
    [...rest.matchAll(PAIR)].map(([, name = '', quoted, bare = '']) => [name, quoted ?? bare] as const);
  switch (word) {
    case 'COPY':
      recipe.layers.push(copied(line, at.file));
      break;
    case 'ENV':
      recipe.env.push(...pairs().map(([name, value]) => `${name}=${value}`));
      break;
    case 'USER':
      recipe.user = rest;
      break;
    case 'ENTRYPOINT':
      recipe.entrypoint = JSON.parse(rest) as string[];
      break;
    case 'ARG':
      for (const [name, value] of pairs()) at.values[name] ??= value;
      break;
    case 'LABEL':
      for (const [name, value] of pairs()) {
        recipe.labels[name] = value.replace(/\$\{(\w+)\}/g, (_, variable: string) => at.values[variable] ?? '');
      }
      break;
    default:
      throw errors.RELEASE_CONTAINERFILE(at.file, line, `${word} is not known`);
  }
}

function copied(line: string, file: string): CopiedLayer {
  const [, stage, paths = ''] = line.match(/^COPY --from=(\w+) (.+)$/) ?? [];
  const all = paths.split(/\s+/);
  const target = all.pop();
  if (!stage || !target || all.length === 0)
    throw errors.RELEASE_CONTAINERFILE(file, line, 'not COPY --from=STAGE A B');
  return { stage, sources: all, target };
}
