import { rm, writeFile } from 'node:fs/promises';
import t from 'tap';
import { checkSums, parseSums, sumFiles, sumsText, writeSums } from '../../../tools/release/checksums.ts';

t.test('every file is summed, in the order of paths; sums and signatures are not', async (t) => {
  const folder = t.testdir({ b: 'b', a: { c: '' }, SHA256SUMS: 'old', 'b.sigstore.json': '{}' });
  const files = await sumFiles(folder);
  t.same(files, [
    { path: 'a/c', bytes: 0, sha256: 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' },
    { path: 'b', bytes: 1, sha256: '3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d' },
  ]);
  t.same(
    [...parseSums(sumsText(files))],
    files.map(({ path, sha256 }) => [path, sha256]),
  );
});

t.test('a file that is changed, missing or more is an error that names it', async (t) => {
  const folder = t.testdir({ a: 'a', b: 'b' });
  await t.rejects(checkSums(folder), { code: 'RELEASE_NOT_MADE' });
  await writeSums(folder);
  await checkSums(folder);
  await writeFile(`${folder}/a`, 'x');
  await t.rejects(checkSums(folder), { code: 'RELEASE_ALTERED', message: /^a has SHA-256 .*, and SHA256SUMS says/ });
  await rm(`${folder}/a`);
  await t.rejects(checkSums(folder), { code: 'RELEASE_ALTERED', message: /^a is in SHA256SUMS, and is missing/ });
  await writeFile(`${folder}/a`, 'a');
  await writeFile(`${folder}/c`, 'c');
  await t.rejects(checkSums(folder), { code: 'RELEASE_ALTERED', message: /^c is not in SHA256SUMS/ });
  await writeFile(`${folder}/SHA256SUMS`, 'what\n');
  await t.rejects(checkSums(folder), { code: 'RELEASE_ALTERED', message: /has the line "what"/ });
});
