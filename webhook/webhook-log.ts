// What the webhook's parts need of a logger; pino's, which fastify brings, has it.

/** Writes one line: plain data, and a message that is the same for every occurrence. */
export interface WebhookLog {
  info(details: object, message: string): void;
  warn(details: object, message: string): void;
}
