import t from 'tap';
import { parseListeners } from '../../../lib/resets/namespace-net.ts';

const LITTLE_ENDIAN = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;

t.test('listening sockets are listed by address and port, connections are not', { skip: !LITTLE_ENDIAN }, async (t) => {
  const tcp = `  sl  local_address rem_address   st tx_queue rx_queue
   0: 02004D0A:2328 00000000:0000 0A 00000000:00000000
   1: 00000000:0050 00000000:0000 0A 00000000:00000000
   2: 02004D0A:2329 01004D0A:0050 01 00000000:00000000
`;
  t.same(parseListeners(tcp), [
    { address: '10.77.0.2', port: 9000 },
    { address: '0.0.0.0', port: 80 },
  ]);
  const tcp6 = `   0: 00000000000000000000000000000000:3A9E 00000000000000000000000000000000:0000 0A 0
   1: 000077FD000000000000000002000000:2328 00000000000000000000000000000000:0000 0A 0
   2: 0000000000000000FFFF00000100007F:2328 00000000000000000000000000000000:0000 0A 0
`;
  t.same(parseListeners(tcp6), [
    { address: '::', port: 15_006 },
    { address: 'fd77::2', port: 9000 },
    { address: '127.0.0.1', port: 9000 },
  ]);
});
