SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# The version that `hostpath-csi version` tells: a tag, a commit, or "dev" without git.
VERSION := $(or $(VERSION),$(shell git describe --tags --always --dirty 2>/dev/null),dev)
IMAGE ?= hostpath-csi:$(VERSION)

TEST_FLAGS ?=
# In runs, not in seconds: scripts/fuzz.sh tells why.
FUZZTIME ?= 500000x
CRASH_ROUNDS ?= 200
BENCH_FLAGS ?=
E2E_FLAGS ?=
STATICCHECK_VERSION := v0.8.2
CONTROLLER_GEN_VERSION := v0.22.0
# Helm is a program here, and a library of tests/deploy: one version.
HELM_VERSION := $(shell awk '$$1 == "helm.sh/helm/v4" {print $$2}' tests/deploy/go.mod)

staticcheck := bin/staticcheck-$(STATICCHECK_VERSION)
controller_gen := bin/controller-gen-$(CONTROLLER_GEN_VERSION)
helm := bin/helm-$(HELM_VERSION)
# grpcnotrace: without gRPC's own web page the linker can leave out each method that nobody calls, a fifth
# of the program, which otherwise every node has in memory. The Dockerfile does the same.
build := CGO_ENABLED=0 go build -tags grpcnotrace -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)'
# Programs for root lie in directories that a user's PATH may not name.
export PATH := $(PATH):/usr/local/go/bin:/usr/sbin:/sbin
# Who is not root builds as himself and runs only the mounting half as root.
sudo := $(if $(filter-out 0,$(shell id -u)),$(shell command -v sudo))
need_root = @[ "$$(id -u)" = 0 ] || { echo 'make $@ mounts filesystems and needs root: sudo env "PATH=$$PATH" make $@' >&2; exit 1; }

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build bin/hostpath-csi and bin/kubectl-hostpath, static binaries
	@scripts/install-deps.sh build
	$(build) -o bin/hostpath-csi ./cmd/hostpath-csi
	$(build) -o bin/kubectl-hostpath ./cmd/kubectl-hostpath
	@ln -sf kubectl-hostpath bin/kubectl_complete-hostpath

.PHONY: demo
demo: build ## See it work: create, mount, expand, crash, recover, delete (root, seconds)
	@scripts/install-deps.sh demo
	@$(build) -o bin/demo ./tests/demo
	@$(sudo) bin/demo --driver bin/hostpath-csi

.PHONY: test
test: ## Run every test with the race detector: unit, sanity, crash, rules (root)
	$(need_root)
	@scripts/install-deps.sh test
	go test -race -count=1 -timeout 25m $(TEST_FLAGS) ./...
	cd tests/bench && go test -race -count=1 $(TEST_FLAGS) ./...
	cd tests/deploy && go test -count=1 $(TEST_FLAGS) ./...
	cd tests/e2e && go test -count=1 $(TEST_FLAGS) ./bench/...

.PHONY: generate
generate: $(controller_gen) ## Write the CustomResourceDefinitions and the copying of their types
	@$(call generate,deploy/base/crd)

# The CRDs into a directory; the copying beside the types.
generate = $(controller_gen) object crd paths=./pkg/state paths=./pkg/state/kube/v1alpha1 output:crd:dir=$(1)

# Not what the cluster of the tests is made of, but for its format: vet would compile all of
# Kubernetes once for each set of tags.
.PHONY: lint
lint: $(staticcheck) generated ## Check formatting, go vet, staticcheck, what is generated, and who imports whom
	@unformatted=$$(gofmt -l .); [ -z "$$unformatted" ] || { echo "gofmt would change:"; echo "$$unformatted"; exit 1; }
	@for dir in $$(find . -name go.mod -not -path './tests/e2e/kube/*' -not -path './tests/e2e/sidecars/*' -printf '%h '); do \
		for tags in "" crashtest quotavm kubestore; do \
			[ -z "$$tags" ] || grep -rqs --include='*.go' "^//go:build.*$$tags" $$dir || continue; \
			echo "lint $$dir$${tags:+ -tags $$tags}"; \
			(cd $$dir && go vet -tags "$$tags" ./... && $(CURDIR)/$(staticcheck) -tags "$$tags" ./...); \
		done; \
	done
	@go test -count=1 ./tests/rules

# What `make generate` would write is what is there: it is written anew and compared.
.PHONY: generated
generated: $(controller_gen)
	@before=$$(mktemp -d); trap 'rm -rf "$$before"' EXIT; \
	generated="deploy/base/crd pkg/state/zz_generated.deepcopy.go pkg/state/kube/v1alpha1/zz_generated.deepcopy.go"; \
	cp --parents -r $$generated "$$before"; \
	$(MAKE) generate; \
	for path in $$generated; do diff -r "$$before/$$path" $$path || { echo "$$path was out of date; it is written now: commit it"; exit 1; }; done

