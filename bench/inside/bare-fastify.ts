// What the webhook is held against: fastify over TLS that parses the same body and answers a constant.
import type { AddressInfo } from 'node:net';
import fastify from 'fastify';
import { makeCertificate } from '../../webhook/certificates/make.ts';

const { key, cert } = await makeCertificate(new Date());
const server = fastify({ https: { key, cert, minVersion: 'TLSv1.2' } });
server.post('/mutate', (_request, reply) => reply.send({ allowed: true }));
await server.listen({ host: '127.0.0.1', port: 0 });
process.stdout.write(`${JSON.stringify({ port: (server.server.address() as AddressInfo).port })}\n`);
