# Needs Go, a C compiler, and pip or npm. What it fetches or builds once lies in $STIPPLE_CACHE (by default
# stipple/ in the user's cache, see scripts/lib.sh), so `clean` does not throw it away.

.DEFAULT_GOAL := help
.SUFFIXES:
# Tests measure and wait; two at once on two cores would only slow each other down.
.NOTPARALLEL:

# Each recipe that runs Go goes through RUN: it finds the cache and, with --ort, ONNX Runtime.
RUN := scripts/env.sh
ORT := scripts/env.sh --ort

# More flags for every `go test`, as in: make unit TESTFLAGS='-v -run TestEngine'
TESTFLAGS ?=
# How many packages are tested at once. Most of the time their tests wait: for a broker, a lease, a retry.
PACKAGES ?= 4
# How long `make fuzz` tries each fuzzer, and `make fuzz-smoke`, which is a part of `make test`.
FUZZTIME ?= 10m
SMOKETIME ?= 2s
# Benchmarks and packages of `make bench`, and flags for the program that compares whole workers (e2e/bench).
BENCH ?= .
PKG ?= ./internal/...
COMPARE ?=
# Flags of `make chaos`.
CHAOS ?=
# Flags of `make bench-gpu` (deploy/export/gpubench.py).
BENCHGPU ?=

# Stories that meet no store, or for which any will do, by the first words of their names: `make e2e` tells them.
ANYSTORE := AHighJob|ABacklog|InputOfEnqueue|AModelThatNobody|WithoutAHome|SettingsOf|ModelFolders|NoONNXRuntime|RowsOfAFile|WhatEnqueueTells|SetupBefore|ABrokerAway|LeadersDie|BadCollectors|EnqueueWithACollector|Completion|Docs|Manuals|TheManual|ConfigurationIs|AFanOut|Page|EveryResult|Preemption

# Packages that build and pass their tests without cgo, and so without ONNX Runtime.
PURE := ./internal/infer ./internal/infer/clip ./internal/infer/onnx ./internal/infer/rng ./internal/infer/schedule \
	./internal/queue ./internal/batch ./internal/upload ./internal/otel ./internal/gpu ./internal/modelstore ./internal/flagenv ./internal/gallery
# Packages whose goroutines share state: tested again under the race detector.
RACE := ./internal/queue ./internal/worker ./internal/infer ./internal/otel ./internal/web ./internal/webhook

.PHONY: help
help: ## this list
	@awk 'BEGIN { FS = ":.*## " } /^## / { printf "\n%s\n", substr($$0, 4) } \
		/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## Try it

.PHONY: demo
demo: build ## queue, worker, bucket, traces and 24 pictures in demo/, then stop
	bin/dev demo

.PHONY: dev
dev: build ## the same servers, left running
	bin/dev

## Build

.PHONY: build
build: ## bin/worker, bin/enqueue, bin/dev, and ONNX Runtime beside them
	@scripts/fetch-ort.sh --into bin >/dev/null
	$(RUN) go build -o bin/ ./cmd/worker ./cmd/enqueue ./cmd/dev

.PHONY: ort
ort: ## fetch ONNX Runtime into the cache if it is not there, and print its path
	@scripts/fetch-ort.sh

.PHONY: ort-cuda
ort-cuda: ## fetch ONNX Runtime for CUDA and NVIDIA's libraries into the cache (2 GB), and print its path
	@scripts/fetch-ort-cuda.sh

.PHONY: man
man: build ## man pages of all commands in man/man1, from the same texts as -h
	bin/worker help --format man --out man/man1
	bin/enqueue help --format man --out man/man1

.PHONY: docs
docs: build ## write the tables of settings in docs/configuration.md anew
	scripts/docs.sh

.PHONY: clean
clean: ## remove what was built here (not the cache)
	rm -rf bin demo .dev dist man

## Check

.PHONY: test
test: vet unit race fuzz-smoke e2e ## all that has to pass before a commit

.PHONY: vet
vet: ## go vet
	$(RUN) go vet ./...

.PHONY: unit
unit: ## unit tests: those without cgo with cgo off, then the others on ONNX Runtime
	CGO_ENABLED=0 $(RUN) go test -p $(PACKAGES) $(TESTFLAGS) $(PURE)
	$(ORT) scripts/others.sh $(PURE) -- go test -p $(PACKAGES) $(TESTFLAGS)
	$(RUN) go test -C deploy/grafana $(TESTFLAGS) ./...
	$(RUN) go test -C deploy/check $(TESTFLAGS) ./...

