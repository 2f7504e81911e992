// Whether a registry answers.

/** The host that serves an image's registry; Docker Hub's has another name than its images. */
export function registryHost(image: string): string {
  const [host = ''] = image.split('/');
  const named = image.includes('/') && /[.:]|^localhost$/.test(host);
  return !named || host === 'docker.io' ? 'registry-1.docker.io' : host;
}

/** Whether it answers at all within `limit` milliseconds; 401 is an answer too. */
export async function answers(host: string, limit: number): Promise<boolean> {
  try {
    const { status } = await fetch(`https://${host}/v2/`, { signal: AbortSignal.timeout(limit) });
    return status === 200 || status === 401;
  } catch {
    return false;
  }
}
