// One side of many connections: serves on a port, and opens connections on command. `exchange-peer.ts PORT`, then a
// line of JSON on standard input for each thing to do, which is answered with a line when it is done:
//   {"open": [{"host", "port", ...}]}  drops earlier connections, connects, does the warm-ups: {"opened": [LOCALPORT]}
//   {"finish": LIMIT}                  does all other exchanges: {"finished": [{"fate", ...}]} within LIMIT ms
// Exchanges of all connections are done at the same time.
import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import type { ConnectionFate } from '../netns/stray-kinds.ts';
import { type Exchange, exchangesOf, SCRIPTS } from './exchange-scripts.ts';

/** A connection that is to be opened. */
export interface ExchangeTarget {
  host: string;
  port: number;
  /** Index of its script. */
  script: number;
  /** After the warm-up, requests do not wait for the answers of earlier ones. */
  pipelined?: boolean | undefined;
}

/** What became of a connection: exchanges that were done after the warm-up, milliseconds that they took. */
export interface ExchangeResult {
  fate: ConnectionFate;
  done: number;
  ms: number;
  /** Why the connection ended, where it did. */
  code?: string | undefined;
}

function scriptOf(number: number) {
  const script = SCRIPTS[number];
  if (!script) throw new Error(`no script ${number}`);
  return script;
}

/** The side that opens. */
class Client {
  readonly socket: Socket;
  private readonly script: number;
  private readonly pipelined: boolean | undefined;
  private expected = 0;
  private received = 0;
  private ended: string | undefined;
  private wake: () => void = () => undefined;

  constructor({ host, port, script, pipelined }: ExchangeTarget) {
    this.script = script;
    this.pipelined = pipelined;
    this.socket = connect({ host, port, noDelay: true });
    this.socket.on('error', (error: NodeJS.ErrnoException) => {
      this.ended = error.code ?? error.message;
    });
    this.socket.on('close', () => {
      this.ended ??= 'closed';
      this.wake();
    });
    this.socket.on('data', ({ length }) => {
      this.received += length;
      this.wake();
    });
  }

  async open(): Promise<number> {
    await once(this.socket, 'connect');
    for (const exchange of scriptOf(this.script).warmUp) await this.exchange(exchange);
    if (this.ended !== undefined) throw new Error(`a warm-up ended: ${this.ended}`);
    return this.socket.localPort ?? 0;
  }

  /** @returns whether it was done: the connection may end before */
  private async exchange([request, answer]: Exchange): Promise<boolean> {
    this.request(request);
    return this.answer(answer);
  }

  private request(bytes: number): void {
    this.socket.write(Buffer.alloc(bytes, this.script));
  }

  private async answer(bytes: number): Promise<boolean> {
    this.expected += bytes;
    while (this.received < this.expected && this.ended === undefined) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
    }
    return this.received >= this.expected;
  }

  async finish(limit: number): Promise<ExchangeResult> {
    const { changed, after } = scriptOf(this.script);
    const exchanges = [changed, ...after];
    const started = performance.now();
    let done = 0;
    const all = async (): Promise<ConnectionFate> => {
      if (this.pipelined) for (const [request] of exchanges) this.request(request);
      for (const exchange of exchanges) {
        if (!(await (this.pipelined ? this.answer(exchange[1]) : this.exchange(exchange)))) return 'reset';
        done++;
      }
      return 'fine';
    };
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<ConnectionFate>((resolve) => {
      timer = setTimeout(resolve, limit, 'stuck');
    });
    const fate = await Promise.race([all(), late]);
    clearTimeout(timer);
    return { fate, done, ms: Math.round(performance.now() - started), code: this.ended };
  }
}

/** The side that serves one connection: an answer as soon as a request is complete. */
function serve(socket: Socket): void {
  let exchanges: Exchange[] | undefined;
  let script = 0;
  let received = 0;
  socket.setNoDelay(true);
  socket.on('error', () => undefined);
  socket.on('data', (chunk: Buffer) => {
    if (!exchanges) {
      script = chunk[0] ?? 0;
      exchanges = exchangesOf(scriptOf(script));
    }
    received += chunk.length;
    for (let [next] = exchanges; next && received >= next[0]; [next] = exchanges) {
      received -= next[0];
      exchanges.shift();
      socket.write(Buffer.alloc(next[1], script));
    }
  });
}

let clients: Client[] = [];

async function obey({ open, finish }: { open?: ExchangeTarget[]; finish?: number }): Promise<object> {
  if (finish !== undefined) return { finished: await Promise.all(clients.map((client) => client.finish(finish))) };
  for (const { socket } of clients) socket.destroy();
  clients = (open ?? []).map((target) => new Client(target));
  return { opened: await Promise.all(clients.map((client) => client.open())) };
}

if (import.meta.main) {
  createInterface({ input: process.stdin }).on('line', async (line) => {
    process.stdout.write(`${JSON.stringify(await obey(JSON.parse(line)))}\n`);
  });
  const [port] = process.argv.slice(2);
  createServer(serve).listen(Number(port), () => process.stdout.write('ready\n'));
}
