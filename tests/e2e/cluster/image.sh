#!/usr/bin/env bash
# image.sh NAME:TAG OUT.tar ENTRYPOINT-JSON FILE[:PATH-IN-IMAGE]|+PROGRAM...
# A one-layer docker archive, by hand: no registry, no builder. Every image holds a static
# busybox with its applets, /tmp, and the given files (default path: /NAME-OF-FILE).
# +PROGRAM (+mkfs.xfs, say) takes this machine's program with the libraries ldd names.
set -euo pipefail
name=$1 out=$2 entry=$3; shift 3
w=$(mktemp -d); trap 'rm -rf "$w"' EXIT
mkdir -p "$w"/root/{bin,etc,tmp,proc,sys,dev,var/run,data}; chmod 1777 "$w/root/tmp"
cp /bin/busybox "$w/root/bin/busybox"
for a in $("$w/root/bin/busybox" --list); do [ "$a" = busybox ] || ln -s busybox "$w/root/bin/$a"; done
echo 'root:x:0:0:root:/root:/bin/sh' >"$w/root/etc/passwd"; echo 'root:x:0:' >"$w/root/etc/group"
for f; do
  case $f in +*) q=$(readlink -f "$(command -v "${f#+}")"); d=$w/root/usr/bin/${f#+}; mkdir -p "${d%/*}"; cp "$q" "$d"
    ldd "$q" 2>/dev/null | grep -o '/[^ ]*' | while read -r l; do mkdir -p "$w/root$(dirname "$l")"; cp -Ln "$l" "$w/root$l"; done; continue ;; esac
  src=${f%%:*}; dst=/${src##*/}; [ "$f" = "$src" ] || dst=${f#*:}
  mkdir -p "$w/root$(dirname "$dst")"; cp -L "$src" "$w/root$dst"; done
tar -C "$w/root" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -cf "$w/layer.tar" .
d=$(sha256sum "$w/layer.tar" | cut -d' ' -f1)
cat >"$w/config.json" <<J
{"architecture":"amd64","os":"linux","config":{"Env":["PATH=/usr/bin:/usr/sbin:/bin:/sbin:/"],"Entrypoint":$entry},"rootfs":{"type":"layers","diff_ids":["sha256:$d"]},"history":[{"created_by":"image.sh"}]}
J
echo "[{\"Config\":\"config.json\",\"RepoTags\":[\"$name\"],\"Layers\":[\"layer.tar\"]}]" >"$w/manifest.json"
tar -C "$w" -cf "$out" manifest.json config.json layer.tar
