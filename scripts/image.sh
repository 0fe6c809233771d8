#!/usr/bin/env bash
# Builds the container image with docker, or with buildah where no docker runs:
#
#	VERSION=v1 scripts/image.sh NAME:TAG
set -euo pipefail
cd "$(dirname "$0")/.."
image=$1
args=(
	--build-arg "VERSION=${VERSION:-dev}"
	--build-arg "REVISION=$(git rev-parse HEAD 2>/dev/null || echo unknown)"
	--tag "$image"
)
# What the driver is put on, such as an image that has mkfs; see the Dockerfile.
[ -z "${BASE_IMAGE:-}" ] || args+=(--build-arg "BASE_IMAGE=$BASE_IMAGE")
if docker info >/dev/null 2>&1; then
	docker build "${args[@]}" .
else
	buildah bud "${args[@]}" .
fi
echo "built $image"
