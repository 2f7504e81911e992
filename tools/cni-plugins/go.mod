// Plugins of the pod network that Debian has in an older version only (tools/cluster/), and nothing that ships.
module invalid-drop.io/tools/cni-plugins

go 1.26.8

tool github.com/containernetworking/plugins/plugins/meta/tuning

require (
	github.com/containernetworking/cni v1.3.1 // indirect
	github.com/containernetworking/plugins v1.10.0 // indirect
	github.com/pkg/errors v0.9.1 // indirect
	github.com/vishvananda/netlink v1.3.1 // indirect
	github.com/vishvananda/netns v0.0.5 // indirect
	golang.org/x/sys v0.49.0 // indirect
)
