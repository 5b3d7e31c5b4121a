package lab

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/topo"
)

// TestFillEgress: only what the lab leaves to the machine changes.
func TestFillEgress(t *testing.T) {
	for _, tt := range []struct {
		network Network
		mtu     int
		needs   bool
		wantMTU int
		links   []string
	}{
		{Network{MTU: 9000}, 1420, false, 9000, nil},
		{Network{MTUAuto: true}, 1420, true, 1420, nil},
		{Network{MTUAuto: true}, 0, true, 1500, nil},
		{Network{Fastpath: true}, 1420, true, 0, []string{"eth0"}},
	} {
		topology := Topology{Networks: []Network{tt.network}}
		called := false
		find := func() ([]string, int, error) {
			called = true
			return []string{"eth0"}, tt.mtu, nil
		}
		if err := topology.fillEgress(find); err != nil || called != tt.needs {
			t.Errorf("%+v: called: %t, %v", tt.network, called, err)
		}
		if got := topology.Networks[0].MTU; got != tt.wantMTU || !slices.Equal(topology.EgressLinks, tt.links) {
			t.Errorf("%+v: MTU %d, links %v", tt.network, got, topology.EgressLinks)
		}
	}
}

// TestFillEgressFails: the lab stays as it is if the machine's default routes cannot be read.
func TestFillEgressFails(t *testing.T) {
	topology := Topology{Networks: []Network{{MTUAuto: true, Fastpath: true}}}
	failed := errors.New("failed")
	find := func() ([]string, int, error) { return []string{"eth0"}, 1420, failed }
	if err := topology.fillEgress(find); err != failed || topology.Networks[0].MTU != 0 || topology.EgressLinks != nil {
		t.Errorf("%v: %+v", err, topology)
	}
}

func TestNamespaceOf(t *testing.T) {
	topology := Topology{Hosts: []Host{{Name: "red"}, {Name: "blue", Namespace: "outside"}}}
	for host, want := range map[string]topo.Namespace{
		"red": {Name: "red"}, "blue": {Name: "blue", From: "outside"}, "green": {Name: "green"},
	} {
		if got := topology.NamespaceOf(host); got != want {
			t.Errorf("%s: %+v", host, got)
		}
	}
}

// TestDeviceKeys: the file's comments on type and mode list what the table of device types has.
func TestDeviceKeys(t *testing.T) {
	var modes []string
	for _, kind := range deviceKinds {
		modes = append(modes, kind.modes...)
	}
	for key, want := range map[string][]string{"type": kindNames(), "mode": modes} {
		if got := enumOf[fileDevice](key); !slices.Equal(got, want) {
			t.Errorf("%s: the schema has %v, devices.go has %v", key, got, want)
		}
	}
}

// enumOf returns the words that the schema allows for a key.
func enumOf[T any](key string) []string {
	typ := reflect.TypeFor[T]()
	for i := range typ.NumField() {
		if f := typ.Field(i); f.Tag.Get("yaml") == key {
			return strings.Split(f.Tag.Get("enum"), ",")
		}
	}
	return nil
}

// TestBridgeNetfilter: hosts with forwarded ports need hairpin mode only if NAT may run in bridges.
func TestBridgeNetfilter(t *testing.T) {
	const text = `
networks: {sw: {subnets: [10.0.0.0/24]}}
hosts: {red: {networks: [sw], %s}, blue: {networks: [sw]}}`
	for _, tt := range []struct {
		ports     string
		on        bool
		want      string
		wantAsked bool
	}{
		{`ports: ["80:80"]`, true, "red-eth0", true},
		{`ports: ["80:80"]`, false, "", true},
		{`aliases: [rosso]`, true, "", false},
	} {
		topology := mustParse(t, "lab.yaml", []byte(strings.Replace(text, "%s", tt.ports, 1)))
		asked := false
		if err := topology.fillBridgeNetfilter(func() (bool, error) { asked = true; return tt.on, nil }); err != nil {
			t.Fatal(err)
		}
		if asked != tt.wantAsked {
			t.Errorf("%s: the machine is asked: %t", tt.ports, asked)
		}
		state, err := Compile(topology)
		if err != nil {
			t.Fatal(err)
		}
		filters, hairpin := "", ""
		for _, o := range state.Objects() {
			switch o := o.(type) {
			case topo.HairpinFilter:
				filters += o.Link
			case topo.Veth:
				for _, l := range o.Links() {
					if l.Hairpin {
						hairpin += l.Name
					}
				}
			}
		}
		if filters != tt.want || hairpin != tt.want {
			t.Errorf("%s, %t: hairpin mode on %q, filters on %q, want %q", tt.ports, tt.on, hairpin, filters, tt.want)
		}
	}
}
