// What only nft's text form tells of a table: nft 1.0.6 prints neither in JSON.

export interface TableText {
  dormant: boolean;
  /** Devices of ingress chains, by the chain's name. */
  devices: Record<string, string[]>;
}

const CHAIN = /^\tchain (\S+) \{\n\t\ttype [^\n]*/gm;

/** @param text what `nft -t list table FAMILY NAME` printed */
export function parseTableText(text: string): TableText {
  const chains = [...text.matchAll(CHAIN)].flatMap(([type, name = '']) => {
    const list = type.match(/ devices = \{([^}]*)\}/)?.[1] ?? type.match(/ device (\S+)/)?.[1];
    return list === undefined ? [] : [[name, list.split(',').map((device) => device.trim().replace(/^"|"$/g, ''))]];
  });
  return { dormant: /^\tflags [^;\n]*\bdormant\b/m.test(text), devices: Object.fromEntries(chains) };
}
