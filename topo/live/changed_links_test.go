package live

import (
	"context"
	"errors"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

// TestVerifyChangedLinks: if few of many links change, up checks exactly those in the kernel, and
// does not assume that they are right.
func TestVerifyChangedLinks(t *testing.T) {
	lab, want := labtest.Compiled(t, starLab(20))
	_, more := labtest.Compiled(t, starLab(21))
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	port := ""
	for key, o := range more {
		if v, ok := o.(topo.Veth); ok && want[key] == nil {
			port = v.Ends[0].Name
		}
	}
	c, err := rtnl.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for what, disturb := range map[string]rtnl.Request{
		"master sw":            rtnl.SetLink(rtnl.LinkID{Name: port}, rtnl.LinkConfig{Master: new(uint32)}),
		"+ link " + port:       rtnl.DeleteLink(rtnl.LinkID{Name: port}),
		"link " + port + " up": rtnl.SetLink(rtnl.LinkID{Name: port}, rtnl.LinkConfig{Change: unix.IFF_UP}),
	} {
		_, err := k.Up(t.Context(), more, func(_ topo.Plan, do topo.Do) topo.Do {
			return func(ctx context.Context, stage []topo.Step) error {
				err := do(ctx, stage)
				if stage[0].Op() == topo.Change { // the hosts files, which are written last
					err = errors.Join(err, c.Do(disturb))
				}
				return err
			}
		})
		var drift *DriftError
		if !errors.As(err, &drift) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s, changed by another program: %v", what, err)
		}
	}
	if _, err := k.Up(t.Context(), more, nil); err != nil {
		t.Error(err)
	}
	if plan, err := k.Plan(more); err != nil || len(plan) > 0 {
		t.Errorf("not empty: %v, %v", plan, err)
	}
}

// TestPrefetchNames: names fetched in advance are used for one snapshot only.
func TestPrefetchNames(t *testing.T) {
	lab, want := labtest.Compiled(t, starLab(3))
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	k.PrefetchNames()
	if have, err := k.Snapshot(want); err != nil || !have.Equal(want) {
		t.Errorf("the prefetched state differs: %v", err)
	}
	gone := topo.Key{Kind: topo.OfNamespace, NS: "h2", Name: ""}
	if want[gone] == nil {
		t.Fatalf("there is no %v", gone)
	}
	if err := nsfs.Remove("h2"); err != nil {
		t.Fatal(err)
	}
	if have, err := k.Snapshot(want); err != nil || have[gone] != nil {
		t.Errorf("a deleted namespace is still in the snapshot: %v", err)
	}
}
