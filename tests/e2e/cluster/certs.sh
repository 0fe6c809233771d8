#!/usr/bin/env bash
# One CA, the component certificates and kubeconfigs, under $RUN/pki. Needs openssl.
set -euo pipefail
. "$(dirname "$0")/env.sh"
P=$RUN/pki; mkdir -p "$P"; cd "$P"
[ -f ca.crt ] || openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
  -subj /CN=hostpath-csi-e2e -keyout ca.key -out ca.crt -addext basicConstraints=critical,CA:true -addext keyUsage=critical,keyCertSign,digitalSignature 2>/dev/null
[ -f sa.key ] || { openssl genrsa -out sa.key 2048 2>/dev/null; openssl rsa -in sa.key -pubout -out sa.pub 2>/dev/null; }
cert() { # file, subject, [SANs]
  [ -f "$1.crt" ] && return 0
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -out "$1.csr" -subj "$2" 2>/dev/null
  openssl x509 -req -in "$1.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 -out "$1.crt" \
    -extfile <(echo "extendedKeyUsage=clientAuth,serverAuth"; [ -z "${3-}" ] || echo "subjectAltName=$3") 2>/dev/null
}
conf() { # file, cert
  cat >"$RUN/$1.kubeconfig" <<Y
apiVersion: v1
kind: Config
clusters: [{name: e2e, cluster: {server: "$API", certificate-authority: "$P/ca.crt"}}]
users: [{name: me, user: {client-certificate: "$P/$2.crt", client-key: "$P/$2.key"}}]
contexts: [{name: e2e, context: {cluster: e2e, user: me}}]
current-context: e2e
Y
}
cert apiserver /CN=kube-apiserver "DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:localhost,IP:127.0.0.1,IP:$SVC,IP:$NET.1"
cert apiserver-kubelet-client /O=system:masters/CN=kube-apiserver-kubelet-client
cert admin /O=system:masters/CN=admin
cert kcm /CN=system:kube-controller-manager
cert scheduler /CN=system:kube-scheduler
conf admin admin; conf kcm kcm; conf scheduler scheduler
for i in $(seq 1 "$NODES"); do cert "n$i" "/O=system:nodes/CN=system:node:n$i" "DNS:n$i,IP:$NET.$((10+i))"; conf "n$i" "n$i"; done
