#!/usr/bin/env bash
# Installs the Debian packages that the kernel tests, the demo and the bench run, where a program is missing.
set -euo pipefail
declare -A package_of=(
  [iptables-legacy]=iptables
  [nft]=nftables
  [ip]=iproute2
  [setpriv]=util-linux
  [unshare]=util-linux
  [conntrack]=conntrack
  [ethtool]=ethtool
  [wrk]=wrk
  [curl]=curl
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
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
