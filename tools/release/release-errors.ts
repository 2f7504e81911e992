// The errors of making and publishing a release, each with its cure.
import { defineErrors } from '../../lib/errors.ts';

export const errors = defineErrors({
  RELEASE_REGISTRY_MISSING: () =>
    'REGISTRY is not set: name the place that the images are published at, as in make release REGISTRY=registry.example/invalid-drop',
  RELEASE_SETTING_INVALID: (name: string, value: string, allowed: string) =>
    `${name}="${value}" is not allowed: use ${allowed}`,
  RELEASE_DIRTY: (files: string) =>
    `the working tree differs from its commit (${files}): commit or stash that, or set ALLOW_DIRTY=1, which the provenance then says`,
  RELEASE_NO_COMMIT: (why: string) =>
    `a release needs the git repository that it is made from (${why}): make it in a clone`,
  RELEASE_UNSIGNED: () =>
    'SIGN=required, and there is no key: set COSIGN_KEY to a private key of cosign, and COSIGN_PASSWORD to its password',
  RELEASE_PART_MISSING: (what: string, cure: string) => `${what} is missing: ${cure}`,
  RELEASE_CONTAINERFILE: (file: string, line: string, why: string) =>
    `${file}: "${line}" cannot be assembled (${why}): its last stage may have COPY --from, ENV, USER, ENTRYPOINT, ARG and LABEL`,
  RELEASE_NODE_ALTERED: (name: string, has: string, wanted: string) =>
    `npm package ${name} has integrity ${has}, and ${wanted} is pinned in tools/release/node-binary.ts: a new version of Node needs a new line there`,
  RELEASE_NOTES_MISSING: (version: string, headings: string) =>
    `CHANGELOG.md has no section "## ${version}" (it has ${headings}): write it, or set VERSION to one that it has`,
  RELEASE_ALTERED: (file: string, why: string) => `${file} ${why}: run make release again`,
  RELEASE_NOT_MADE: (folder: string, why: string) =>
    `there is no release in ${folder} (${why}): run make release first`,
  RELEASE_OTHER_REGISTRY: (made: string, wanted: string) =>
    `this release was made for ${made}, and REGISTRY is ${wanted}: run make release again with that REGISTRY`,
  RELEASE_NOT_LISTED: (image: string, parts: string) => `in the registry, ${image} is not what was pushed: ${parts}`,
});
