// What becomes of connections of which one segment is changed, in one pod with a mesh's redirection.
import { fileURLToPath } from 'node:url';
import { ADDRESS, type NetworkNamespace, type Pair } from '../netns/network-namespaces.ts';
import { type Program, patient } from '../netns/processes.ts';
import { ISTIO_SIDECAR, type MeshInPod, startMeshWith } from '../netns/redirected-upload.ts';
import { withSoftwareChecksums } from '../netns/stray-segments.ts';
import { type ChangePoint, changeSegments, countChanged, type OpenExchange, startToNote } from './change-tables.ts';
import type { ChangedExchange, Route } from './changed-exchange.ts';
import type { ExchangeResult, ExchangeTarget } from './exchange-peer.ts';

const PEER = fileURLToPath(new URL('exchange-peer.ts', import.meta.url));
/**
 * Milliseconds within which all exchanges of a connection are done: the segment that was changed, and those after. Where
 * programs are slow, so is the rescue, and TCP doubles its wait meanwhile.
 */
const LIMIT = patient(patient(10_000));
/** Milliseconds that all connections take to open, and those that are stuck longer than LIMIT. */
const PATIENCE = patient(60_000);

const GATEWAY_PORT = 9100;
const POD_PORT = 9000;

/** From where a connection is opened, to where, and which namespace changes its segments. */
const ROUTED = {
  redirected: { client: 'gateway', hosts: ADDRESS.pod, port: POD_PORT, point: 'gateway' },
  outbound: { client: 'pod', hosts: ADDRESS.gateway, port: GATEWAY_PORT, point: 'gateway' },
  loopback: { client: 'pod', hosts: { ipv4: '127.0.0.1', ipv6: '::1' }, port: POD_PORT, point: 'pod' },
} as const satisfies Record<Route, { client: ChangePoint; point: ChangePoint; port: number; hosts: object }>;

/** What was observed of one connection. */
export interface ObservedExchange extends ExchangeResult {
  /** What conntrack says of a connection that is not fine. */
  conntrack: string;
}

/** A pod and a gateway with a peer in each. */
export class ExchangeObserver {
  private readonly pair: Pair;
  private readonly peers: Record<ChangePoint, Program>;
  private readonly asked = { gateway: 0, pod: 0 };
  /** Where segments are changed, or were: an older nft in the pod may not be able to list the tables that do it. */
  private readonly points = new Set<ChangePoint>();

  private constructor(pair: Pair, peers: Record<ChangePoint, Program>) {
    this.pair = pair;
    this.peers = peers;
  }

  static async start(pair: Pair, mesh: MeshInPod = ISTIO_SIDECAR): Promise<ExchangeObserver> {
    const { pod, gateway } = pair;
    const peer = gateway.start(process.execPath, [PEER, String(GATEWAY_PORT)]);
    const [inPod] = await Promise.all([
      startMeshWith(mesh, pair, PEER, String(POD_PORT)),
      peer.waitForOutput(/ready/),
      withSoftwareChecksums(gateway),
      withSoftwareChecksums(pod),
    ]);
    return new ExchangeObserver(pair, { gateway: peer, pod: inPod });
  }

  /**
   * All exchanges of the connections, at the same time.
   * @param limit milliseconds within which those that follow the warm-up are done
   * @returns what was observed, in their order
   */
  async observe(exchanges: ChangedExchange[], limit = LIMIT): Promise<ObservedExchange[]> {
    for (const { route } of exchanges) this.points.add(ROUTED[route].point);
    await this.at((point, namespace) => startToNote(namespace, point));
    const opened: OpenExchange[] = await this.ofClients(exchanges, async (client, ofClient) => {
      const open = ofClient.map(({ route, family, script, pipelined }): ExchangeTarget => {
        const { hosts, port } = ROUTED[route];
        return { host: hosts[family], port, script, pipelined };
      });
      const ports = (await this.ask(client, { open }))['opened'] as number[];
      return ofClient.map((exchange, i) => {
        return { ...exchange, clientPort: ports[i] ?? 0, serverPort: ROUTED[exchange.route].port };
      });
    });
    const changedAt = (point: ChangePoint) => opened.filter(({ route }) => ROUTED[route].point === point);
    await this.at((point, namespace) => changeSegments(namespace, point, changedAt(point)));
    const results = await this.ofClients(opened, async (client) => {
      return (await this.ask(client, { finish: limit }, limit))['finished'] as ExchangeResult[];
    });
    await this.at(async (point, namespace) => {
      const counts = await countChanged(namespace);
      const missed = changedAt(point).filter((_, i) => !counts[i]);
      if (missed.length > 0) throw new Error(`no segment was changed of ${JSON.stringify(missed)}`);
    });
    const known = results.every(({ fate }) => fate === 'fine') ? '' : await this.listConntrack();
    return results.map((result, i) => {
      const ports = [opened[i]?.clientPort, opened[i]?.serverPort].map((port) => `port=${port} `);
      const lines = known.split('\n').filter((line) => ports.every((port) => line.includes(port)));
      return { ...result, conntrack: result.fate === 'fine' ? '' : lines.join('\n') };
    });
  }

  private async at(work: (point: ChangePoint, namespace: NetworkNamespace) => Promise<void>): Promise<void> {
    await Promise.all([...this.points].map((point) => work(point, this.pair[point])));
  }

  /** Does `work` with the exchanges of each client, and gives the results in the order of all exchanges. */
  private async ofClients<E extends ChangedExchange, R>(
    exchanges: E[],
    work: (client: ChangePoint, exchanges: E[]) => Promise<R[]>,
  ): Promise<R[]> {
    const isOf = (client: ChangePoint) => (exchange: E) => ROUTED[exchange.route].client === client;
    const [gateway, pod] = await Promise.all([
      work('gateway', exchanges.filter(isOf('gateway'))),
      work('pod', exchanges.filter(isOf('pod'))),
    ]);
    return exchanges.map((exchange) => (isOf('gateway')(exchange) ? gateway : pod).shift() as R);
  }

  private async ask(client: ChangePoint, order: object, limit = 0): Promise<Record<string, unknown>> {
    const peer = this.peers[client];
    const lines = 1 + ++this.asked[client];
    peer.child.stdin?.write(`${JSON.stringify(order)}\n`);
    await peer.waitForOutput(new RegExp(`^(.*\n){${lines}}`), limit + PATIENCE);
    return JSON.parse(peer.output.split('\n')[lines - 1] ?? '');
  }

  private async listConntrack(): Promise<string> {
    const { pod } = this.pair;
    const lists = await Promise.all(
      ['ipv4', 'ipv6'].map((family) => pod.run('conntrack', ['-L', '-f', family, '-p', 'tcp'])),
    );
    return lists.map(({ stdout }) => stdout).join('\n');
  }
}
