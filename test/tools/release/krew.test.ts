import { loadYaml } from '@kubernetes/client-node';
import t from 'tap';
import { krewManifest } from '../../../tools/release/krew.ts';

/** Of krew's own checks (sigs.k8s.io/krew, internal/index/validation/validate.go) and its naming guide. */
t.test('the manifest is as krew has it', async (t) => {
  const uri = 'https://git.example/releases/0.1.0/kubectl-invalid_drop-linux-amd64.tar.gz';
  const text = krewManifest('0.1.0', 'https://git.example/invalid-drop', [
    { arch: 'amd64', uri, sha256: 'a'.repeat(64) },
    { arch: 'arm64', uri: uri.replace('amd64', 'arm64'), sha256: 'b'.repeat(64) },
  ]);
  const manifest = loadYaml<{ spec: { shortDescription: string; platforms: { files: object[]; bin: string }[] } }>(
    text,
  );
  t.match(manifest, {
    apiVersion: 'krew.googlecontainertools.github.com/v1alpha2',
    kind: 'Plugin',
    metadata: { name: 'invalid-drop' },
    spec: {
      version: /^v\d+\.\d+\.\d+$/,
      homepage: 'https://git.example/invalid-drop',
      platforms: [
        { selector: { matchLabels: { os: 'linux', arch: 'amd64' } }, uri, sha256: /^[a-f0-9]{64}$/ },
        { selector: { matchLabels: { os: 'linux', arch: 'arm64' } } },
      ],
    },
  });
  t.ok(manifest.spec.shortDescription.length <= 50);
  t.notMatch(manifest.spec.shortDescription, /\.$/);
  for (const { files, bin } of manifest.spec.platforms) {
    t.strictSame(files, [
      { from: 'kubectl-invalid_drop', to: '.' },
      { from: 'LICENSE', to: '.' },
    ]);
    t.equal(bin, 'kubectl-invalid_drop');
  }
});
