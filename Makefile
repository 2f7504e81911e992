# `make help` lists the targets. Everything a target needs is installed by it: npm packages always, Debian
# packages where apt-get is there and the program is not.
SHELL := /bin/bash
.DEFAULT_GOAL := help
# The Node that ships, from the npm package `node`, not the machine's own.
export PATH := $(CURDIR)/node_modules/.bin:$(PATH)
# iptables, ip and friends live here, and a plain user's PATH may lack it.
export PATH := $(PATH):/usr/sbin:/sbin

.PHONY: help deps tools build check test test-browser screenshots test-kernels test-userlands run demo e2e bench
.PHONY: bench-cluster bench-mesh images cluster-up cluster-down cluster-shell mesh-up e2e-mesh e2e-node e2e-release coverage
.PHONY: clean release test-release publish

help: ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 15

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@

deps: node_modules/.package-lock.json

tools:
	@bash tools/install-debian.sh netfilter

build: deps ## bundle the programs into dist/
	npm run --silent build

check: deps ## types, lint and format
	npm run --silent check

test: deps tools build check ## types, lint, unit tests and kernel tests (root)
	npm test --silent

test-browser: deps ## tests of the status page in Debian's Chromium; screenshots in .run/screenshots
	@bash tools/install-debian.sh browser
	CI=true TAP_TIMEOUT=300 tap run --jobs=1 test/browser/*.browser.ts

screenshots: test-browser ## the same, and the README's screenshot anew
	cp .run/screenshots/status-readme.png docs/status-page.png

# Variables: KERNEL (5.10, 6.1, 6.12, arm64 or turn), TESTS (parts of test files' paths, by commas), RULESETS, CONNECTIONS,
# SEED.
test-kernels: deps tools build ## the kernel tests on other kernels, under qemu (root)
	@bash tools/install-debian.sh kernels $(KERNEL)
	node test/kernel-vms/run-kernels.ts
	TAP_TIMEOUT=300 node test/kernel-vms/failing-guests.ts

test-userlands: deps tools build ## the programs on older and newer Debian releases, on this kernel (root)
	@bash tools/install-debian.sh kernels
	CI=true TAP_TIMEOUT=600 node test/userlands/test-userlands.ts

run: build ## serve the webhook on https://127.0.0.1:8443 without a cluster
	node dist/webhook.js

demo: deps tools build ## show the fix from end to end on this machine's kernel (root)
	node demo/demo.ts

e2e: deps tools build images ## end-to-end tests on KUBECONFIG's cluster, or on one node of their own (root)
	@bash tools/install-debian.sh cluster
	node test/e2e/run-e2e.ts $(E2E)

e2e-node: deps tools build images ## end-to-end tests of node agents, on two nodes of their own (root)
	@bash tools/install-debian.sh cluster
	@bash tools/install-debian.sh user-namespaces
	node test/e2e-node/run-e2e-node.ts $(E2E)

e2e-release: deps tools ## end-to-end tests of a release, made and installed from a registry, on two nodes of their own (root)
	@bash tools/install-debian.sh cluster
	@bash tools/install-debian.sh user-namespaces
	node test/e2e-release/run-e2e-release.ts $(E2E)

bench: deps tools build ## measure, print a table, write bench/results.json (root)
	node bench/bench.ts

bench-cluster: deps tools build images ## measure on a Kubernetes of one node of its own (root)
	@bash tools/install-debian.sh cluster
	node bench/cluster/bench-cluster.ts

bench-mesh: deps tools build images ## measure with a real Istio (root)
	@bash tools/install-debian.sh cluster
	node bench/mesh/bench-mesh.ts

# Variables: REGISTRY, VERSION, TAG (suffix), COMMIT, BUILDER, BASE_IMAGE, NODE_IMAGE (docs/images.md).
images: deps ## build the images, and save them with their SBOMs in .run/images
	node --use-env-proxy tools/images/make-images.ts

# Variables: REGISTRY (required), VERSION, SOURCE, COSIGN_KEY, COSIGN_PASSWORD, SIGN, ALLOW_DIRTY, RELEASE (folder).
release: deps ## make what a release page has, in .run/release (docs/releasing.md)
	@bash tools/install-debian.sh release
	node --use-env-proxy tools/release/make-release.ts

test-release: deps build images ## make a release twice, compare and verify it, and start its programs (root)
	@bash tools/install-debian.sh release
	@bash tools/install-debian.sh emulator
	TAP_TIMEOUT=3000 tap run test/e2e-release/release-files.release.ts

# Variables: RELEASE (folder), REGISTRY, COSIGN_KEY, COSIGN_PASSWORD, SIGN, PLAIN_HTTP (docs/releasing.md).
publish: deps ## push the release, with signatures and attestations, to its registry
	node --use-env-proxy tools/release/publish.ts

# Variables: CLUSTER, NODES (1 to 4), USER_NAMESPACES, KUBE_PROXY_MODE, KUBE_PROXY_BE_LIBERAL, KUBEBUILDER_ASSETS.
cluster-up: deps tools ## start a Kubernetes of one node in a network namespace of its own (root)
	@bash tools/install-debian.sh cluster
	@node tools/cluster/cluster-command.ts up

cluster-down: ## take that cluster down, with all that it made (root)
	@node tools/cluster/cluster-command.ts down

cluster-shell: ## start a shell in which kubectl reaches that cluster (root)
	@node tools/cluster/cluster-command.ts shell

# Variables: MESH_DATAPLANE, MESH_INTERCEPTION, MESH_NATIVE_SIDECARS, MESH_NFTABLES, MESH_INVALID_DROP, MESH_DUAL_STACK.
mesh-up: deps tools ## install Istio on that cluster, or find the Istio of KUBECONFIG's (root)
	@bash tools/install-debian.sh cluster
	@node tools/mesh/mesh-up.ts

e2e-mesh: deps tools build images ## end-to-end tests with a real Istio, as e2e (root)
	@bash tools/install-debian.sh cluster
	node test/e2e-mesh/run-e2e-mesh.ts $(E2E)

coverage: ## print which pods are guarded, from the webhook of KUBECONFIG's cluster
	@kubectl exec -n invalid-drop-system deploy/invalid-drop-webhook -- node /opt/invalid-drop/webhook.js coverage

clean: ## remove what was built
	rm -rf dist .tap .run
