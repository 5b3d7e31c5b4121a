// Package labtest has what the tests of several packages share: they parse and compile labs, and
// run ip(8). Only tests import it.
package labtest

import (
	"testing"

	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
)

// MustParse parses a lab file. The test fails if the file has mistakes.
func MustParse[text string | []byte](t testing.TB, file string, content text) lab.Topology {
	t.Helper()
	parsed, err := lab.Parse(file, []byte(content))
	if err != nil {
		t.Fatalf("Parse:\n%v", err)
	}
	return parsed
}

// Compiled returns a lab's name and its state.
func Compiled(t testing.TB, text string) (name string, want topo.State) {
	t.Helper()
	parsed := MustParse(t, "lab.yaml", text)
	want, err := lab.Compile(parsed)
	if err != nil {
		t.Fatal(err)
	}
	return parsed.Name, want
}

// PublishedLab has a host that reaches its own published port through its gateway.
const PublishedLab = `
name: published
networks: {sw: {subnets: [10.0.5.0/24, "fd00:5::/64"], nat: true}}
hosts:
  red: {networks: [sw], ports: ["8080:80"]}
expect:
  - red -> 10.0.5.1 tcp 8080: as 10.0.5.1
  - red -> fd00:5::1 tcp 8080: as fd00:5::1
`
