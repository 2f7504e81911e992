import { readFile } from 'node:fs/promises';
import t from 'tap';
import packageJson from '../../../package.json' with { type: 'json' };
import { IMAGES } from '../../../tools/images/image-sources.ts';
import { readContainerfile } from '../../../tools/release/containerfile.ts';
import { NODE_PACKAGES } from '../../../tools/release/node-binary.ts';

const read = (name: string) => readFile(new URL(`../../../${name}/Containerfile`, import.meta.url), 'utf8');
const ROOT_STAGE = 'FROM x AS root\nRUN sh /image-root.sh /root-of-image a b:/bin/b\n';

t.test('the last stage is read: layers, environment, user, entry point and labels', async (t) => {
  const text = `${ROOT_STAGE}
FROM scratch
# A comment.
COPY --from=node /n /usr/n
COPY --from=build /src/a /src/b* /opt/
ENV A=1 \\
    B=two
USER 1:2
ENTRYPOINT ["node", "/opt/a"]
ARG VERSION=0.0.0
ARG OTHER=other
LABEL title="a title" \\
      version="\${VERSION}" \\
      other="\${OTHER}"
`;
  t.same(readContainerfile(text, { VERSION: '1.2.3' }, 'F'), {
    packages: ['a', 'b:/bin/b'],
    layers: [
      { stage: 'node', sources: ['/n'], target: '/usr/n' },
      { stage: 'build', sources: ['/src/a', '/src/b*'], target: '/opt/' },
    ],
    env: ['A=1', 'B=two'],
    user: '1:2',
    entrypoint: ['node', '/opt/a'],
    labels: { title: 'a title', version: '1.2.3', other: 'other' },
  });
});

t.test('what cannot be assembled is an error that names file and line', async (t) => {
  for (const [text, wanted] of [
    ['FROM scratch\n', /no stage runs image-root.sh/],
    [`${ROOT_STAGE}FROM debian\n`, /F: "FROM debian".*FROM scratch is needed/],
    [`${ROOT_STAGE}FROM scratch\nRUN true\n`, /F: "RUN true".*RUN is not known/],
    [`${ROOT_STAGE}FROM scratch\nCOPY a b\n`, /F: "COPY a b"/],
  ] as const) {
    t.throws(() => readContainerfile(text, {}, 'F'), { code: 'RELEASE_CONTAINERFILE', message: wanted });
  }
});

t.test('each image has its three layers, the first of which is the same, and its labels', async (t) => {
  for (const image of IMAGES) {
    const args = { VERSION: '1.2.3', REVISION: 'abc', SOURCE: 'https://git.example/a' };
    const { layers, labels, user, entrypoint, env } = readContainerfile(await read(image), args, image);
    t.same(
      layers.map(({ stage }) => stage),
      ['node', 'root', 'build'],
      image,
    );
    t.same(layers[0], { stage: 'node', sources: ['/usr/local/bin/node-stripped'], target: '/usr/local/bin/node' });
    t.same(layers[1], { stage: 'root', sources: ['/root-of-image'], target: '/' });
    t.equal(layers[2]?.target, '/opt/invalid-drop/');
    const label = (name: string) => labels[`org.opencontainers.image.${name}`];
    t.same([label('title'), label('version')], [`invalid-drop ${image}`, '1.2.3']);
    t.same([label('revision'), label('source')], ['abc', 'https://git.example/a']);
    t.match(user, /^\d+:\d+$/);
    t.equal(entrypoint[0], 'node');
    t.ok(env.includes('NODE_OPTIONS=--disable-sigusr1'));
  }
});

t.test('the Node of each architecture is the version that is tested', async (t) => {
  for (const { version } of Object.values(NODE_PACKAGES)) t.equal(version, packageJson.devDependencies.node);
});
