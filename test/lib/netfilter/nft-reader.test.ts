import t from 'tap';
import { readNft } from '../../../lib/netfilter/ruleset-reader.ts';

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
