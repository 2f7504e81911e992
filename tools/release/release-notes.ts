// The notes of a release: its section of CHANGELOG.md.
import { errors } from './release-errors.ts';

/**
 * @param changelog sections begin with `## VERSION`, and may have more words on that line, such as a date
 * @param links address that relative links of the text begin with, such as that of the tag; no slash at its end
 * @throws CodedError RELEASE_NOTES_MISSING where there is no section, or nothing in it
 */
export function releaseNotes(changelog: string, version: string, links: string): string {
  const sections = changelog.split(/^(?=## )/m).filter((section) => section.startsWith('## '));
  const titleOf = (section: string) => section.match(/^## (\S+)/)?.[1] ?? '';
  const own = sections.find((section) => titleOf(section) === version);
  const body = own?.replace(/^.*\n/, '').trim();
  if (!body) throw errors.RELEASE_NOTES_MISSING(version, sections.map(titleOf).join(', '));
  return `# invalid-drop ${version}\n\n${absoluteLinks(body, links)}\n`;
}

/** Links to files of the repository: on a release's page they would lead nowhere. */
function absoluteLinks(text: string, links: string): string {
  return text.replace(/\]\((?![a-z]+:|#|\/)([^)]+)\)/g, `](${links}/$1)`);
}
