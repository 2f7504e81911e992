// What every mesh of the tests has beside Istio: mutual TLS everywhere, and a gateway that passes on by host name.
import { PORT } from './istio-operator.ts';

/** The namespace of Istio's own parts. */
export const ISTIO_NAMESPACE = 'istio-system';
/** By name, for objects of other namespaces. */
export const GATEWAY = `${ISTIO_NAMESPACE}/uploads`;

/** As a list to apply. */
export function gatewayObjects(): object {
  const items = [
    {
      apiVersion: 'security.istio.io/v1',
      kind: 'PeerAuthentication',
      metadata: { name: 'default', namespace: ISTIO_NAMESPACE },
      spec: { mtls: { mode: 'STRICT' } },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'Gateway',
      metadata: { name: 'uploads', namespace: ISTIO_NAMESPACE },
      spec: {
        selector: { istio: 'ingressgateway' },
        servers: [{ port: { number: PORT, name: 'http', protocol: 'HTTP' }, hosts: ['*'] }],
      },
    },
  ];
  return { apiVersion: 'v1', kind: 'List', items };
}

/** A Service for the pods with the label `app`, and the way from the gateway to it. */
export function routeObjects(namespace: string, app: string): object[] {
  const host = `${app}.${namespace}`;
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: app, namespace },
      spec: { selector: { app }, ports: [{ name: 'http', port: PORT }] },
    },
    {
      apiVersion: 'networking.istio.io/v1',
      kind: 'VirtualService',
      metadata: { name: app, namespace },
      spec: {
        hosts: [host],
        gateways: [GATEWAY],
        http: [
          {
            route: [{ destination: { host: `${host}.svc.cluster.local`, port: { number: PORT } } }],
            // A reset shall be seen, not mended.
            retries: { attempts: 0 },
          },
        ],
      },
    },
  ];
}
