import { createPrivateKey, X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { writeCertificates } from '../../../tools/cluster/cluster-certificates.ts';
import { layoutOf } from '../../../tools/cluster/cluster-layout.ts';

const directory = await mkdtemp(join(tmpdir(), 'certificates-'));
t.teardown(() => rm(directory, { recursive: true }));
const pki = join(directory, 'pki');
await writeCertificates({ ...layoutOf('one'), pki }, 2);
const certificate = async (name: string) => new X509Certificate(await readFile(`${pki}/${name}.crt`));

t.test('every certificate is signed by the CA, and has its key beside it', async (t) => {
  const authority = await certificate('ca');
  const names = (await readdir(pki)).filter((file) => file.endsWith('.crt')).map((file) => file.slice(0, -4));
  t.ok(names.length > 5);
  for (const name of names) {
    const own = await certificate(name);
    t.ok(own.verify(authority.publicKey), name);
    t.ok(own.checkPrivateKey(createPrivateKey(await readFile(`${pki}/${name}.key`))), name);
  }
});

t.test('the API server may be called by the names and addresses of its Service', async (t) => {
  const own = await certificate('kube-apiserver');
  t.ok(own.checkHost('kubernetes.default.svc'));
  for (const address of ['10.96.0.1', 'fd10:96::1', '10.244.0.1']) t.ok(own.checkIP(address), address);
});

t.test('users and groups are those that Kubernetes grants rights to', async (t) => {
  t.match((await certificate('kubelet')).subject, /CN=system:node:one\nO=system:nodes/);
  t.match((await certificate('admin')).subject, /O=system:masters/);
});

t.test('each kubelet calls and serves as its node, under its own addresses', async (t) => {
  for (const [file, name, own, other] of [
    ['kubelet', 'one', '10.244.0.1', '10.244.64.1'],
    ['kubelet@2', 'one-2', '10.244.64.1', '10.244.0.1'],
  ] as const) {
    t.match((await certificate(file)).subject, `CN=system:node:${name}\nO=system:nodes`);
    const serving = await certificate(file.replace('kubelet', 'kubelet-serving'));
    t.ok(serving.checkIP(own), own);
    t.notOk(serving.checkIP(other), other);
  }
});

t.test('only their owner may read the keys', async (t) => {
  t.equal((await stat(pki)).mode & 0o077, 0);
  for (const file of await readdir(pki)) t.equal((await stat(`${pki}/${file}`)).mode & 0o077, 0, file);
});
