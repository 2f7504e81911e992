// Writes Kuma's redirect rules where it is run, as `kumactl install transparent-proxy` of Kuma 1.8.1 does for a pod
// (app/kumactl/cmd/install/install_transparent_proxy.go, pkg/transparentproxy/kubernetes/kubernetes.go), with the same flags.
package main

import (
	"flag"
	"log"
	"os"

	"github.com/kumahq/kuma/pkg/transparentproxy/istio"
	"github.com/kumahq/kuma/pkg/transparentproxy/istio/config"
)

func main() {
	uid := flag.String("kuma-dp-uid", "5678", "the proxy's user")
	inbound := flag.String("redirect-inbound-port", "15006", "the proxy's port")
	inboundV6 := flag.String("redirect-inbound-port-v6", "15010", "the same for IPv6")
	excluded := flag.String("exclude-inbound-ports", "", "ports that are not redirected, with commas between")
	flag.Parse()
	log.SetFlags(0)
	_, err := istio.NewIstioTransparentProxy().Setup(&config.TransparentProxyConfig{
		Verbose:                true,
		RedirectPortOutBound:   "15001",
		RedirectInBound:        true,
		RedirectPortInBound:    *inbound,
		RedirectPortInBoundV6:  *inboundV6,
		ExcludeInboundPorts:    *excluded,
		UID:                    *uid,
		GID:                    *uid,
		RedirectDNS:            true,
		RedirectAllDNSTraffic:  true,
		AgentDNSListenerPort:   "15053",
		DNSUpstreamTargetChain: "RETURN",
		Stdout:                 os.Stdout,
		Stderr:                 os.Stderr,
	})
	if err != nil {
		log.Fatal(err)
	}
}
