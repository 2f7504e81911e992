// Whether a container's image is ours. Pure.
import { type JsonObject, shortText } from '../../lib/json.ts';

/** Those that are configured now, other tags of the same repository, or none of ours. */
export type Images = 'current' | 'older' | 'none';

/** A container of our name with another image is not ours: names can be taken by anybody. */
export function imageOf(container: JsonObject | undefined, image: string): Images | undefined {
  if (container === undefined) return undefined;
  if (container['image'] === image) return 'current';
  return repositoryOf(shortText(container['image'], 600)) === repositoryOf(image) ? 'older' : 'none';
}

/** What several containers have between them; of those that are not there nothing is said. */
export function worst(images: (Images | undefined)[]): Images {
  const there = images.filter((one) => one !== undefined);
  if (there.length === 0 || there.includes('none')) return 'none';
  return there.includes('older') ? 'older' : 'current';
}

/** Without tag and digest. A colon before the last slash belongs to a port. */
function repositoryOf(image: string): string {
  return image.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
}
