import t from 'tap';
import { readNft, withoutCounters } from '../../../lib/netfilter/ruleset-reader.ts';

const WHOLE = '{"nftables": [{"metainfo": {"version": "1.0.6"}}]}\n';
/** What nft before 1.0.7 prints of a table with flags, now and then: it ends with exit code 0 all the same. */
const CUT = '{"nftables": [{"metainfo": {"version": "1.0.6"}}, {"table": {"family": "ip", "name": "t", "flags": \n';

/** Reads from a nft that prints one of the texts after the other, and then the last of them for good. */
function readFrom(...texts: string[]) {
  const run = async (program: string) => {
    if (program !== 'nft') throw new Error('no other program is needed');
    return { exitCode: 0, stdout: texts.length > 1 ? (texts.shift() ?? '') : (texts[0] ?? ''), stderr: '' };
  };
  return readNft(run, 1000);
}

t.test('a listing that was cut is read again', async (t) => {
  t.equal((await readFrom(CUT, CUT, WHOLE))?.listing, WHOLE);
});

t.test('a listing that is cut each time is an error that shows its end', async (t) => {
  await t.rejects(readFrom(CUT), { code: 'NFT_UNREADABLE', message: /"name": "t", "flags":"\).*before 1\.0\.7/ });
});

t.test('noted connections come and go, and no other program has to be run for them', async (t) => {
  const listing = (elements: string) =>
    `{"nftables": [{"set": {"family": "inet", "name": "strays4", "table": "invalid-drop", "timeout": 60, ${elements}"stmt": [{"counter": null}]}}, ` +
    '{"rule": {"expr": [{"xt": {"type": "match", "name": "conntrack"}}, {"counter": {"packets": 4, "bytes": 9}}]}}]}\n';
  const element = (port: number) =>
    `{"elem": {"val": {"concat": ["10.0.0.1", ${port}, "10.0.0.2", 80]}, "expires": 5${port}, "counter": {"packets": ${port}, "bytes": 0}}}`;
  const none = withoutCounters(listing(''));
  t.equal(withoutCounters(listing(`"elem": [${element(5)}], `)), none);
  t.equal(withoutCounters(listing(`"elem": [${element(6)}, ${element(7)}], `)), none);
  t.not(withoutCounters(listing('"elem": [{"concat": ["10.0.0.2", 80]}], ')), none, 'a listener counts');
});
