// Whether the CNI makes the conntrack of pods liberal by its plugin `tuning`, as far as the API shows its configuration. Pure.
import { objectAt, shortText } from '../../lib/json.ts';
import { type ClusterAnswers, mapText, objectsOf } from './cluster-answers.ts';

export interface CniTuning {
  /** ConfigMaps whose configuration counts for each new pod. */
  ofEachPod: string[];
  /** NetworkAttachmentDefinitions: it counts for the pods that name them, and for their whole network namespace. */
  attachments: string[];
}

/** Not parsed: templates of Calico and Canal are no JSON before they are filled in. */
const TUNING = /"type"\s*:\s*"tuning"/;
const LIBERAL = /"net[./]netfilter[./]nf_conntrack_tcp_be_liberal"\s*:\s*"1"/;

const makesLiberal = (text: string) => TUNING.test(text) && LIBERAL.test(text);

export function readCniTuning({ configMaps, lists }: ClusterAnswers): CniTuning {
  const maps = Object.entries(configMaps).flatMap(([name, map]) => {
    const keys = map.state === 'read' ? Object.keys(objectAt(map.value, 'data')) : [];
    return keys.filter((key) => makesLiberal(mapText(map, key))).map((key) => `ConfigMap ${name}, ${shortText(key)}`);
  });
  const attachments = objectsOf(lists.networkAttachments).flatMap((one) => {
    const { namespace, name } = objectAt(one, 'metadata');
    const text = shortText(objectAt(one, 'spec')['config'], 100_000);
    return makesLiberal(text) ? [`${shortText(namespace)}/${shortText(name)}`] : [];
  });
  return { ofEachPod: maps, attachments };
}
