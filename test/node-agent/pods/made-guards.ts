// An engine of the node agent with guards, a finder and a clock of the test's.
import { OPT_IN_LABEL } from '../../../lib/contract.ts';
import type { GuardedCondition } from '../../../lib/pod/guarded-condition.ts';
import { type NodePod, podProjection } from '../../../node-agent/pods/node-pod.ts';
import { type PodGuard, PodGuards, type PodSandbox } from '../../../node-agent/pods/pod-guards.ts';
import { type MadePod, madePod, NODE } from '../node-api.ts';

const project = podProjection(NODE, {
  ...({ mode: 'enforce', protocol: 'tcp', onDrift: 'repair' } as const),
  ...({ rescue: 'enabled', beLiberal: 'enabled' } as const),
});

/** A pod as the agent keeps it. */
export function podOf(made: Partial<MadePod> & { uid: string }): NodePod {
  const pod = project(madePod({ name: `p-${made.uid}`, ...made }));
  if (pod === undefined) throw new Error('no pod');
  return pod;
}

/** Its state is what the test says. */
class TestGuard implements PodGuard {
  state: PodGuard['state'] = { state: 'starting', reason: '' };
  readonly calls: string[] = [];
  readonly path: string;
  readonly began = Promise.withResolvers<void>();
  private readonly changed: () => void;

  constructor(path: string, changed: () => void) {
    this.path = path;
    this.changed = changed;
  }

  become(state: PodGuard['state']['state'], reason = ''): void {
    this.state = { state, reason };
    this.changed();
    if (state !== 'starting') this.began.resolve();
  }

  lose(): void {
    this.state = { state: 'starting', reason: 'gone', gone: true };
    this.changed();
  }

  start(): Promise<void> {
    this.calls.push('start');
    return this.began.promise;
  }

  look = () => void this.calls.push('look');
  stop: () => unknown = () => {
    this.calls.push('stop');
    this.began.resolve();
  };

  async withdraw(): Promise<void> {
    this.calls.push('withdraw');
  }
}

/** An engine before its first lists, and all that the test changes and looks at. */
export function madeGuards() {
  let now = 0;
  const guards: TestGuard[] = [];
  const sandboxes = new Map<string, PodSandbox>();
  const wanted: string[] = [];
  const logged: string[] = [];
  const starts: number[] = [];
  /** What a look sees, by the namespace's file, and the files that were looked into. */
  const liberal = new Map<string, boolean | undefined>();
  const looks: string[] = [];
  const written = new Map<string, GuardedCondition>();
  const said = new Map<string, string>();
  const engine = new PodGuards<TestGuard>({
    nodeMode: 'available',
    finder: { find: async ({ uid }) => sandboxes.get(uid) ?? { missing: 'no entry' } },
    makeGuard: (_pod, { path }, changed) => {
      const guard = new TestGuard(path, changed);
      guards.push(guard);
      return guard;
    },
    isLiberal: async ({ path }) => {
      looks.push(path);
      return liberal.get(path);
    },
    conditions: {
      present: ({ uid, condition }) => written.get(uid) ?? condition,
      want: (pod, condition) => {
        const line = `${pod.uid}: ${condition.status} ${condition.reason}`;
        if (said.get(pod.uid) !== line) wanted.push(line);
        said.set(pod.uid, line);
        written.set(pod.uid, { ...condition, since: 1 });
      },
      forget: (uid) => void written.delete(uid),
    },
    noteStart: (seconds) => void starts.push(seconds),
    log: (_level, event) => void logged.push(event),
    now: () => now,
  });
  /** Everything that waits for nothing but its turn is over. */
  const settle = () => new Promise<void>((resolve) => setImmediate(() => setImmediate(resolve)));
  const label = (value: string | undefined, name = 'shop') => {
    const labels = value === undefined ? {} : { [OPT_IN_LABEL]: value };
    if (value === undefined) engine.namespaces.remove({ name, labels });
    else engine.namespaces.put({ name, labels });
  };
  const sandbox = (uid: string, path = `/netns/${uid}`, inode = 1) => {
    sandboxes.set(uid, { path, inode, foundBy: 'cni-cache' });
  };
  const states = () => [...engine.outcomes()].map(({ pod, state }) => `${pod.uid}: ${state}`);
  const pass = async (ms: number) => {
    now += ms;
    engine.tick();
    await settle();
  };
  return { engine, guards, sandboxes, wanted, logged, starts, liberal, looks, settle, label, sandbox, states, pass };
}
