# One-liners; each is what its name says. `go test ./...` needs none of them.
export CGO_ENABLED ?= 0
TAGS  = -tags urfave_cli_no_docs
SLIM  = $(TAGS) -trimpath -ldflags '-s -w'

build: ; go build $(SLIM) -o vnet ./cmd/vnet
install: ; go install $(SLIM) ./cmd/vnet
demo: ; go run ./cmd/vnet demo
test: ; go test ./...
race: ; CGO_ENABLED=1 go test -race ./...
lint: ; golangci-lint run
ci: ; .ci/run

.PHONY: build install demo test race lint ci
