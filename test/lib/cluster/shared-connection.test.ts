import type { RequestContext } from '@kubernetes/client-node';
import t from 'tap';
import { shareConnection } from '../../../lib/cluster/cluster-client.ts';

/** A request whose own connection is the one that is named. */
function requestWith(name: string | undefined) {
  let dispatcher = name;
  const set = (given: string) => {
    dispatcher = given;
  };
  const context = { getDispatcher: () => dispatcher, setDispatcher: set } as unknown as RequestContext;
  return { context, used: () => dispatcher };
}

t.test('a connection serves for a minute, or until it is forgotten', async (t) => {
  let now = 0;
  const connection = shareConnection(() => now);
  const use = (name: string | undefined) => {
    const { context, used } = requestWith(name);
    connection.use(context);
    return used();
  };
  t.equal(use('a'), 'a');
  now = 60_000;
  t.equal(use('b'), 'a');
  now = 60_001;
  t.equal(use('c'), 'c');
  connection.forget();
  t.equal(use('d'), 'd');
  t.equal(use(undefined), undefined, 'over plain HTTP the library has none');
});
