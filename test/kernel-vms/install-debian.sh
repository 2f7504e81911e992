#!/usr/bin/env bash
# Installs the Debian packages that test-kernels and test-userlands run, where a program is missing. The argument is the
# kernel that is wanted; without one, the kernels of amd64.
set -euo pipefail
declare -A package_of=(
  [qemu-system-x86_64]=qemu-system-x86
  [mmdebstrap]=mmdebstrap
  [depmod]=kmod
  [cpio]=cpio
)
[ "${1:-}" = arm64 ] && package_of[qemu-system-aarch64]=qemu-system-arm
missing=()
for program in "${!package_of[@]}"; do
  command -v "$program" >/dev/null || missing+=("${package_of[$program]}")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
  echo "missing: ${missing[*]} (install these Debian packages, or run as root where apt-get is)" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
