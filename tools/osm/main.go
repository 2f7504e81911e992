// Prints the shell script that Open Service Mesh's injector gives its init container: `/bin/sh -c SCRIPT` writes the
// rules. Arguments are ports of the annotation openservicemesh.io/inbound-port-exclusion-list.
package main

import (
	"fmt"
	"log"
	"os"
	"strconv"

	"invalid-drop.io/tools/osm/injector"
)

func main() {
	log.SetFlags(0)
	var excluded []int
	for _, argument := range os.Args[1:] {
		port, err := strconv.Atoi(argument)
		if err != nil {
			log.Fatal(err)
		}
		excluded = append(excluded, port)
	}
	fmt.Print(injector.Script(excluded))
}
