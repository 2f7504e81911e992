#!/bin/sh
# Makes the root file system of an image from installed Debian packages: theirs and their dependencies' files, and
# nothing else. No shell, no package manager. Each Containerfile runs it in a stage on Debian.
# Usage: image-root.sh FOLDER PACKAGE... PACKAGE:FILE...
# PACKAGE:FILE takes one program of a package, without the package's dependencies: name those that it needs.
set -eu
root=$1
shift
packages='' programs='' owners=''
for argument in "$@"; do
  case $argument in
    *:*) programs="$programs ${argument#*:}" owners="$owners ${argument%%:*}" ;;
    *) packages="$packages $argument" ;;
  esac
done
mkdir -p "$root"
# The same links as Debian's merged /usr, by whatever names this architecture has.
for link in /bin /sbin /lib*; do
  [ -L "$link" ] || continue
  mkdir -p "$root$(readlink -f "$link")"
  cp -d "$link" "$root$link"
done
mkdir -p "$root/dev" "$root/etc" "$root/proc" "$root/run" "$root/sys" "$root/tmp" "$root/var/lib/dpkg"
chmod 1777 "$root/tmp"

# shellcheck disable=SC2086
apt-cache depends --recurse --installed --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
  --no-enhances $packages > /tmp/depends
# Base-files without its dependencies: it says which Debian this is.
packages="base-files $(grep '^[a-z0-9]' /tmp/depends)"
# shellcheck disable=SC2086
dpkg-query --listfiles $packages > /tmp/listed
sort -u /tmp/listed | while read -r file; do
  case $file in
    # Character sets that nobody converts to, and texts that nobody reads; licences stay.
    */gconv/* | /usr/share/man/* | /usr/share/locale/* | /usr/share/lintian/* | /usr/share/bug/*) continue ;;
    /usr/share/doc/*/copyright | /usr/share/common-licenses/*) ;;
    /usr/share/doc/* | /usr/share/base-files/* | /usr/share/gcc/* | /etc/update-motd.d/* | /etc/profile.d/*) continue ;;
  esac
  if [ -L "$file" ] || [ -f "$file" ]; then echo "${file#/}"; fi
done > /tmp/files
# With a single program comes the licence of its package, and its status below.
# shellcheck disable=SC2086
owners=$(printf '%s\n' $owners | sort --unique)
for file in $programs; do echo "${file#/}"; done >> /tmp/files
for owner in $owners; do echo "usr/share/doc/$owner/copyright"; done >> /tmp/files
tar --create --file=/tmp/files.tar --directory=/ --no-recursion --files-from=/tmp/files
tar --extract --file=/tmp/files.tar --directory="$root" --keep-directory-symlink

for file in $programs; do
  ldd "$file" | grep -o '/[^ ]*' | while read -r library; do
    [ -e "$root$library" ] || { echo "$file needs $library: name its package" >&2; exit 1; }
  done
done

# Links that update-alternatives made, such as iptables, where what they lead to is here.
for link in /usr/bin/* /usr/sbin/*; do
  target=$(readlink "$link") || continue
  case $target in /etc/alternatives/*) ;; *) continue ;; esac
  [ -e "$root$(readlink -f "$link")" ] || continue
  mkdir -p "$root/etc/alternatives"
  cp -d "$link" "$root$link"
  cp -d "$target" "$root$target"
done

# What a scanner of images reads.
# shellcheck disable=SC2086
dpkg-query --status $packages $owners > "$root/var/lib/dpkg/status"
printf 'root:x:0:0:root:/:/usr/sbin/nologin\nnonroot:x:65532:65532:nonroot:/:/usr/sbin/nologin\n' > "$root/etc/passwd"
printf 'root:x:0:\nnonroot:x:65532:\n' > "$root/etc/group"
printf 'hosts: files dns\n' > "$root/etc/nsswitch.conf"
cp /etc/ld.so.conf "$root/etc/ld.so.conf"
ldconfig -r "$root"
