// Every error that these programs report: a stable code, and a message that says what was wrong, with what
// value, and what to do. The webhook adds its own table with the same helper (webhook/errors.ts).

/** An error with a code that stays the same from release to release, so that people can search for it. */
export class CodedError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.name = 'CodedError';
    this.code = code;
  }
}

/**
 * Turns a table of codes and message functions into functions that make the error.
 * @param table code to a function from details to the message
 * @returns the same keys; each function returns a CodedError with that code
 */
export function defineErrors<T extends Record<string, (...details: never[]) => string>>(table: T) {
  const entries = Object.entries(table).map(([code, message]) => [
    code,
    (...details: never[]) => new CodedError(code, message(...details)),
  ]);
  return Object.fromEntries(entries) as { [K in keyof T]: (...details: Parameters<T[K]>) => CodedError };
}

export const errors = defineErrors({
  OPTION_INVALID: (name: string, value: string, allowed: string) => `${name}="${value}" is not allowed: use ${allowed}`,
  OPTION_UNKNOWN: (argument: string) => `unknown argument "${argument}": --help lists the options`,
});
