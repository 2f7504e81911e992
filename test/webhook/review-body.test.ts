import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import t from 'tap';
import { countValues, createBodyReader } from '../../webhook/review-body.ts';

const KIB = 1024;
const LARGE = 200 * KIB;

/** A request whose body comes when the test says so. */
function arriving(headers: Record<string, string> = {}) {
  const request = new IncomingMessage(new Socket());
  Object.assign(request.headers, headers);
  return request;
}

function whole(body: string): IncomingMessage {
  const request = arriving();
  request.push(body);
  request.push(null);
  request.complete = true;
  return request;
}

/** JSON text of so many bytes. */
const textOf = (bytes: number) => JSON.stringify('x'.repeat(bytes - 2));
const codeOf = (error: unknown) => (error as { code?: string }).code;
const turns = async (count: number) => {
  for (let index = 0; index < count; index++) await new Promise(setImmediate);
};

t.test('values are counted outside of texts, and texts end where JSON says', async (t) => {
  const table: [string, number][] = [
    ['', 0],
    ['1', 0],
    ['[]', 1],
    ['[1,2,3]', 3],
    ['{"a":[{},{}],"b":"[[[,,,{{"}', 6],
    ['["\\"[[[",1]', 2],
    ['["\\\\",[]]', 3],
    ['["\\\\\\"",[]]', 3],
    ['["\u00fc[","[[["]', 2],
  ];
  for (const [text, count] of table) t.equal(countValues(Buffer.from(text)), count, text);
});

t.test('a body within the limits comes out as it is', async (t) => {
  const read = createBodyReader(300 * KIB);
  t.strictSame(await read(whole('{"__proto__":1}')), JSON.parse('{"__proto__":1}'));
  t.equal(await read(whole(textOf(LARGE))), 'x'.repeat(LARGE - 2));
  const request = arriving();
  const result = read(request);
  for (const byte of Buffer.from('["\u00fc\u{1f40b}"]')) request.push(Buffer.from([byte]));
  request.push(null);
  t.strictSame(await result, ['\u00fc\u{1f40b}']);
});

t.test('what is over a limit is refused, and says which', async (t) => {
  const read = createBodyReader(300 * KIB);
  const values = `[${'[],'.repeat(49_999)}0]`;
  t.equal(await read(arriving({ 'content-length': String(300 * KIB + 1) })).catch(codeOf), 'REVIEW_TOO_LARGE');
  t.equal(await read(whole(textOf(300 * KIB + 1))).catch(codeOf), 'REVIEW_TOO_LARGE');
  t.equal(String(await read(whole(textOf(300 * KIB)))).length, 300 * KIB - 2);
  t.equal(await read(whole(`[${values.slice(1)}`)).catch(codeOf), 'REVIEW_TOO_COMPLEX');
  t.match(await read(whole('')).catch((error) => error), { name: 'SyntaxError', message: /empty/ });
  const cut = arriving();
  const result = read(cut).catch((error) => error);
  cut.push('{');
  cut.destroy();
  t.match(await result, { message: /ended early/ });
});

t.test('of bodies that take too much together the one that began first is given up', async (t) => {
  const read = createBodyReader(100 * KIB);
  const codes: (string | undefined)[] = [];
  const bodies = Array.from({ length: 20 }, (_, index) => {
    const request = arriving();
    read(request).catch((error) => {
      codes[index] = codeOf(error);
    });
    return request;
  });
  for (const request of bodies) {
    request.push(Buffer.alloc(99 * KIB, 'x'));
    await turns(2);
  }
  const given = codes.filter((code) => code === 'REVIEWS_TOO_MANY').length;
  t.ok(given >= 10, `${given} are given up`);
  t.strictSame(codes, Array(given).fill('REVIEWS_TOO_MANY'), 'the first ones');
  t.equal(await read(whole('1')), 1, 'and the next is read');
  const tiny = arriving();
  let code: string | undefined;
  read(tiny).catch((error) => {
    code = codeOf(error);
  });
  for (let index = 0; index < 4000 && code === undefined; index++) {
    tiny.push(Buffer.from('x'));
    if (index % 100 === 0) await turns(2);
  }
  await turns(5);
  t.equal(codes.filter((one) => one === 'REVIEWS_TOO_MANY').length, 20, 'small pieces count for what they take');
});

t.test('large bodies are read one at a time, and small ones between them', async (t) => {
  const read = createBodyReader(300 * KIB);
  const order: string[] = [];
  const large = Array.from({ length: 5 }, (_, index) =>
    read(whole(textOf(LARGE))).then(() => order.push(`large ${index}`)),
  );
  let done = false;
  const small = (async () => {
    while (!done) {
      await read(whole('0'));
      order.push('small');
      await turns(1);
    }
  })();
  await Promise.all(large);
  done = true;
  await small;
  t.strictSame(
    order.filter((one) => one !== 'small'),
    ['large 0', 'large 1', 'large 2', 'large 3', 'large 4'],
  );
  for (let index = 0; index < 4; index++) {
    const between = order.slice(order.indexOf(`large ${index}`), order.indexOf(`large ${index + 1}`));
    t.ok(between.includes('small'), `after large ${index}`);
  }
});

t.test('a large body whose sender has gone is not read when its turn comes', async (t) => {
  const read = createBodyReader(300 * KIB);
  const first = read(whole(textOf(LARGE)));
  const request = whole(textOf(LARGE));
  const second = read(request).catch(codeOf);
  request.socket.destroy();
  await first;
  t.equal(await second, 'REVIEWS_TOO_MANY');
});
