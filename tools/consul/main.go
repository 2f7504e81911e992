// Writes Consul's redirect rules where it is run, as `consul-k8s-control-plane connect-init` does
// (consul-k8s v2.0.3, control-plane/subcommand/connect-init/command.go): the configuration is the JSON of the annotation
// consul.hashicorp.com/redirect-traffic-config.
package main

import (
	"encoding/json"
	"flag"
	"log"

	"github.com/hashicorp/consul/sdk/iptables"
)

func main() {
	config := flag.String("redirect-traffic-config", "", "the rules to write, as JSON")
	dualStack := flag.Bool("dual-stack", false, "write IPv6 rules too")
	flag.Parse()
	log.SetFlags(0)
	var parsed iptables.Config
	if err := json.Unmarshal([]byte(*config), &parsed); err != nil {
		log.Fatal(err)
	}
	if err := iptables.Setup(parsed, *dualStack); err != nil {
		log.Fatal(err)
	}
}
