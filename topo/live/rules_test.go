package live

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/topo"
)

// If conntrack entries of a deleted rule cannot be deleted, the step succeeds with a warning.
// A later failure undoes it.
func TestConntrackEntriesRemain(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	lab, want := labtest.Compiled(t, changedLab)
	k := openKernel(t, lab)
	var log bytes.Buffer
	k.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", "10.0.6.2:9") // creates a conntrack entry
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	without := maps.Clone(want)
	maps.DeleteFunc(without, func(_ topo.Key, o topo.Object) bool { _, is := o.(topo.Masquerade); return is })
	plan := topo.Diff(want, without)
	if err := withoutFreeFDs(t, func() error { return k.Do(t.Context(), plan) }); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), nft.ErrStaleConntrack.Error()) {
		t.Errorf("logged %q", log.String())
	}
	if have, err := k.Snapshot(without); err != nil || !have.Equal(without) {
		t.Fatalf("%v\n%s", err, have)
	}
	if err := k.Do(t.Context(), plan.Reverse()); err != nil {
		t.Fatal(err)
	}
	// Then deleting a link, which comes after the rules, fails.
	fails := append(slices.Clone(plan), topo.Step{Have: want[topo.LinkKey("", "street0")]})
	err = withoutFreeFDs(t, func() error {
		return topo.Apply(t.Context(), fails, func(ctx context.Context, stage []topo.Step) error {
			if stage[0].Object().Key().Kind == topo.OfLink {
				return unix.EBUSY
			}
			return k.Do(ctx, stage)
		})
	})
	var failed *topo.ApplyError
	if !errors.As(err, &failed) || failed.Undo != nil || failed.Undone != len(plan) {
		t.Fatalf("%v", err)
	}
	if have, err := k.Snapshot(want); err != nil || !have.Equal(want) {
		t.Fatalf("%v\n%s", err, have)
	}
}

// Foreign elements in the lab's table are shown in the status, do not disturb Up, and are
// deleted with the lab. So is a table that another program emptied.
func TestForeignElementsInTable(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft to change the table with")
	}
	unix.Mkdir("/run/etc-netns", 0o755)
	lab, want := labtest.Compiled(t, changedLab)
	k := openKernel(t, lab)
	table := "inet " + mark.Table(lab)
	for what, script := range map[string]string{
		"a range": "nft add element " + table + " masquerade4_24 '{ 10.0.0.5-10.0.0.9 }'",
		"an empty one": "nft flush map " + table + " dnat4; nft flush set " + table + " masquerade4_24; " +
			"nft flush set " + table + " masquerade6_64",
		"a table alone": "nft delete table " + table + "; nft add table " + table,
	} {
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
		shell(t, script)
		o, err := Observe(lab)
		if err != nil {
			t.Fatal(err)
		}
		status, err := o.Status(want)
		o.Close()
		shown := slices.ContainsFunc(status.Rules, func(r NATStatus) bool {
			return r.Text == "element masquerade4_24 { 10.0.0.5-10.0.0.9 }"
		})
		if err != nil || shown != (what == "a range") {
			t.Errorf("%s: %v, %+v", what, err, status.Rules)
		}
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		shell(t, script)
		if _, err := k.Down(t.Context(), nil); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if out, err := exec.Command("nft", "list", "tables").Output(); err != nil || len(out) > 0 {
			t.Errorf("%s: left: %s, %v", what, out, err)
		}
	}
}

// withoutFreeFDs calls fn while the process cannot open any file.
func withoutFreeFDs(t *testing.T, fn func() error) error {
	t.Helper()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Max: limit.Max}); err != nil {
		t.Fatal(err)
	}
	defer unix.Setrlimit(unix.RLIMIT_NOFILE, &limit)
	return fn()
}

// TestMaxFastpaths: the model has the limit of package nft, which it does not import.
func TestMaxFastpaths(t *testing.T) {
	if linux.MaxFastpaths != nft.MaxFastpaths {
		t.Errorf("%d, but nft has %d", linux.MaxFastpaths, nft.MaxFastpaths)
	}
}

// TestGuardNames: scripts use the names of package nft, which the model does not import.
func TestGuardNames(t *testing.T) {
	if mark.LinkGroup != nft.LinkGroup || mark.GuardTable != nft.GuardTable {
		t.Errorf("group %d and table %s, but nft has %d and %s",
			mark.LinkGroup, mark.GuardTable, nft.LinkGroup, nft.GuardTable)
	}
}
