//go:build linux

package topo

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft"
)

// TestRulesAreChangedWhateverBecomesOfConnections: what connection tracking cannot be
// made to forget is warned of; the step is done, and what fails later undoes it.
func TestRulesAreChangedWhateverBecomesOfConnections(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	lab, want := compiled(t, changedLab)
	k := openKernel(t, lab)
	var log bytes.Buffer
	k.log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("udp", "10.0.6.2:9") // something to be looked through
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	without := maps.Clone(want)
	maps.DeleteFunc(without, func(_ Key, o Object) bool { _, is := o.(Masquerade); return is })
	plan := Diff(want, without)
	if err := withoutFiles(t, func() error { return k.Do(t.Context(), plan) }); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), nft.ErrNotForgotten.Error()) {
		t.Errorf("logged %q", log.String())
	}
	if have, err := k.Snapshot(without); err != nil || !have.Equal(without) {
		t.Fatalf("%v\n%s", err, have)
	}
	if err := k.Do(t.Context(), plan.Reverse()); err != nil {
		t.Fatal(err)
	}
	// Then the settings, which are deleted behind the rules, are refused.
	maps.DeleteFunc(without, func(_ Key, o Object) bool { _, is := o.(Sysctl); return is })
	err = withoutFiles(t, func() error {
		return Apply(t.Context(), Diff(want, without), func(ctx context.Context, stage []Step) error {
			if stage[0].Object().Key().Kind == OfSysctl {
				return unix.EBUSY
			}
			return k.Do(ctx, stage)
		})
	})
	var failed *ApplyError
	if !errors.As(err, &failed) || failed.Undo != nil || failed.Undone != len(plan) {
		t.Fatalf("%v", err)
	}
	if have, err := k.Snapshot(want); err != nil || !have.Equal(want) {
		t.Fatalf("%v\n%s", err, have)
	}
}

// withoutFiles calls fn while the process can open no more files.
func withoutFiles(t *testing.T, fn func() error) error {
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
