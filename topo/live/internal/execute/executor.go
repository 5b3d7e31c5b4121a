package execute

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"time"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/hostfile"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
	"github.com/vnet-lab/vnet/topo/live/internal/program"
	"github.com/vnet-lab/vnet/topo/live/internal/setting"
)

// An Executor executes the stages of one plan.
type Executor struct {
	Config
	requests *requestBuilder
	settings *setting.Changer
	newNetns linksOfNewNetns
}

// A Config is what an executor needs.
type Config struct {
	Table    *netns.Table
	Log      *slog.Logger
	Calls    *Calls
	Files    *hostfile.Files
	Programs *program.Finder
	// IPv6Modes returns the IPv6 modes of the links that the plan creates or changes. They depend on
	// the addresses of the links, which are in later stages.
	IPv6Modes func() map[topo.Key]topo.IPv6Mode
	// NSIDs are the nsids in the machine's namespace for new namespaces; see DescendingNSIDs.
	NSIDs map[string]int32
}

// New returns an executor.
func New(c Config) *Executor {
	return &Executor{Config: c, requests: &requestBuilder{table: c.Table}, settings: Settings(c.Table.Lab, c.Calls)}
}

// Settings returns the Changer of a lab's settings.
func Settings(lab string, calls *Calls) *setting.Changer {
	return setting.New(lab, setting.Calls{
		Send:        func(h *netns.Handle, r rtnl.Request) error { return calls.SendTo(h, []rtnl.Request{r})[0] },
		SetSysctl:   func(key, value string) error { return calls.SetSysctl(key, value) },
		UpdateGuard: func(c *nft.Conn, update func(nft.Guard) nft.Guard) error { return calls.UpdateGuard(c, update) },
	})
}

// Do executes a stage completely; if a step fails, it undoes the others and returns an error. It checks ctx only
// at its start.
func (x *Executor) Do(ctx context.Context, stage []topo.Step) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	start := time.Now()
	results := x.execute(stage, false)
	defer x.Table.CloseDropped()
	first := slices.IndexFunc(results, func(r result) bool { return r.err != nil })
	x.Log.Debug("stage", "op", stage[0].Op().Name(), "kind", stage[0].Object().Key().Kind, "steps", len(stage),
		"took", time.Since(start), "failed", first >= 0)
	if first < 0 {
		return nil
	}
	failed := []error{&topo.StepError{Step: stage[first], Err: results[first].err}}
	for i := len(stage) - 1; i >= 0; i-- {
		if !results[i].touched {
			continue
		}
		back := stage[i].Reverse()
		if err := x.execute([]topo.Step{back}, true)[0].err; err != nil {
			failed = append(failed, fmt.Errorf("undo: %w", &topo.StepError{Step: back, Err: err}))
		}
	}
	return errors.Join(failed...)
}

// A result is the outcome of a step. A failed step may be partly done.
type result struct {
	err     error
	touched bool // the step changed something
}

// execute tries all steps of a stage. It is no error if the object to delete does not exist, or, while
// undoing, if the object to create exists.
func (x *Executor) execute(stage []topo.Step, undoing bool) []result {
	results := make([]result, len(stage))
	switch kind := stage[0].Object().Key().Kind; {
	case kind == topo.OfNamespace:
		x.namespaceStage(stage, results)
	case kind == topo.OfNAT:
		x.natStage(stage, results)
	case kind == topo.OfLink && stage[0].Op() == topo.Delete:
		x.deleteLinks(stage, results)
	case kind == topo.OfLink:
		x.linkStage(stage, results)
	case kind == topo.OfProcess && stage[0].Op() == topo.Delete:
		x.stopStage(stage, results)
	case kind == topo.OfOffload:
		for i, s := range stage {
			results[i] = x.offloadStep(s)
		}
	case kind == topo.OfSysctl:
		x.sysctlStage(stage, results)
	case kind == topo.OfProcess:
		for i, s := range stage {
			results[i] = x.processStep(s)
		}
	default:
		x.linksAndFiles(stage, results)
	}
	for i, s := range stage {
		if s.Op() == topo.Delete && errors.Is(results[i].err, fs.ErrNotExist) ||
			undoing && s.Op() == topo.Create && errors.Is(results[i].err, fs.ErrExist) {
			results[i].err = nil
		}
	}
	return results
}
