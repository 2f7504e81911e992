#!/usr/bin/env bash
# Installs the Debian packages that the test cluster needs, where something of them is missing. No service is started.
set -euo pipefail
declare -A package_of=(
  [etcd]=etcd-server
  [containerd]=containerd
  [runc]=runc
  [/usr/lib/cni/bridge]=containernetworking-plugins
  [conntrack]=conntrack
  [sysctl]=procps
  [promtool]=prometheus
  [tcpdump]=tcpdump
  [pip3]=python3-pip
)
missing=()
for program in "${!package_of[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]} (install these Debian packages, or run as root where apt-get is)" >&2
  exit 0
fi
# Debian asks this program before it starts a service (invoke-rc.d(8)); where there is one, it stays.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
