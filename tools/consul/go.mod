// Consul's rule writer, for the tests of other meshes' rules, and nothing that ships.
module invalid-drop.io/tools/consul

go 1.26.8

require github.com/hashicorp/consul/sdk v0.18.2
