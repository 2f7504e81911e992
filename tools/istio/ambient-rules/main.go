// Writes or removes the rules of a pod in Istio's ambient mode, in the network namespace that it is started in, by the code
// that istio-cni itself runs for each pod (istio.io/istio/cni/pkg/trafficmanager), for tests without a cluster.
//
//	ambient-rules nft|legacy|nftables create|delete     (which iptables, or native nftables)
package main

import (
	"fmt"
	"net/netip"
	"os"
	"slices"

	"istio.io/istio/cni/pkg/config"
	"istio.io/istio/cni/pkg/iptables"
	"istio.io/istio/cni/pkg/scopes"
	"istio.io/istio/cni/pkg/trafficmanager"
	dep "istio.io/istio/tools/istio-iptables/pkg/dependencies"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 || !slices.Contains([]string{"nft", "legacy", "nftables"}, args[0]) {
		return fmt.Errorf("usage: ambient-rules nft|legacy|nftables create|delete")
	}
	// istio-cni finds it out once, on the node. In a pod, the rules of another program would decide.
	programs := &dep.RealDependencies{}
	if args[0] != "nftables" {
		programs.ForceIptablesBinary = args[0]
	}
	// As istio-cni has it by default: cni/pkg/nodeagent/options.go and the values of its chart.
	settings := &config.AmbientConfig{
		EnableIPv6:             true,
		RedirectDNS:            true,
		Reconcile:              true,
		HostProbeSNATAddress:   netip.MustParseAddr("169.254.7.127"),
		HostProbeV6SNATAddress: netip.MustParseAddr("fd16:9254:7127:1337:ffff:ffff:ffff:ffff"),
	}
	_, pod, err := trafficmanager.NewTrafficRuleManager(&trafficmanager.TrafficRuleManagerConfig{
		NativeNftables: args[0] == "nftables",
		HostConfig:     settings,
		PodConfig:      settings,
		HostDeps:       programs,
		PodDeps:        programs,
		NlDeps:         iptables.RealNlDeps(),
	})
	if err != nil {
		return err
	}
	switch args[1] {
	case "create":
		return pod.CreateInpodRules(scopes.CNIAgent, config.PodLevelOverrides{})
	case "delete":
		return pod.DeleteInpodRules(scopes.CNIAgent)
	}
	return fmt.Errorf("create or delete, and not %q", args[1])
}
