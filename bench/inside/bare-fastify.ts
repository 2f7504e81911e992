// What the webhook is compared with: fastify over TLS that parses the same body and answers a constant.
// Argument: a file with the constant; a few bytes where there is none.
import { readFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import fastify from 'fastify';
import { makeCertificate } from '../../webhook/certificates/make-certificates.ts';

const [, , file] = process.argv;
const answer = file ? readFileSync(file, 'utf8') : '{"allowed":true}';
const { key, cert } = await makeCertificate(new Date());
const server = fastify({ https: { key, cert, minVersion: 'TLSv1.2' } });
server.post('/mutate', (_request, reply) => reply.type('application/json').send(answer));
await server.listen({ host: '127.0.0.1', port: 0 });
process.stdout.write(`${JSON.stringify({ port: (server.server.address() as AddressInfo).port })}\n`);
