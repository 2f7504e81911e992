import t from 'tap';
import { parseListeners, podNames, podUidOf } from '../../../lib/resets/node-namespaces.ts';

const UID = '0c5bd9f2-6b0e-4c38-9a53-0d5a3a8f6a01';

t.test('the UID is found in cgroups of both drivers and both versions', async (t) => {
  const texts = [
    `12:cpu:/kubepods/burstable/pod${UID}/5f0c\n11:pids:/other\n`,
    `0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UID.replaceAll('-', '_')}.slice/cri-containerd-5f0c.scope\n`,
    `0::/../../kubepods-pod${UID.replaceAll('-', '_')}.slice\n`,
    `4:memory:/kubepods/pod${UID}`,
  ];
  for (const text of texts) t.equal(podUidOf(text), UID, text);
});

t.test('the UID of a static pod is a hash', async (t) => {
  t.equal(podUidOf('0::/kubepods/pod0123456789abcdef0123456789abcdef/x'), '0123456789abcdef0123456789abcdef');
});

t.test('a process of no pod has no UID', async (t) => {
  for (const text of ['', '0::/system.slice/podman.service', '0::/user.slice/pod-1/x'])
    t.equal(podUidOf(text), undefined);
});

t.test('folders of logs name pods, and other names are ignored', async (t) => {
  t.same([...podNames([`storage_store-0_${UID}`, 'lost+found', 'a_b'])], [[UID, 'storage/store-0']]);
});

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
