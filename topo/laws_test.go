package topo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// eachPair tests a law with many pairs of random states of the same small world.
func eachPair(t *testing.T, law func(t *testing.T, a, b State)) {
	t.Helper()
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		a, b := randomState(r), randomState(r)
		switch seed % 10 {
		case 0:
			a = State{}
		case 1:
			b = nil
		}
		law(t, a, b)
		if t.Failed() {
			t.Fatalf("seed %d\nhave\n%s\nwant\n%s\nplan\n%s", seed, a, b, Diff(a, b))
		}
	}
}

func TestLaw1_DiffOfEqualsIsEmpty(t *testing.T) {
	eachPair(t, func(t *testing.T, a, _ State) {
		if p := Diff(a, maps.Clone(a)); len(p) != 0 {
			t.Errorf("Diff(x, x) is not empty:\n%s", p)
		}
	})
}

func TestLaw2_ApplyingTheDiffGivesTheWantedState(t *testing.T) {
	eachPair(t, func(t *testing.T, a, b State) {
		m := newModelKernel(a, b)
		if err := Apply(t.Context(), Diff(a, b), m.Do); err != nil {
			t.Error(err)
			return
		}
		if !m.has.Equal(b) {
			t.Errorf("-want +got:\n%s", cmp.Diff(b.String(), m.has.String()))
		}
		if p := Diff(m.has, b); len(p) != 0 {
			t.Errorf("the second Diff is not empty:\n%s", p)
		}
	})
}

// The model kernel refuses a step if something that it needs is missing. This test executes
// one step at a time, so the order inside stages is checked too.
func TestLaw3_NoStepNeedsALaterOne(t *testing.T) {
	eachPair(t, func(t *testing.T, a, b State) {
		p := Diff(a, b)
		oneByOne(t, newModelKernel(a, b), p)
		oneByOne(t, newModelKernel(b, a), p.Reverse())
	})
}

func oneByOne(t *testing.T, m *modelKernel, p Plan) {
	for _, s := range p {
		if err := m.Do(t.Context(), Plan{s}); err != nil {
			t.Error(err)
			return
		}
	}
}

// Law 3 also holds with waves. In addition, a namespace has its NAT rules and settings before any
// link other than a bridge port is set up, and the files of each stage are adjacent.
func TestLaw3_InWaves(t *testing.T) {
	waves := 0
	eachPair(t, func(t *testing.T, a, want State) {
		if len(a) > 0 && !slices.Equal(diffInWaves(a, want, 1), Diff(a, want)) {
			t.Error("a lab that exists already is changed in waves")
		}
		for size := 1; size < 4; size++ {
			p := diffInWaves(nil, want, size)
			oneByOne(t, newModelKernel(nil, want), p)
			oneByOne(t, newModelKernel(want), p.Reverse())
			m := newModelKernel(nil, want)
			if err := Apply(t.Context(), p, m.Do); err != nil || !m.has.Equal(want) {
				t.Errorf("%v\n-want +got:\n%s", err, cmp.Diff(want.String(), m.has.String()))
			}
			checkNATFirst(t, p, want)
			for _, stage := range append(p.Stages(), p.Reverse().Stages()...) {
				from, to := stage.Files()
				if n := len(stage) - len(slices.DeleteFunc(slices.Clone(stage), isFile)); n != to-from {
					t.Errorf("of %d files, %d are adjacent in\n%s", n, to-from, stage)
				}
			}
			if !slices.Equal(p, Diff(nil, want)) {
				waves++
			}
			if t.Failed() {
				t.Fatalf("in waves of %d\n%s", size, p)
			}
		}
	})
	if waves < 100 {
		t.Errorf("%d plans have waves, want at least 100", waves)
	}
}

// checkNATFirst checks that a link that is not a bridge port is set up after all NAT rules and
// settings of its namespace.
func checkNATFirst(t *testing.T, p Plan, want State) {
	up, o := map[string]Object{}, newOrder(want)
	for _, s := range p {
		ns := s.Want.Key().NS
		switch x := s.Want.(type) {
		case Up:
			veth, ok := o.links[Key{OfLink, ns, x.Link}].(Veth)
			if !ok || !veth.isPort(Key{OfLink, ns, x.Link}) {
				up[ns] = x
			}
		default:
			if kind := x.Key().Kind; up[ns] != nil && (kind == OfNAT || kind == OfSysctl) {
				t.Errorf("%v comes after %v", x, up[ns])
			}
		}
	}
}

