// `kubectl invalid-drop dashboard`: the webhook's status page in the person's browser.
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { wholeNumber } from '../../lib/options.ts';
import { type CliClient, defineCommand, EXIT } from '../cli-command.ts';
import { errors } from '../cli-errors.ts';
import { failureText } from '../refusal.ts';
import { askReplica, findReplicas, type WebhookReplica } from '../webhook-pages.ts';
import { type AskPage, dashboardServer } from './dashboard-server.ts';
import { browserOpener, openBrowser } from './open-browser.ts';

export const DASHBOARD_OPTIONS = {
  port: wholeNumber(0, 65535, {
    env: 'INVALID_DROP_DASHBOARD_PORT',
    help: 'Local port, on 127.0.0.1. 0 selects a free port.',
    default: 0,
  }),
};

export const dashboardCommand = defineCommand({
  name: 'dashboard',
  summary: "opens the webhook's status page in a browser, until Ctrl-C",
  usage: `Usage: kubectl invalid-drop dashboard [--port PORT] [--no-browser]

Serves the webhook's status page on a port of 127.0.0.1, through the API server, prints its address and opens a browser where there is a
screen. Whoever may use this machine can read it while it runs. Ctrl-C ends it.`,
  options: DASHBOARD_OPTIONS,
  switches: { 'no-browser': 'Print the address only.' },
  positionals: 0,
  async run({ values, given }, { connect, print, note, env, stop }) {
    const ask = oneReplica(await connect());
    // Before anything is printed: without it there is nothing to open.
    await ask('/healthz', 'text/plain');
    const server = dashboardServer(ask, failureText);
    server.listen(values.port, '127.0.0.1');
    await once(server, 'listening').catch((error: Error) => {
      throw errors.LOCAL_PORT_TAKEN(values.port, error.message);
    });
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    print(`${url}\n`);
    const opener = given.has('no-browser') ? undefined : browserOpener(process.platform, env);
    if (opener !== undefined) openBrowser(opener, url, (why) => note(`no browser was opened (${why}): open ${url}`));
    if (!stop.aborted) await once(stop, 'abort');
    server.closeAllConnections();
    server.close();
    return EXIT.well;
  },
});

/** Asks the same replica each time, for what a page shows over time is of one process; another one where that does not answer. */
function oneReplica(client: CliClient): AskPage {
  let chosen: WebhookReplica | undefined;
  return async (path, accept) => {
    if (chosen !== undefined) {
      try {
        return await askReplica(client, chosen, path, accept);
      } catch {
        chosen = undefined;
      }
    }
    const replica = (await findReplicas(client)).find(({ ready }) => ready);
    if (replica === undefined) throw errors.WEBHOOK_NOT_READY();
    const answer = await askReplica(client, replica, path, accept);
    chosen = replica;
    return answer;
  };
}
