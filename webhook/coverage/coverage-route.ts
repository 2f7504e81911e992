// GET /coverage on the plain port.
import type { FastifyInstance } from 'fastify';
import { isObject } from '../../lib/json.ts';
import { coverageReport, coverageTable } from './coverage-report.ts';
import type { CoverageStore } from './coverage-store.ts';

/** @param source undefined where coverage is off */
export function coverageRoute(source: () => { store: CoverageStore; synced: boolean } | undefined) {
  return (server: FastifyInstance) => {
    server.get('/coverage', (request, reply) => {
      const coverage = source();
      if (coverage === undefined) {
        return reply
          .code(404)
          .send({ code: 'COVERAGE_OFF', message: 'coverage is off: it needs a cluster, and --coverage enabled' });
      }
      const only = isObject(request.query) ? request.query['namespace'] : undefined;
      const report = coverageReport(coverage.store, coverage.synced, typeof only === 'string' ? only : '');
      const plain = /text\/plain/.test(request.headers.accept ?? '');
      return plain ? reply.type('text/plain; charset=utf-8').send(coverageTable(report)) : reply.send(report);
    });
  };
}
