// Package injector is one file of github.com/openservicemesh/osm/pkg/injector, iptables.go, which the build puts beside
// this one (go build -overlay): the function is not exported, and the whole package needs a thousand others.
package injector

import "github.com/openservicemesh/osm/pkg/apis/config/v1alpha2"

// Script is what the init container of a pod runs with the mesh's default configuration.
func Script(excludedInboundPorts []int) string {
	return generateIptablesCommands(v1alpha2.LocalProxyModeLocalhost, nil, nil, nil, excludedInboundPorts, nil)
}