# Pinned here and not in go.mod, so that the driver's modules are the driver's. The
# second try is for a machine without network that has the module in its cache.
install_tool = @scripts/install-deps.sh build; \
	export GOBIN=$(CURDIR)/bin; \
	go install $(1) || GOSUMDB=off GOPROXY=file://$$(go env GOMODCACHE)/cache/download go install $(1); \
	mv bin/$(2) $@

$(staticcheck):
	$(call install_tool,honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION),staticcheck)

$(controller_gen):
	$(call install_tool,sigs.k8s.io/controller-tools/cmd/controller-gen@$(CONTROLLER_GEN_VERSION),controller-gen)

$(helm):
	$(call install_tool,helm.sh/helm/v4/cmd/helm@$(HELM_VERSION),helm)

.PHONY: helm
helm: $(helm)
	@ln -sf $(notdir $(helm)) bin/helm

.PHONY: fuzz
fuzz: ## Run each fuzz target FUZZTIME (500000x) times
	@scripts/install-deps.sh build
	@scripts/fuzz.sh $(FUZZTIME)

.PHONY: crash
crash: ## Kill the driver at every step, and CRASH_ROUNDS (200) times at random (root)
	$(need_root)
	@scripts/install-deps.sh test
	CRASH_ROUNDS=$(CRASH_ROUNDS) go test -count=1 -timeout 30m $(TEST_FLAGS) ./tests/crash

.PHONY: vm
vm: ## Test XFS and ext4 quota in a small virtual machine (root)
	$(need_root)
	tests/vm/test.sh $(TEST_FLAGS)

.PHONY: kube-store
kube-store: ## Test records, manifests and admission against a real API server
	@kube=$$(tests/e2e/cluster/build.sh) && export HOSTPATH_CSI_TEST_KUBE=$$kube && \
	go test -tags kubestore -count=1 $(TEST_FLAGS) ./pkg/state/kube ./cmd/kubectl-hostpath && \
	cd tests/deploy && go test -tags kubestore -count=1 $(TEST_FLAGS) ./...

.PHONY: kube
kube: ## Build the Kubernetes of the tests, once, into ~/.cache (minutes)
	@scripts/install-deps.sh build
	@tests/e2e/cluster/build.sh

.PHONY: cluster
cluster: ## Leave a Kubernetes of three nodes with the driver up (root; minutes the first time)
	$(need_root)
	@scripts/install-deps.sh e2e
	@tests/e2e/cluster/up.sh
	@tests/e2e/cluster/install.sh
	@echo 'use it: tests/e2e/cluster/kubectl get nodes; end it: make cluster-down'

.PHONY: cluster-down
cluster-down: ## End what make cluster left up
	$(need_root)
	@tests/e2e/cluster/down.sh

.PHONY: e2e
e2e: ## Test the driver in that cluster: up, installed, tested, down (root; minutes)
	$(need_root)
	@scripts/install-deps.sh e2e
	@tests/e2e/run.sh $(E2E_FLAGS)

.PHONY: bench-cluster
bench-cluster: ## Measure many claims at once in that cluster (root; BENCH_FLAGS='--claims 100')
	$(need_root)
	@scripts/install-deps.sh e2e
	@tests/e2e/run.sh --bench $(BENCH_FLAGS)

.PHONY: bench
bench: build ## Measure the driver over its socket (root; BENCH_FLAGS=--quick)
	$(need_root)
	@scripts/install-deps.sh bench
	cd tests/bench && go run . run --driver ../../bin/hostpath-csi $(BENCH_FLAGS)
	cd tests/bench && go run . copies --driver ../../bin/hostpath-csi $(filter --quick --strict,$(BENCH_FLAGS))

.PHONY: bench-vm
bench-vm: build ## Measure creates with a limit on XFS and ext4, in that virtual machine (root)
	$(need_root)
	@scripts/install-deps.sh vm
	@CGO_ENABLED=0 go build -o bin/vmrun ./tests/vm/run
	@cd tests/bench && CGO_ENABLED=0 go build -o ../../bin/bench .
	@mkdir -p out
	@bin/vmrun -- bin/bench copies --driver bin/hostpath-csi --dir $(CURDIR)/out --filesystems xfs,ext4 --project-quota

.PHONY: bench-store
bench-store: build ## Compare the embedded stores that could be had
	cd tests/bench && go run . store $(BENCH_FLAGS)

.PHONY: image
image: ## Build the container image, with docker or else buildah
	@docker info >/dev/null 2>&1 || scripts/install-deps.sh image
	@VERSION=$(VERSION) BASE_IMAGE=$(BASE_IMAGE) scripts/image.sh $(IMAGE)

.PHONY: deps
deps: ## Install what these targets need (Debian, Ubuntu)
	@scripts/install-deps.sh

.PHONY: clean
clean: ## Remove what was built
	rm -rf bin out
