// `npm run docs`: writes the generated parts of the documentation anew.
import { writeFile } from 'node:fs/promises';
import { readPages } from './generated-tables.ts';

for (const { path, now, wanted } of await readPages()) {
  if (now !== wanted) await writeFile(path, wanted);
}
