#!/usr/bin/env bash
# node.sh VERB N: one node, "nN", made of namespaces only (mount, network, UTS, IPC). In its mount
# namespace /var/lib, /var/log, /run and /etc/cni/net.d are the node's own (kept under $RUN/nN), so
# manifests with the ordinary hostPaths work alike on every node, and all its mounts vanish with its
# processes. /var/lib/hostpath-csi/btrfs is a btrfs of the node's own, /var/lib/hostpath-csi/plain a directory.
#   start            boot it (again: its /var/lib survives, /run and all mounts do not)
#   stop | kill      shut it down with TERM, or at once with KILL as a power cut would
#   images FILE...   import images
#   exec CMD...      run a command inside it
#   stop-kubelet | start-kubelet | stop-containerd | start-containerd
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/env.sh"
verb=$1 i=$2 n=n$2; shift 2
D=$RUN/$n; ip=$NET.$((10+i)); C=/run/containerd/containerd.sock
CGROUPS="cpu cpuacct cpuset memory devices freezer blkio pids systemd unified"
pid() { cat "$RUN/pids/$1" 2>/dev/null; }
in_node() { nsenter -t "$(pid "$n.anchor")" -m -n -u -i -- "$@"; }
daemon() { # NAME CMD...: nsenter and setsid exec what follows, so $! is the daemon itself
  local name=$1; shift
  nsenter -t "$(pid "$n.anchor")" -m -n -u -i -- setsid "$@" >>"$RUN/log/$name.log" 2>&1 </dev/null & echo $! >"$RUN/pids/$name"; }
end() { local p; p=$(pid "$1") || return 0; kill "$p" 2>/dev/null || return 0; while kill -0 "$p" 2>/dev/null; do sleep 0.05; done; }
kubelet() { daemon "$n.kubelet" "$KUBE" kubelet --config="$D/kubelet.yaml" --kubeconfig="$RUN/$n.kubeconfig" \
  --hostname-override="$n" --node-ip="$ip" --node-labels="topology.kubernetes.io/zone=z$i" --v="${KUBELET_V:-2}"; }
containerd() { daemon "$n.containerd" /usr/bin/containerd --config "$D/containerd.toml"
  until in_node ctr -a $C version >/dev/null 2>&1; do sleep 0.05; done; }
# Without power there would be no loop devices, but the kernel goes on. Those of block volumes
# have to be freed from the top: the kubelet puts one over each as a lock, which nobody frees.
images() { in_node find /var/lib/hostpath-csi -maxdepth 3 -path '*/images/*' -type f -exec stat -c '%Hd:%Ld %i' {} +; }
free() { # "MAJOR:MINOR INODE": the loop devices over that file, and those over these
  local loop device inode
  losetup -nlO NAME,BACK-MAJ:MIN,BACK-INO | while read -r loop device inode; do
    [ "$device $inode" = "$1" ] || continue
    free "$(stat -c '%Hd:%Ld %i' "$loop")"
    losetup -d "$loop" 2>/dev/null || true # it may have gone with the one over it
  done; }

configs() {
  cat >"$D/cni/10-e2e.conflist" <<J
{"cniVersion":"0.4.0","name":"e2e","plugins":[
 {"type":"bridge","bridge":"cni0","isGateway":true,"ipMasq":false,"hairpinMode":true,
  "ipam":{"type":"host-local","dataDir":"/run/cni-ipam","ranges":[[{"subnet":"$POD.$i.0/24"}]],"routes":[{"dst":"0.0.0.0/0"}]}}]}
J
  cat >"$D/containerd.toml" <<T
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs","io.containerd.snapshotter.v1.zfs","io.containerd.snapshotter.v1.aufs","io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "$C"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "hostpath-csi.test/pause:1"
  restrict_oom_score_adj = true      # no CAP_SYS_RESOURCE here: never ask for less than our own score
  disable_apparmor = true
  disable_hugetlb_controller = true
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/etc/cni/net.d"
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
T
  cat >"$D/kubelet.yaml" <<Y
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true}, x509: {clientCAFile: "$RUN/pki/ca.crt"}}
authorization: {mode: Webhook}
tlsCertFile: "$RUN/pki/$n.crt"
tlsPrivateKeyFile: "$RUN/pki/$n.key"
containerRuntimeEndpoint: unix://$C
cgroupDriver: cgroupfs
cgroupRoot: /$CGROUP-$n
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
maxOpenFiles: 20000
maxPods: 50
makeIPTablesUtilChains: false
imageGCHighThresholdPercent: 100
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
nodeStatusUpdateFrequency: 4s
syncFrequency: 5s
Y
}

