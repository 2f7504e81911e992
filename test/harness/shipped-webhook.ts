// The bundled webhook as its image starts it, without a cluster, and whether it stays within the memory of its manifest.
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadYaml } from '@kubernetes/client-node';
import { bytesOf, readPeakMemory } from './memory-limit.ts';
import { Program } from './netns/processes.ts';
import { eventually } from './wait-until.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const BUNDLE = `${ROOT}dist/webhook.js`;
const MIB = 1024 ** 2;

export interface ShippedWebhook {
  program: Program;
  port: number;
  metricsPort: number;
  /** PEM. */
  ca: string;
  /** Its log so far. */
  log(): Promise<string>;
  /** Most memory that it had so far, and what its container may have, in MiB. */
  memory(): Promise<{ peak: number; limit: number }>;
  /** Kills it. */
  remove(): Promise<void>;
}

/** What the image sets for Node: flags from the entry point, and the environment of malloc. */
function imageSettings(): { flags: string[]; env: Record<string, string> } {
  const text = readFileSync(`${ROOT}webhook/Containerfile`, 'utf8');
  const entry = JSON.parse(/^ENTRYPOINT (.*)$/m.exec(text)?.[1] ?? '[]') as string[];
  const env = Object.fromEntries([...text.matchAll(/\b(MALLOC_\w+)=(\d+)/g)].map(([, name, value]) => [name, value]));
  return { flags: entry.filter((word) => word.startsWith('--')), env };
}

function memoryLimit(): number {
  const { spec } = loadYaml<{
    spec: { template: { spec: { containers: { resources: { limits: { memory: string } } }[] } } };
  }>(readFileSync(`${ROOT}manifests/base/deployment.yaml`, 'utf8'));
  return bytesOf(spec.template.spec.containers[0]?.resources.limits.memory ?? '') / MIB;
}

/** Starts it on free ports of 127.0.0.1, and waits until it serves. */
export async function startShippedWebhook(...options: string[]): Promise<ShippedWebhook> {
  const folder = await mkdtemp(join(tmpdir(), 'invalid-drop-webhook-'));
  const caFile = join(folder, 'ca.pem');
  const { flags, env } = imageSettings();
  const own = ['--port=0', '--metrics-port=0', `--ca-file=${caFile}`, ...options];
  // tap adds hooks for Node to the environment of each program that a test starts.
  const clean = ['env', '-i', ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
  const command = [...clean, process.execPath, ...flags, BUNDLE, ...own];
  // The log goes to a file, so that no test has to read it.
  const program = new Program('sh', ['-c', 'exec "$@" > "$0"', join(folder, 'log'), ...command]);
  const log = () => readFile(join(folder, 'log'), 'utf8');
  const served = await eventually('the webhook serves', async () => {
    return /"port":(\d+),"metricsPort":(\d+)/.exec(await log()) ?? undefined;
  });
  const limit = memoryLimit();
  return {
    program,
    port: Number(served[1]),
    metricsPort: Number(served[2]),
    ca: readFileSync(caFile, 'utf8'),
    log,
    memory: async () => ({ peak: (await readPeakMemory(program.child.pid ?? 0)) / MIB, limit }),
    async remove() {
      await program.stop('SIGKILL');
      await rm(folder, { recursive: true });
    },
  };
}
