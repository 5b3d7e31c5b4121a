# One-liners; each is what its name says. `go test ./...` needs none of them.
export CGO_ENABLED ?= 0
# For small machines. Inlining makes the binary 5% larger and, where the kernel does
# the work, no faster; functions that begin at each 32 bytes add 1%. OUT and GOARCH say where to, and for which processor.
SLIM  = -tags urfave_cli_no_docs -trimpath -ldflags '-s -w -funcalign=16' -gcflags 'github.com/vnet-lab/vnet/...=-l'
OUT  ?= vnet

build: ; go build $(SLIM) -o $(OUT) ./cmd/vnet
install: ; go install $(SLIM) ./cmd/vnet
demo: ; go run ./cmd/vnet demo
test: ; go test ./...
race: ; CGO_ENABLED=1 go test -race ./...
lint: ; golangci-lint run
ci: ; .ci/run
# The same on other kernels and processors, and in a Vagrant machine
ci-machines: ; .ci/machines
# In a virtual machine: make test-vm KERNEL=6.1
KERNEL ?= 6.12
test-vm: ; test/vm/run.sh $(KERNEL)
test-vm-all: ; test/vm/run.sh --table 5.10 6.1 6.12 6.18 newest
# On arm64, arm, riscv64, s390x and mipsle, emulated
test-processors: ; test/vm/processors.sh

# Beside its peers, which bench-setup installs on Debian; see bench/RESULTS.md.
bench: ; cd bench && go run .
bench-setup: ; bench/setup.sh
# Where the time and the memory of a thousand hosts go; see bench/NOTES.md.
profile: ; go test ./topo -run '^$$' -bench ThousandHosts -benchtime 3x -o bench/topo.test -cpuprofile bench/cpu.prof -memprofile bench/mem.prof

.PHONY: bench bench-setup profile build install demo test race lint ci ci-machines test-vm test-vm-all test-processors
