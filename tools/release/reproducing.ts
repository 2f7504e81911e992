// What has to be the same for the same digests, and what is never the same: a file of the release, and a part of
// docs/releasing.md.
import type { ArchiveState } from './debian-root.ts';

export const REPRODUCING_FILE = 'REPRODUCING.md';

/** What is not the same when the same commit is made into a release again, with the reason. */
export const DIFFERENCES: [what: string, why: string][] = [
  ['`*.sigstore.json`', 'An ECDSA signature has a random number in it. What is signed is the same.'],
  [
    'images, their SBOMs, and what names their digests (install files, chart, provenance, `release.json`, `SHA256SUMS`), after Debian has changed a package',
    'Security updates have to get into a release. The archive keeps only the newest version; the provenance names the versions and the lists that they came from.',
  ],
  [
    'the same files, with other versions of libdeflate, binutils or tar',
    'They write the layers. The provenance names the versions.',
  ],
];

/** The text of the file. @param tools versions by program */
export function reproducingText({ lists }: ArchiveState, tools: Record<string, string>): string {
  return [
    '# Making this release again',
    '',
    'The same commit makes the same files, byte by byte, with the same settings, the same lists of Debian and these programs.',
    '',
    ...lists.map(({ url, date, sha256 }) => `- ${url} of ${date}, SHA-256 ${sha256}`),
    ...Object.entries(tools).map(([name, version]) => `- ${name}: ${version}`),
    '',
    'Not the same:',
    '',
    ...DIFFERENCES.map(([what, why]) => `- ${what}: ${why}`),
    '',
  ].join('\n');
}
