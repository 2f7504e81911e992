import t from 'tap';
import { debianComponents, makeSbom, type NpmKnowledge } from '../../../tools/images/sbom.ts';

const STATUS = `Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9+deb12u14
Depends: libgcc-s1
Description: GNU C Library
 Version: 0 in a description is not a version

Package: perl-base
Status: deinstall ok config-files
Architecture: amd64
Version: 5.36

Package: libstdc++6
Status: install ok installed
Architecture: arm64
Version: 12.2.0-14
`;

const NPM: NpmKnowledge = {
  lock: {
    packages: {
      'node_modules/fast-uri': { version: '4.2.3' },
      'node_modules/ajv/node_modules/fast-uri': { version: '3.1.9' },
      'node_modules/renamed': { name: '@real/name', version: '1.0.0' },
      'node_modules/tap': { version: '21.8.0' },
    },
  },
  sbom: {
    components: ['fast-uri@4.2.3', 'fast-uri@3.1.9', '@real/name@1.0.0', 'tap@21.8.0'].map((ref) => ({
      type: 'library',
      name: ref.slice(0, ref.lastIndexOf('@')),
      version: ref.slice(ref.lastIndexOf('@') + 1),
      'bom-ref': ref,
      scope: 'optional',
    })),
  },
};

const IMAGE = { name: 'localhost/invalid-drop/webhook', version: '1.2.3' };
const contents = (bundledPackages: string[]) => ({
  dpkgStatus: STATUS,
  debianVersion: '12',
  nodeVersion: '26.10.0',
  bundledPackages,
});
const refs = (bundledPackages: string[]) =>
  makeSbom(IMAGE, contents(bundledPackages), NPM).components.map((component) => component['bom-ref']);

t.test('a Debian package is named by its package URL, and one that is not installed is left out', async (t) => {
  t.same(
    debianComponents(STATUS, '12').map(({ purl }) => purl),
    [
      'pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12',
      'pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=arm64&distro=debian-12',
    ],
  );
});

t.test('of what npm knows, only the bundled packages are listed, each in its own version', async (t) => {
  const listed = refs(['node_modules/ajv/node_modules/fast-uri', 'node_modules/renamed']);
  t.same(listed.slice(-2), ['fast-uri@3.1.9', '@real/name@1.0.0']);
  t.notOk(listed.includes('tap@21.8.0'));
});

t.test('an image without npm packages lists Debian, Node and the Debian packages', async (t) => {
  const [first, second, ...rest] = refs([]);
  t.same([first, second, rest.length], ['debian@12', 'pkg:generic/node@26.10.0', 2]);
});

t.test('a bundled package is required, whatever npm thinks of it', async (t) => {
  t.equal(makeSbom(IMAGE, contents(['node_modules/fast-uri']), NPM).components.at(-1)?.['scope'], 'required');
});

t.test('a bundled package that npm does not know is an error that names it', async (t) => {
  t.throws(() => refs(['node_modules/unheard-of']), /node_modules\/unheard-of/);
});

t.test('the serial number is a UUID that follows the contents', async (t) => {
  const serial = (paths: string[]) => makeSbom(IMAGE, contents(paths), NPM).serialNumber;
  t.match(serial([]), /^urn:uuid:[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  t.equal(serial([]), serial([]));
  t.not(serial([]), serial(['node_modules/fast-uri']));
});
