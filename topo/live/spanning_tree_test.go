package live

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
)

// A messageLog calls a function with each message.
type messageLog func(message string)

func (messageLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }
func (m messageLog) WithAttrs([]slog.Attr) slog.Handler             { return m }
func (m messageLog) WithGroup(string) slog.Handler                  { return m }
func (m messageLog) Handle(_ context.Context, r slog.Record) error  { m(r.Message); return nil }

const stpLab = `
name: tree
networks: {sw: {subnets: [10.0.6.0/24], stp: true, forward_delay: 2s}}
hosts: {red: {networks: [sw]}, blue: {networks: [sw]}}
`

// addLoop adds a loop to sw.
func addLoop(t *testing.T) func(topo.Plan, topo.Do) topo.Do {
	return afterStage(topo.OfLink, func() {
		labtest.IP(t, "link add loop0 type veth peer name loop1")
		for _, end := range []string{"loop0", "loop1"} {
			labtest.IP(t, "link set "+end+" master sw up")
		}
	})
}

// Up returns when the ports of a spanning tree forward; a port that would close a loop is blocked. It says once that
// it waits.
func TestUpWaitsForSpanningTree(t *testing.T) {
	labtest.NeedIP(t)
	lab, want := labtest.Compiled(t, stpLab)
	k := openKernel(t, lab)
	var messages []string
	k.log = slog.New(messageLog(func(m string) { messages = append(messages, m) }))
	defer labtest.IP(t, "link del loop0")
	if _, err := k.Up(t.Context(), want, addLoop(t)); err != nil {
		t.Fatal(err)
	}
	ports := map[string]uint64{}
	sw, err := k.table.Handles[""].LinkIndex("sw")
	if err != nil {
		t.Fatal(err)
	}
	links, err := k.table.Handles[""].Conn.Links(rtnl.LinkFilter{Master: sw})
	if err != nil {
		t.Fatal(err)
	}
	states := map[uint64]int{}
	for _, l := range links {
		ports[l.Name] = convert.OptionNumber(l.Port, "state")
		states[ports[l.Name]]++
	}
	const forwarding, blocking = 3, 4
	if diff := cmp.Diff(map[uint64]int{forwarding: 3, blocking: 1}, states); diff != "" {
		t.Errorf("%v: -want +got:\n%s", ports, diff)
	}
	message := []string{"link sw: waiting until its ports forward (spanning tree protocol), at most 34s"}
	if diff := cmp.Diff(message, messages); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if _, err := k.Up(t.Context(), want, nil); err != nil || len(messages) != 1 {
		t.Errorf("the second up: %v, %q", err, messages)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// If the wait is interrupted, everything is undone.
func TestInterruptedSpanningTree(t *testing.T) {
	lab, want := labtest.Compiled(t, stpLab)
	k := openKernel(t, lab)
	before := machineState(t)
	ctx, cancel := context.WithCancel(t.Context())
	k.log = slog.New(messageLog(func(string) { cancel() }))
	_, err := k.Up(ctx, want, nil)
	const text = "wait for the spanning tree of link sw: port "
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), text) {
		t.Error(err)
	}
	if diff := cmp.Diff(before, machineState(t)); diff != "" {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}
