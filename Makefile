# `go test -p 1 ./...` needs none of these targets.
export CGO_ENABLED ?= 0
# Flags for a small binary. Inlining makes it 8% larger and no faster, because the kernel does most of the work; only
# Go's runtime has it. Aligning functions to 32 bytes adds 2%; amd64 and 386 need no alignment. OUT is the output file,
# GOARCH the processor, STAMP what packaging/build sets in the program.
ALIGN = $(if $(filter amd64 386,$(or $(GOARCH),$(shell go env GOARCH))),1,4)
SLIM  = -tags urfave_cli_no_docs -trimpath -ldflags '-s -w -funcalign=$(ALIGN) $(STAMP)' \
	-gcflags all=-l -gcflags 'runtime/...=' -gcflags 'internal/...='
OUT  ?= vnet

build: ; go build $(SLIM) -o $(OUT) ./cmd/vnet
install: ; go install $(SLIM) ./cmd/vnet
demo: ; go run ./cmd/vnet demo
test: ; go test -p 1 ./...
race: ; CGO_ENABLED=1 go test -p 1 -race ./...
lint: ; golangci-lint run
ci: ; .ci/run
# Packages, checksums and lists of modules in the folder dist: make packages ARCH=amd64; without ARCH, of all processors
packages: ; packaging/build $(ARCH)
# Installs, boots, upgrades and removes the packages in roots of their own. Needs root and Debian.
test-packages: ; packaging/test/run
# Mutation tests of the pure packages; see CONTRIBUTING.md. Needs root.
mutants: ; .ci/mutants
# All cases of test/trust and fuzzing; writes the table of SECURITY.md. Needs root; takes more than an hour.
trust: ; .ci/trust
# vnet keep repairs 10 000 damages, and 100 changes of a lab lose no connection. Needs root; takes about 15 minutes.
soak: ; VNET_KEEP_DAMAGES=10000 VNET_RELOADS=100 \
	go test ./topo/live -count=1 -v -timeout 2h -run 'TestKeep(Many|IsFast)$$|TestReload'
# Tests on other kernels and processors, and in a Vagrant machine
ci-machines: ; .ci/machines
# Tests in a VM: make test-vm KERNEL=6.1
KERNEL ?= 6.12
test-vm: ; test/vm/run.sh $(KERNEL)
test-vm-all: ; test/vm/run.sh --table 5.10 6.1 6.12 6.18 newest
# Tests on arm64, arm, riscv64, s390x and mipsle, emulated
test-processors: ; test/vm/processors.sh

# Compares vnet with other tools, which bench-setup installs on Debian; see bench/RESULTS.md.
bench: ; cd bench && go run .
bench-setup: ; bench/setup.sh
# CPU and memory profiles of a thousand hosts; see bench/NOTES.md.
profile: ; go test ./topo/live -run '^$$' -bench ThousandHosts -benchtime 3x -o bench/topo.test \
	-cpuprofile bench/cpu.prof -memprofile bench/mem.prof

.PHONY: bench bench-setup profile build install demo test race lint ci packages test-packages mutants trust soak \
	ci-machines test-vm test-vm-all test-processors
