import t from 'tap';
import { createNamespaceStore, knownNamespace } from '../../webhook/watches.ts';

const named = (name: string, labels: Record<string, string> = {}) => ({ name, metadata: { labels, annotations: {} } });
const kept = (annotations: object) => knownNamespace({ metadata: { name: 'a', annotations } })?.metadata.annotations;

t.test('a namespace is known from put to remove, and two stores share nothing', async (t) => {
  const store = createNamespaceStore();
  store.put(named('storage', { a: 'b' }));
  t.strictSame(store.namespaceOf('storage')?.labels, { a: 'b' });
  t.equal(createNamespaceStore().namespaceOf('storage'), undefined);
  store.remove(named('storage'));
  t.equal(store.namespaceOf('storage'), undefined);
});

t.test('names that mean something to JavaScript are unknown like others', async (t) => {
  const store = createNamespaceStore();
  for (const name of ['__proto__', 'constructor', 'toString']) t.equal(store.namespaceOf(name), undefined);
});

t.test('a list replaces all that was known', async (t) => {
  const store = createNamespaceStore();
  store.put(named('old'));
  store.replace([named('new', { a: 'b' })]);
  t.equal(store.namespaceOf('old'), undefined);
  t.strictSame(store.namespaceOf('new')?.labels, { a: 'b' });
});

t.test('of a Namespace its name and labels are kept, of anything else nothing', async (t) => {
  t.strictSame(knownNamespace({ metadata: { name: 'a' } }), named('a'));
  t.strictSame(knownNamespace({ metadata: { name: 'a', labels: { b: 'c' }, uid: 'u' } }), named('a', { b: 'c' }));
  for (const object of [{}, { metadata: null }, { metadata: {} }, { metadata: { name: 'a', labels: [] } }]) {
    t.equal(knownNamespace(object), undefined);
  }
});

t.test('of its annotations those of meshes are kept, and no long one', async (t) => {
  const ports = { 'config.linkerd.io/skip-inbound-ports': '25' };
  t.strictSame(kept({ 'linkerd.io/inject': 'enabled', ...ports, other: 'x' }), {
    'linkerd.io/inject': 'enabled',
    ...ports,
  });
  t.strictSame(kept({ other: 'x'.repeat(5000) }), {});
  t.equal(kept({ 'config.linkerd.io/skip-inbound-ports': '1,'.repeat(600) }), undefined, 'a part would be wrong');
  t.equal(kept([]), undefined);
});