// At every stage, with several errnos: nothing of the plan may remain.
func TestLaw4_AFailureAtAnyStageRestoresTheState(t *testing.T) {
	errnos := []syscall.Errno{
		syscall.EPERM, syscall.EEXIST, syscall.ENOENT, syscall.ENOBUFS, syscall.EINTR, syscall.EOPNOTSUPP, syscall.EINVAL,
	}
	eachPair(t, func(t *testing.T, a, b State) {
		plan := Diff(a, b)
		for i, stage := range plan.Stages() {
			errno := errnos[i%len(errnos)]
			m := newModelKernel(a, b)
			err := Apply(t.Context(), plan, failAt(m.Do, i, errno))
			var ae *ApplyError
			if !errors.As(err, &ae) || !errors.Is(err, errno) || ae.Undo != nil {
				t.Errorf("stage %d: error is %v", i, err)
			}
			var se *StepError
			if !errors.As(err, &se) || se.Step != stage[0] {
				t.Errorf("stage %d: error %v does not name %v", i, err, stage[0])
			}
			if !m.has.Equal(a) {
				t.Errorf("stage %d: -before +after:\n%s", i, cmp.Diff(a.String(), m.has.String()))
			}
		}
	})
}

// failAt returns a Do that fails at the first step of one stage.
func failAt(do Do, stage int, err error) Do {
	n := 0
	return func(ctx context.Context, s []Step) error {
		n++
		if n-1 == stage {
			return &StepError{Step: s[0], Err: err}
		}
		return do(ctx, s)
	}
}

func TestLaw5_TheReverseRestoresTheState(t *testing.T) {
	eachPair(t, func(t *testing.T, a, b State) {
		p := Diff(a, b)
		if back := p.Reverse().Reverse(); !slices.Equal(back, p) {
			t.Errorf("the reverse's reverse is not the plan:\n%s", cmp.Diff(p.String(), back.String()))
		}
		m := newModelKernel(b, a)
		if err := Apply(t.Context(), p.Reverse(), m.Do); err != nil {
			t.Error(err)
			return
		}
		if !m.has.Equal(a) {
			t.Errorf("-want +got:\n%s", cmp.Diff(a.String(), m.has.String()))
		}
	})
}

// If the context ends between two stages, all is undone; undoing does not stop.
func TestApplyStopsWithItsContextAndUndoingDoesNot(t *testing.T) {
	a := State{}
	b := NewState(Namespace{Name: "red"}, Up{"red", "lo"}, Process{"red", "true"})
	plan := Diff(a, b)
	for i := range plan.Stages() {
		m := newModelKernel(a, b)
		ctx, cancel := context.WithCancel(t.Context())
		n := 0
		err := Apply(ctx, plan, func(c context.Context, s []Step) error {
			if n == i {
				cancel()
			}
			n++
			if s[0].Op() == Delete && c.Err() != nil {
				t.Error("undoing has a cancelled context")
			}
			return m.Do(c, s)
		})
		cancel()
		last := i == len(plan.Stages())-1
		if last != (err == nil) || !last && (!errors.Is(err, context.Canceled) || len(m.has) != 0) {
			t.Errorf("cancelled in stage %d: %v, and the state is\n%s", i, err, m.has)
		}
	}
}

// ApplyAnyway deletes everything that it can.
func TestApplyAnywayContinuesAfterErrors(t *testing.T) {
	a := NewState(Namespace{Name: "red"}, Namespace{Name: "blue"}, Namespace{Name: "green"}, Process{"red", "true"})
	m := newModelKernel(a)
	refuse := func(ctx context.Context, stage []Step) error {
		for _, s := range stage {
			if s.Have == (Namespace{Name: "blue"}) {
				return &StepError{s, syscall.EBUSY}
			}
		}
		return m.Do(ctx, stage)
	}
	err := ApplyAnyway(t.Context(), Diff(a, nil), refuse)
	if got, want := fmt.Sprint(err), "delete netns blue: device or resource busy"; got != want {
		t.Errorf("error %q, want %q", got, want)
	}
	if len(m.has) != 1 {
		t.Errorf("remaining:\n%s", m.has)
	}
}

func TestApplyErrorSaysWhatWasUndone(t *testing.T) {
	step := Step{Want: Address{"red", "eth0", prefix("10.0.0.1/24")}}
	refused := &StepError{step, syscall.EEXIST}
	for _, c := range []struct {
		err  ApplyError
		want string
	}{
		{ApplyError{Err: refused}, "nothing was changed"},
		{ApplyError{Err: refused, Undone: 1}, "the 1 step before was undone"},
		{ApplyError{Err: refused, Undone: 7}, "the 7 steps before were undone"},
		{ApplyError{Err: refused, Undone: 7, Undo: errors.Join(syscall.EPERM, syscall.EBUSY)},
			"undoing the steps before failed too: operation not permitted; device or resource busy"},
	} {
		want := "add red: addr 10.0.0.1/24 dev eth0: file exists; " + c.want
		if got := c.err.Error(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func prefix(s string) netip.Prefix { return netip.MustParsePrefix(s) }
