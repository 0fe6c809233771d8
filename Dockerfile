# One static binary on an empty image: no shell, no libc, nothing to keep patched.
#
#	docker build -t hostpath-csi .
#	docker buildx build --platform linux/amd64,linux/arm64 -t hostpath-csi .

# Another place or version of Go: --build-arg GO_IMAGE=...
ARG GO_IMAGE=docker.io/library/golang:1.26

# What the driver is put on. A pool in an image file or on a device is formatted with mkfs.xfs
# or mkfs.btrfs: where there are such pools, name an image that has them, such as one of
# Debian with xfsprogs and btrfs-progs: make image BASE_IMAGE=...
ARG BASE_IMAGE=scratch

# The compiler runs on the machine at hand and builds for the one asked for.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS build
WORKDIR /src
# Modules first: they change less often than the code.
COPY go.mod go.sum ./
RUN go mod download
COPY cmd cmd
COPY pkg pkg
ARG TARGETOS
ARG TARGETARCH
ARG VERSION=dev
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -tags grpcnotrace -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" \
    -o /out/hostpath-csi ./cmd/hostpath-csi

FROM ${BASE_IMAGE}
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="hostpath-csi" \
      org.opencontainers.image.description="CSI driver for volumes on the nodes' own disks" \
      org.opencontainers.image.source="https://github.com/hostpath-csi/hostpath-csi" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY LICENSE /LICENSE
COPY --from=build /out/hostpath-csi /hostpath-csi
# Root, because whoever publishes a volume mounts, and a mount needs CAP_SYS_ADMIN.
# A process that does not mount needs none of this: run it with another user
# (runAsUser: 65532, runAsNonRoot: true); the binary is readable for everyone.
USER 0:0
ENTRYPOINT ["/hostpath-csi"]
