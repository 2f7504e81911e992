// What the documentation says of each mesh, from the table of meshes.
import { MESH_NAMES, meshOf } from '../../lib/mesh/meshes.ts';

type MarkdownTable = [headings: string[], rows: string[][]];

/** How each mesh redirects, and its own rule against INVALID packets. */
export function meshRules(): MarkdownTable {
  const rows = MESH_NAMES.map((name) => {
    const { title, inboundPort, proxyUid, chains, ownRule, tested } = meshOf(name);
    const uid = proxyUid === 0 ? '' : `, ${proxyUid}`;
    const own = ownRule === undefined ? 'none' : `${ownRule.setting}; ${ownRule.place}; ${ownRule.limits}`;
    return [title, `${inboundPort}${uid}`, chains.map((chain) => `\`${chain}\``).join(', '), own, tested];
  });
  return [['mesh', 'inbound port, uid', 'its chains and tables', 'own rule against INVALID', 'tested with'], rows];
}

/** How each mesh keeps a port out of its proxy, and what it does to probes. */
export function meshPorts(): MarkdownTable {
  const rows = MESH_NAMES.map((name) => {
    const { title, exemptPorts, exemption, probes, order } = meshOf(name);
    if (exemption === undefined) return [title, 'none is needed', '', '', order, probes.does];
    const byDefault = exemption.meshDefault === '' ? '' : ` (by default ${exemption.meshDefault})`;
    const list = exemption.meshList === 'kept' ? 'adds to it' : `replaces it${byDefault}`;
    const inherited = exemption.onNamespace ? '; and replaces that of the namespace' : '';
    return [title, `\`${exemptPorts}\``, `${list}${inherited}`, exemption.readAt, order, probes.does];
  });
  return [['mesh', 'annotation', "the mesh's own list", 'is read', 'its webhook is called', 'HTTP probes'], rows];
}

/** Where the facts were read. */
export function meshSources(): string {
  return MESH_NAMES.map((name) => {
    const { title, read } = meshOf(name);
    const byRepository = new Map<string, string[]>();
    for (const file of read.files) {
      const [repository = '', path = ''] = file.split(' ');
      byRepository.set(repository, [...(byRepository.get(repository) ?? []), `\`${path}\``]);
    }
    const lists = [...byRepository].map(([repository, paths]) => `${repository}: ${paths.join(', ')}`);
    return `- **${title} ${read.version}**: ${lists.join('; ')}`;
  }).join('\n');
}