.PHONY: race
race: ## unit tests of the concurrent packages under the race detector
	$(ORT) go test -race -p $(PACKAGES) $(TESTFLAGS) $(RACE)

.PHONY: fuzz-smoke
fuzz-smoke: ## each fuzzer for SMOKETIME (2s)
	$(ORT) scripts/fuzz.sh $(SMOKETIME)

.PHONY: e2e
e2e: build ## end-to-end stories against nats-server and versitygw
	$(ORT) --chromium scripts/e2e.sh versitygw $(TESTFLAGS)

.PHONY: e2e-minio
e2e-minio: build ## end-to-end stories against nats-server and MinIO, but for those in which any store will do
	$(ORT) scripts/e2e.sh minio -skip '^Test($(ANYSTORE))' $(TESTFLAGS)

.PHONY: e2e-containers
e2e-containers: build ## end-to-end stories against containers of nats-server and MinIO; without docker or podman against processes, which it says
	$(ORT) --chromium scripts/e2e.sh containers $(TESTFLAGS)

.PHONY: lint
lint: ## golangci-lint, formatting and import direction
	$(RUN) scripts/lint.sh

.PHONY: fmt
fmt: ## format every Go file as lint wants it
	$(RUN) scripts/lint.sh fmt

.PHONY: check-clean
check-clean: ## fail when modules are not tidy, or when something was left in the tree
	$(RUN) go mod tidy -diff
	@left=$$(git status --porcelain) && [ -z "$$left" ] || { printf 'left in the tree:\n%s\n' "$$left"; exit 1; }

## Release

.PHONY: release
release: ## archives of all programs for Linux and macOS in dist/, with licences, bills of materials and sums (VERSION=v0.1.0)
	$(RUN) scripts/release.sh

.PHONY: release-check
release-check: ## the same twice, from nothing: fail unless both make the same bytes
	$(RUN) scripts/release.sh --check

.PHONY: licences
licences: ## what is linked, and under which licences
	$(RUN) go run ./scripts/release licences ./cmd/worker ./cmd/enqueue ./cmd/dev

.PHONY: vulncheck
vulncheck: ## look for known vulnerabilities in what the programs call (needs vuln.go.dev)
	$(RUN) scripts/vulncheck.sh

## Longer

.PHONY: soak
soak: build ## the tests at full size: hours
	STIPPLE_SOAK=1 $(ORT) go test -count=1 -timeout 6h $(TESTFLAGS) ./internal/...
	STIPPLE_SOAK=1 $(ORT) --chromium scripts/e2e.sh versitygw -timeout 6h $(TESTFLAGS)
	STIPPLE_SOAK=1 $(ORT) --chromium scripts/e2e.sh minio -timeout 6h -run Chaos $(TESTFLAGS)
	$(ORT) scripts/fuzz.sh $(FUZZTIME)

.PHONY: chaos
chaos: build ## jobs under a seeded plan of faults, against nats-server and MinIO (CHAOS='--jobs 60 --faults 12 --seed 7', docs/chaos.md)
	$(ORT) scripts/chaos.sh $(CHAOS)

.PHONY: bench
bench: build ## benchmarks (BENCH=regexp PKG=./internal/upload), then whole workers
	$(ORT) --chromium go test -run '^$$' -bench '$(BENCH)' -benchmem $(PKG)
	$(ORT) go run ./e2e/bench $(COMPARE)

.PHONY: bench-gpu
bench-gpu: ## stipple beside PyTorch diffusers on one GPU (docs/gpu.md; DEVICE=cpu SIZE=tiny: on a CPU, that it works)
	$(RUN) scripts/bench-gpu.sh $(BENCHGPU)

.PHONY: export-test
export-test: build ## export tiny models of every family, draw with them, and try bench-gpu on a CPU: minutes, and some gigabytes of PyTorch
	$(ORT) env WORKER=$(CURDIR)/bin/worker "$$(scripts/export-env.sh)" -W ignore -m unittest discover --verbose --start-directory deploy/export --pattern '*_test.py'

.PHONY: fuzz
fuzz: ## each fuzzer for FUZZTIME (10m)
	$(ORT) scripts/fuzz.sh $(FUZZTIME)
