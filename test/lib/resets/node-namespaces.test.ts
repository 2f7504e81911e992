import t from 'tap';
import { podNames, podUidOf } from '../../../lib/resets/node-namespaces.ts';

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
