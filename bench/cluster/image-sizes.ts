// Size and layers of the images to pull, from their OCI archives.
import { must } from '../../test/harness/netns/processes.ts';
import { IMAGES } from '../../tools/images/image-sources.ts';
import { type Figure, makeFigure } from '../figure.ts';

const MB = 1e6;

interface Descriptor {
  digest: string;
  size: number;
}

export async function benchImages(folder: string): Promise<Figure[]> {
  const figures = await Promise.all(IMAGES.map((name) => describeImage(name, `${folder}/${name}.oci.tar`)));
  return figures.flat();
}

async function describeImage(name: string, archive: string): Promise<Figure[]> {
  const read = async (path: string) => JSON.parse(await must('tar', ['-xOf', archive, path]));
  const blob = ({ digest }: Descriptor) => read(`blobs/${digest.replace(':', '/')}`);
  const { manifests } = (await read('index.json').catch(() => read('./index.json'))) as { manifests: [Descriptor] };
  const { layers } = (await blob(manifests[0])) as { layers: Descriptor[] };
  return describeLayers(name, layers);
}

/** @param layers as an image manifest lists them; sizes are of the packed blobs */
export function describeLayers(name: string, layers: { size: number }[]): Figure[] {
  const bytes = layers.reduce((sum, { size }) => sum + size, 0);
  return [
    makeFigure({ name: `image ${name}, to pull`, value: bytes / MB, unit: 'MB' }),
    makeFigure({ name: `image ${name}, layers`, value: layers.length, unit: 'layers' }),
  ];
}
