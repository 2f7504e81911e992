import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { createDirectoryReader, watchDirectory } from '../../../webhook/certificates/certificate-directory.ts';
import { type KeyPair, makeCertificate } from '../../../webhook/certificates/make-certificates.ts';
import { until } from '../../harness/wait-until.ts';

const first = await makeCertificate(new Date());
const second = await makeCertificate(new Date());

/** A folder as the kubelet mounts a Secret: files are links into a folder that is exchanged as a whole. */
function mountedSecret(t: Test) {
  const path = t.testdir({});
  let version = 0;
  for (const name of ['tls.crt', 'tls.key']) symlinkSync(join('..data', name), join(path, name));
  return {
    path,
    put({ cert, key }: KeyPair): void {
      version += 1;
      const folder = `..v${version}`;
      mkdirSync(join(path, folder));
      writeFileSync(join(path, folder, 'tls.crt'), cert);
      writeFileSync(join(path, folder, 'tls.key'), key);
      symlinkSync(folder, join(path, '..new'));
      renameSync(join(path, '..new'), join(path, '..data'));
    },
  };
}

function reader(path: string) {
  const served: string[] = [];
  const warnings: { reason?: string }[] = [];
  const read = createDirectoryReader({
    path,
    serve: ({ cert }) => served.push(cert),
    log: { info: () => {}, warn: (details) => warnings.push(details) },
  });
  return { read, served, warnings };
}

t.test('what is new is served, once', async (t) => {
  const secret = mountedSecret(t);
  const { read, served } = reader(secret.path);
  secret.put(first);
  await read();
  await read();
  secret.put(second);
  await read();
  t.strictSame(served, [first.cert, second.cert]);
});

t.test(
  'an empty folder, a key of another certificate, and no PEM are said once each, and what was served stays',
  async (t) => {
    const secret = mountedSecret(t);
    const { read, served, warnings } = reader(secret.path);
    await read();
    await read();
    t.equal(warnings.length, 1);
    t.match(warnings[0]?.reason, /ENOENT/);
    secret.put(first);
    await read();
    secret.put({ cert: second.cert, key: first.key });
    await read();
    secret.put({ cert: 'hello', key: 'there' });
    await read();
    t.strictSame(served, [first.cert]);
    t.equal(warnings.length, 2);
    t.match(warnings[1]?.reason, /do not belong together/);
    t.notMatch(JSON.stringify(warnings), /PRIVATE/);
  },
);

t.test('an exchange of the folder wakes the reader, and a folder that is not there does no harm', async (t) => {
  const secret = mountedSecret(t);
  secret.put(first);
  let woken = 0;
  const stop = watchDirectory(secret.path, () => {
    woken += 1;
  });
  t.teardown(stop);
  secret.put(second);
  await until('it is woken', () => woken > 0);
  const gone = join(secret.path, 'gone');
  rmSync(gone, { force: true });
  t.doesNotThrow(() => watchDirectory(gone, () => {})());
});
