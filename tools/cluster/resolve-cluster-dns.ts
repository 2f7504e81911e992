// Asks the cluster DNS for the API server's Service, in the network namespace that it runs in; the exit code answers.
import { Resolver } from 'node:dns/promises';
import { NETWORK } from './cluster-layout.ts';

const resolver = new Resolver({ timeout: 1000, tries: 1 });
resolver.setServers([NETWORK.node.ipv4]);
const addresses = await resolver.resolve4('kubernetes.default.svc.cluster.local').catch((): string[] => []);
process.exitCode = addresses.includes(NETWORK.kubernetes.ipv4) ? 0 : 1;
