// GET /selfcheck on the plain port.
import type { FastifyInstance } from 'fastify';
import type { SelfcheckReport } from './selfcheck-report.ts';

/** Requests at the same time share one run: whoever can reach the port cannot make the webhook check without end. */
export function selfcheckRoute(run: () => Promise<SelfcheckReport>) {
  let running: Promise<SelfcheckReport> | undefined;
  const shared = () => {
    running ??= run().finally(() => {
      running = undefined;
    });
    return running;
  };
  return (server: FastifyInstance) => {
    server.get('/selfcheck', async (_request, reply) => {
      const report = await shared();
      return reply.code(report.ok ? 200 : 503).send(report);
    });
  };
}
