// Each case is a cluster: what its API server answers, and what preflight makes of it. The answers are rebuilt from the published
// documentation and manifests that `source` names; none was recorded on such a cluster.
import { readdirSync } from 'node:fs';
import t from 'tap';
import { preflightText } from '../../../cli/preflight/preflight-text.ts';
import { judgeCase, PREFLIGHT_CASES, readCase } from '../../harness/preflight-cases.ts';

for (const file of readdirSync(PREFLIGHT_CASES).sort()) {
  const one = readCase(file);
  t.test(file.replace('.json', ''), async (t) => {
    const report = await judgeCase(one);
    const { verdict, exposure, findings, words = {}, namespaces, shares = {}, notSeen = [] } = one.expected;
    t.equal(report.verdict, verdict);
    t.equal(report.exposure, exposure);
    t.same(Object.fromEntries(report.findings.map(({ code, level }) => [code, level])), findings);
    t.same(
      Object.fromEntries(report.namespaces.map(({ name, guardBy }) => [name, guardBy])),
      Object.fromEntries(Object.entries(namespaces).map(([name, [guardBy]]) => [name, guardBy])),
    );
    for (const { name, why } of report.namespaces) {
      const part = namespaces[name]?.[1] ?? '';
      t.ok(why.includes(part), `${name}: "${why}" has "${part}"`);
    }
    for (const [name, share] of Object.entries(shares))
      t.equal(report.namespaces.find((namespace) => namespace.name === name)?.mesh, share, name);
    for (const [code, part] of Object.entries(words)) {
      const found = report.findings.find((finding) => finding.code === code);
      const text = `${found?.seen} ${found?.means} ${found?.do}`;
      t.ok(text.includes(part), `${code}: "${text}" has "${part}"`);
    }
    for (const part of notSeen)
      t.ok(
        report.notSeen.some((line) => line.includes(part)),
        `not seen: ${part} in ${report.notSeen.join('; ')}`,
      );
    const text = preflightText(report, true);
    t.ok(
      text.split('\n').every((line) => !/\p{Cc}/u.test(line)),
      'nothing that a terminal would obey',
    );
  });
}
