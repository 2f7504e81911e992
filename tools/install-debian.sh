#!/usr/bin/env bash
# Installs the Debian packages of programs that are missing. Arguments: what they are for, and for `kernels` the kernel
# that is wanted; without one, the kernels of amd64.
#   netfilter  kernel tests, demo and bench
#   cluster    the one-node cluster; no service is started
#   user-namespaces  what a container runtime is built with, for a node of the cluster
#   release    make release, which cannot run without: then the exit code is 1
#   browser    the tests of the status page
#   emulator   test-release, which runs programs of arm64
#   kernels    test-kernels and test-userlands, which cannot run without: then the exit code is 1
set -euo pipefail
declare -A package_of
case "$1" in
  netfilter)
    package_of=(
      [iptables-legacy]=iptables [nft]=nftables [ip]=iproute2 [setpriv]=util-linux [unshare]=util-linux
      [conntrack]=conntrack [ethtool]=ethtool [wrk]=wrk [curl]=curl [socat]=socat
    )
    ;;
  cluster)
    package_of=(
      [etcd]=etcd-server [containerd]=containerd [runc]=runc [/usr/lib/cni/bridge]=containernetworking-plugins
      [conntrack]=conntrack [sysctl]=procps [promtool]=prometheus [tcpdump]=tcpdump [pip3]=python3-pip
    )
    ;;
  user-namespaces)
    package_of=([gcc]=gcc [/usr/include/stdio.h]=libc6-dev [pkg-config]=pkg-config [/usr/include/seccomp.h]=libseccomp-dev)
    ;;
  release)
    package_of=(
      [mmdebstrap]=mmdebstrap [libdeflate-gzip]=libdeflate-tools [git]=git
      [x86_64-linux-gnu-strip]=binutils-x86-64-linux-gnu [aarch64-linux-gnu-strip]=binutils-aarch64-linux-gnu
    )
    ;;
  browser)
    package_of=([chromium]=chromium [/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf]=fonts-dejavu-core)
    ;;
  emulator)
    package_of=([qemu-aarch64-static]=qemu-user-static)
    ;;
  kernels)
    package_of=([qemu-system-x86_64]=qemu-system-x86 [mmdebstrap]=mmdebstrap [depmod]=kmod [cpio]=cpio)
    [ "${2:-}" = arm64 ] && package_of[qemu-system-aarch64]=qemu-system-arm
    ;;
esac
missing=()
for program in "${!package_of[@]}"; do
  command -v "$program" >/dev/null || [ -e "$program" ] || missing+=("${package_of[$program]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]} (install these Debian packages, or run as root where apt-get is)" >&2
  [[ "$1" != kernels && "$1" != release && "$1" != browser ]]
  exit
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
