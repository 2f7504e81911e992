import t from 'tap';
import { createNamespaceStore } from '../../webhook/namespaces.ts';

t.test('a namespace is known from put to remove, and two stores share nothing', async (t) => {
  const store = createNamespaceStore();
  store.put('storage', { a: 'b' });
  t.strictSame(store.labelsOf('storage'), { a: 'b' });
  t.equal(createNamespaceStore().labelsOf('storage'), undefined);
  store.remove('storage');
  t.equal(store.labelsOf('storage'), undefined);
});

t.test('names that mean something to JavaScript are unknown like others', async (t) => {
  const store = createNamespaceStore();
  for (const name of ['__proto__', 'constructor', 'toString']) t.equal(store.labelsOf(name), undefined);
});
