#!/bin/sh
# Makes the root file system of an image from installed Debian packages: theirs and their dependencies' files, and
# nothing else. No shell, no package manager. Each Containerfile runs it in a stage on Debian.
# Usage: image-root.sh FOLDER PACKAGE... PACKAGE:FILE... /FIFO...
# /FIFO is made there, for the owner alone.
# PACKAGE:FILE takes one program of a package, without the package's dependencies: name those that it needs.
# FROM is the folder of another installed Debian, which may be of another architecture: nothing of it is run.
set -eu
from=${FROM:-}
work=$(mktemp -d)
trap 'rm -r "$work"' EXIT
root=$1
shift
packages='' programs='' owners='' fifos=''
for argument in "$@"; do
  case $argument in
    /*) fifos="$fifos $argument" ;;
    *:*) programs="$programs ${argument#*:}" owners="$owners ${argument%%:*}" ;;
    *) packages="$packages $argument" ;;
  esac
done
mkdir -p "$root"
# The same links as Debian's merged /usr, by whatever names this architecture has.
for link in "$from"/bin "$from"/sbin "$from"/lib*; do
  [ -L "$link" ] || continue
  mkdir -p "$root/$(readlink "$link")"
  cp -d "$link" "$root${link#"$from"}"
done
: > "$work/apt.conf"
[ -z "$from" ] || {
  architecture=$(cat "$from/var/lib/dpkg/arch")
  printf '%s "%s";\n' Dir "$from/" Dir::State::status "$from/var/lib/dpkg/status" \
    APT::Architecture "$architecture" APT::Architectures "$architecture" > "$work/apt.conf"
}
mkdir -p "$root/dev" "$root/etc" "$root/proc" "$root/run" "$root/sys" "$root/tmp" "$root/var/lib/dpkg"
chmod 1777 "$root/tmp"
for fifo in $fifos; do
  mkdir -p "$root${fifo%/*}"
  mkfifo -m 600 "$root$fifo"
done

# shellcheck disable=SC2086
APT_CONFIG="$work/apt.conf" apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
  --no-enhances $packages > "$work/depends"
# Base-files without its dependencies: it says which Debian this is.
packages="base-files $(grep '^[a-z0-9]' "$work/depends")"
# shellcheck disable=SC2086
dpkg-query --admindir="$from/var/lib/dpkg" --listfiles $packages > "$work/listed"
sort -u "$work/listed" | while read -r file; do
  case $file in
    # Character sets that nobody converts to, and texts that nobody reads; licences stay.
    */gconv/* | /usr/share/man/* | /usr/share/locale/* | /usr/share/lintian/* | /usr/share/bug/*) continue ;;
    /usr/share/doc/*/copyright | /usr/share/common-licenses/*) ;;
    /usr/share/doc/* | /usr/share/base-files/* | /usr/share/gcc/* | /etc/update-motd.d/* | /etc/profile.d/*) continue ;;
  esac
  if [ -L "$from$file" ] || [ -f "$from$file" ]; then echo "${file#/}"; fi
done > "$work/files"
# With a single program comes the licence of its package, and its status below.
# shellcheck disable=SC2086
owners=$(printf '%s\n' $owners | sort --unique)
for file in $programs; do echo "${file#/}"; done >> "$work/files"
for owner in $owners; do echo "usr/share/doc/$owner/copyright"; done >> "$work/files"
tar --create --file="$work/files.tar" --directory="$from/" --no-recursion --files-from="$work/files"
tar --extract --file="$work/files.tar" --directory="$root" --keep-directory-symlink

for file in $programs; do
  [ -z "$from" ] || continue
  ldd "$file" | grep -o '/[^ ]*' | while read -r library; do
    [ -e "$root$library" ] || { echo "$file needs $library: name its package" >&2; exit 1; }
  done
done

# Links that update-alternatives made, such as iptables, where what they lead to is here.
for link in "$from"/usr/bin/* "$from"/usr/sbin/*; do
  target=$(readlink "$link") || continue
  case $target in /etc/alternatives/*) ;; *) continue ;; esac
  [ -e "$root$(readlink "$from$target")" ] || continue
  mkdir -p "$root/etc/alternatives"
  cp -d "$link" "$root${link#"$from"}"
  cp -d "$from$target" "$root$target"
done

# What a scanner of images reads.
# shellcheck disable=SC2086
dpkg-query --admindir="$from/var/lib/dpkg" --status $packages $owners > "$root/var/lib/dpkg/status"
printf 'root:x:0:0:root:/:/usr/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/usr/sbin/nologin\n' > "$root/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' > "$root/etc/group"
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
