import t from 'tap';
import { createNamespaceStore, namespaceLabels } from '../../webhook/watches.ts';

t.test('a namespace is known from put to remove, and two stores share nothing', async (t) => {
  const store = createNamespaceStore();
  store.put({ name: 'storage', labels: { a: 'b' } });
  t.strictSame(store.labelsOf('storage'), { a: 'b' });
  t.equal(createNamespaceStore().labelsOf('storage'), undefined);
  store.remove({ name: 'storage', labels: {} });
  t.equal(store.labelsOf('storage'), undefined);
});

t.test('names that mean something to JavaScript are unknown like others', async (t) => {
  const store = createNamespaceStore();
  for (const name of ['__proto__', 'constructor', 'toString']) t.equal(store.labelsOf(name), undefined);
});

t.test('a list replaces all that was known', async (t) => {
  const store = createNamespaceStore();
  store.put({ name: 'old', labels: {} });
  store.replace([{ name: 'new', labels: { a: 'b' } }]);
  t.equal(store.labelsOf('old'), undefined);
  t.strictSame(store.labelsOf('new'), { a: 'b' });
});

t.test('of a Namespace its name and labels are kept, of anything else nothing', async (t) => {
  t.strictSame(namespaceLabels({ metadata: { name: 'a' } }), { name: 'a', labels: {} });
  t.strictSame(namespaceLabels({ metadata: { name: 'a', labels: { b: 'c' }, uid: 'u' } }), {
    name: 'a',
    labels: { b: 'c' },
  });
  for (const object of [{}, { metadata: null }, { metadata: {} }, { metadata: { name: 'a', labels: [] } }]) {
    t.equal(namespaceLabels(object), undefined);
  }
});
