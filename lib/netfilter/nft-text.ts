// nft's JSON to one line for people: near to what nft prints as text, never parsed again.

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type Item = Record<string, Json>;

/** The value as an object, or an empty one where it is none. */
export function toItem(value: Json | undefined): Item {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : {};
}

export function describe(value: Json | undefined): string {
  if (value === undefined || value === null || typeof value !== 'object') return String(value ?? '');
  if (Array.isArray(value)) return `{ ${value.map(describe).join(', ')} }`;
  const [name = '', body = null] = Object.entries(value)[0] ?? [];
  const write = WRITERS[name];
  if (write) return write(toItem(body), body);
  return body === null ? name : `${name} ${JSON.stringify(body)}`;
}

const WRITERS: Record<string, (item: Item, body: Json) => string> = {
  match: ({ op, left, right }) => {
    const operator = op === '==' || op === 'in' ? '' : `${op} `;
    return `${describe(left)} ${operator}${describe(right)}`;
  },
  meta: ({ key }) => `meta ${key}`,
  ct: ({ key }) => `ct ${key}`,
  payload: ({ protocol, field }) => `${protocol ?? '@raw'} ${field ?? ''}`.trim(),
  set: (item, body) => (item['op'] ? `${item['op']} ${item['set']} { ${describe(item['elem'])} }` : describe(body)),
  counter: () => 'counter',
  prefix: ({ addr, len }) => `${addr}/${len}`,
  range: (_, body) => [body].flat().map(describe).join('-'),
  '&': (_, body) => [body].flat().map(describe).join(' & '),
  '|': (_, body) => [body].flat().map(describe).join(' | '),
  '^': (_, body) => [body].flat().map(describe).join(' ^ '),
  jump: ({ target }) => `jump ${target}`,
  goto: ({ target }) => `goto ${target}`,
  vmap: ({ key, data }) => `${describe(key)} vmap ${describe(data)}`,
  mangle: ({ key, value }) => `${describe(key)} set ${describe(value)}`,
  reject: ({ type }) => (type === undefined ? 'reject' : `reject with ${type}`),
  xt: ({ type, name }) => (type === undefined ? 'xt without a name' : `xt ${type} ${name}`),
};
