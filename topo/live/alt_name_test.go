package live

import (
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// TestForeignAltNames: alternative names that another program gives links of a lab are no drift. They stay when the
// links change. The lab's own one is restored.
func TestForeignAltNames(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	const long = "host-with-a-long-name"
	state := func(mtu string) topo.State {
		_, want := labtest.Compiled(t, `
name: alt
networks: {sw: {subnets: [10.0.8.0/24, "fd00:8::/64"], mtu: `+mtu+`}}
hosts: {red: {networks: [sw]}, `+long+`: {networks: [sw]}}
`)
		return want
	}
	want := state("1500")
	k := openKernel(t, "alt")
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	foreign := map[topo.Key]string{}
	port := ""
	for _, o := range want {
		if o, ok := o.(topo.LinkObject); ok {
			for _, l := range o.Links() {
				foreign[l.Key()] = "foreign-" + l.NS + "-" + l.Name
				if l.AltName != "" {
					port = l.Name
				}
			}
		}
	}
	for link, alt := range foreign {
		h, err := k.table.Handle(link.NS)
		if err == nil {
			err = h.Conn.Do(rtnl.AddAltNames(rtnl.LinkID{Name: link.Name}, alt))
		}
		if err != nil {
			t.Fatal(link, err)
		}
	}
	if plan, err := k.Plan(want); err != nil || len(plan) > 0 {
		t.Errorf("they are drift: %v\n%s", err, plan)
	}
	machine := k.table.Machine().Conn
	if err := machine.Do(rtnl.DeleteAltNames(rtnl.LinkID{Name: port}, long+"-eth0")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []topo.State{want, state("1400")} {
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
		for link, alt := range foreign {
			h, _ := k.table.Handle(link.NS)
			l, err := h.Conn.Link(rtnl.LinkID{Name: link.Name})
			if err != nil || !slices.Contains(l.AltNames, alt) {
				t.Errorf("%v has the alternative names %q, %v", link, l.AltNames, err)
			}
			if link.Name == port && !slices.Contains(l.AltNames, long+"-eth0") {
				t.Errorf("%v lacks the name of the lab: %q", link, l.AltNames)
			}
		}
	}
}
