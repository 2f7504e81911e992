import t from 'tap';
import { countDown, explain } from '../../../init-image/explain/explain.ts';
import { errors } from '../../../lib/errors.ts';

const stopped = AbortSignal.abort();
const readStrays = async () => ({ connections: null, rescue: null });

t.test('a ruleset that cannot be read is an answer with its own exit code, not a crash', async (t) => {
  let printed = '';
  const write = (text: string) => {
    printed += text;
  };
  const read = () => Promise.reject(errors.COMMAND_FAILED('nft', 1, 'Operation not permitted'));
  t.equal(await explain({ seconds: 300, json: true, read, readStrays, write, stop: stopped }), 2);
  t.match(JSON.parse(printed), { answer: 'cannot tell', code: 'rules-unreadable', why: /CAP_NET_ADMIN/ });
  printed = '';
  await explain({ seconds: 300, json: false, read, readStrays, write, stop: stopped });
  t.match(printed, /^Was it this\? Cannot tell\./);
});

t.test('an unexpected error is thrown', async (t) => {
  const read = () => Promise.reject(new TypeError('a fault'));
  await t.rejects(explain({ seconds: 1, json: true, read, readStrays, write: () => undefined, stop: stopped }), {
    message: 'a fault',
  });
});

t.test('the watch reports the seconds left, and ends when it is stopped', async (t) => {
  const stop = new AbortController();
  const progress: string[] = [];
  await countDown(300, stop.signal, (text) => {
    progress.push(text);
    stop.abort();
  });
  t.match(progress, [/300 s left/, '\r\u001b[K']);
});
