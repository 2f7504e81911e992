// What a command asks for where its arguments are completed.

/** Names from the cluster; [] where it does not say in time. */
export interface CompletionNames {
  contexts(): Promise<string[]>;
  namespaces(): Promise<string[]>;
  /** @param namespace '' for the context's own */
  pods(namespace: string): Promise<string[]>;
}

/** The namespace that the words before name, by -n or --namespace; '' where they name none. */
export function namespaceIn(before: string[]): string {
  const joined = before
    .map((word) => /^(?:--namespace=|-n=?(?=.))(.*)$/.exec(word)?.[1])
    .find((one) => one !== undefined);
  const index = before.findIndex((word) => word === '-n' || word === '--namespace');
  return joined ?? (index >= 0 ? (before[index + 1] ?? '') : '');
}
