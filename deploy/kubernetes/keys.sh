#!/bin/sh
# keys.sh prints what the brokers' users need: a Secret with a seed for each (nats-admin, nats-enqueue, nats-worker) and a ConfigMap with their public keys (nats-users). No seed touches
# the disk:
#
#	deploy/kubernetes/keys.sh | kubectl --namespace stipple create --filename -
#
# Run again it makes other keys; with `kubectl replace`, all programs have to be restarted together with the brokers.
set -eu
cd -- "$(dirname -- "$0")/../.."
public=
for user in admin enqueue worker; do
	pair=$(go run github.com/nats-io/nkeys/nk -gen user -pubout)
	seed=$(printf "%s\n" "$pair" | head -n 1)
	key=$(printf "%s\n" "$pair" | tail -n 1)
	public="$public
  STIPPLE_$(printf %s "$user" | tr '[:lower:]' '[:upper:]')_NKEY: $key"
	cat <<YAML
apiVersion: v1
kind: Secret
metadata:
  name: nats-$user
  labels: {app.kubernetes.io/name: nats, app.kubernetes.io/part-of: stipple}
type: Opaque
stringData:
  seed.nk: $seed
---
YAML
done
cat <<YAML
apiVersion: v1
kind: ConfigMap
metadata:
  name: nats-users
  labels: {app.kubernetes.io/name: nats, app.kubernetes.io/part-of: stipple}
data:$public
YAML