case $verb in
start)
  [ -e "$RUN/pki/$n.crt" ] || NODES=$i "$HERE/certs.sh" # a node that joins later
  rm -rf "$D/run"; mkdir -p "$D"/{var-lib,var-log,run,cni}; configs
  [ -e "$D/btrfs.img" ] || { truncate -s 2G "$D/btrfs.img" && mkfs.btrfs -q "$D/btrfs.img" >/dev/null; }
  setsid unshare -m -u -n -i --propagation private sh -c "hostname $n; echo ready >$D/ready; exec sleep infinity" >"$RUN/log/$n.anchor.log" 2>&1 </dev/null &
  echo $! >"$RUN/pids/$n.anchor"
  until [ -s "$D/ready" ]; do sleep 0.02; done; rm "$D/ready"
  # The netns of the anchor, by its process ID: "netns" looks for a name first, and finds none.
  ip -n "$NETNS" link add "veth-$n" type veth peer name eth0 netns "$(pid "$n.anchor")"
  ip -n "$NETNS" link set "veth-$n" master $BR up; ip -n "$NETNS" route replace "$POD.$i.0/24" via "$ip"
  for c in $CGROUPS; do mkdir -p "/sys/fs/cgroup/$c/$CGROUP-$n"; done
  for f in cpus mems; do cat /sys/fs/cgroup/cpuset/cpuset.$f >"/sys/fs/cgroup/cpuset/$CGROUP-$n/cpuset.$f"; done
  in_node sh -eu <<S
    # drop the host's other mounts from this namespace, or they would stay busy for the host
    for m in \$(findmnt -rno TARGET | tac); do case \$m in /|/proc|/proc/*|/sys|/sys/*|/dev|/dev/*) continue ;; esac
      case "$RUN/ $BIN/" in "\$m"/*|*" \$m"/*) ;; *) umount -l "\$m" 2>/dev/null || true ;; esac; done
    mount --make-rshared /
    # private first: a peer group of its own, so that mounts do not show up under $D as well
    own() { mkdir -p "\$1" "\$2"; mount --bind "\$1" "\$2"; mount --make-private "\$2"; mount --make-shared "\$2"; }
    own $D/var-lib /var/lib; own $D/var-log /var/log; own $D/run /run; own $D/cni /etc/cni/net.d
    mkdir -p /var/lib/kubelet /run/netns /var/lib/hostpath-csi/plain /var/lib/hostpath-csi/btrfs
    mount -o loop $D/btrfs.img /var/lib/hostpath-csi/btrfs
    btrfs quota enable /var/lib/hostpath-csi/btrfs
    ip link set lo up; ip addr add $ip/24 dev eth0; ip link set eth0 up; ip route add default via $NET.1
    ip link add cni0 address 02:00:0a:f4:00:$(printf %02x "$i") type bridge; ip link set cni0 up   # fixed address, as for $BR
    sysctl -qw net.ipv4.ip_forward=1
S
  containerd
  "$HERE/node.sh" images "$i" "$RUN"/images/*.tar
  kubelet ;;
images)
  for file; do in_node ctr -a $C -n k8s.io images import "$file" >/dev/null; done ;;
exec) in_node "$@" ;;
start-kubelet) kubelet ;;
stop-kubelet) end "$n.kubelet" ;;
start-containerd) containerd ;;
stop-containerd) end "$n.containerd" ;;
stop|kill) # every process whose mount namespace or cgroup is the node's (containers have mount namespaces of their own)
  a=$(pid "$n.anchor") || exit 0; ns=$(readlink "/proc/$a/ns/mnt") || exit 0
  blocks=$(images || true)
  sig="TERM TERM KILL KILL"; [ "$verb" = stop ] || sig="KILL KILL"
  for s in $sig; do
    found=; for p in /proc/[0-9]*; do
      if [ "$(readlink "$p/ns/mnt" 2>/dev/null)" = "$ns" ] || grep -qs ":/$CGROUP-$n/" "$p/cgroup"; then kill -"$s" "${p#/proc/}" 2>/dev/null && found=1; fi
    done; [ -n "$found" ] || break; sleep 0.5; done
  while read -r file; do [ -z "$file" ] || free "$file"; done <<<"$blocks"
  rm -f "$RUN/pids/$n".*
  ip -n "$NETNS" link del "veth-$n" 2>/dev/null || true; ip -n "$NETNS" route del "$POD.$i.0/24" 2>/dev/null || true
  for c in $CGROUPS; do for _ in 1 2 3 4 5; do [ -d "/sys/fs/cgroup/$c/$CGROUP-$n" ] || break
    find "/sys/fs/cgroup/$c/$CGROUP-$n" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.2; done; done ;;
*) echo "node.sh: no verb $verb" >&2; exit 2 ;;
esac
