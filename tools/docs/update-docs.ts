// `npm run docs`: writes the generated parts of the documentation, and the generated files of the Helm chart, anew.
import { writeFile } from 'node:fs/promises';
import { readChartFiles } from './chart-files.ts';
import { readPages } from './generated-tables.ts';

for (const { path, now, wanted } of [...(await readPages()), ...(await readChartFiles())]) {
  if (now !== wanted) await writeFile(path, wanted);
}
