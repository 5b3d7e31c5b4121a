//go:build linux

package topo

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// thirty hosts are more than one group, and their pairs more than go together.
const thirty = `
name: thirty
networks: {sw: {subnets: [10.0.0.0/16]}}
hosts:
  h: {networks: [sw], repeat: 30}
`

// TestGroups: each fact is in one group, and a group is of few facts.
func TestGroups(t *testing.T) {
	facts := AllPairs(mustParse(t, "lab.yaml", []byte(star)))
	var all []int
	for _, group := range groups(facts) {
		if len(group) > mostInGroup {
			t.Errorf("%d facts in a group", len(group))
		}
		first := facts[group[0]]
		if i := slices.IndexFunc(group, func(i int) bool { return facts[i].From == first.Server && facts[i].Server == first.From }); i < 6 { // of four hosts, the last few of 200
			t.Errorf("%s and its way back are %d apart in a group of %d", first, i, len(group))
		}
		all = append(all, group...)
	}
	slices.Sort(all)
	for i := range facts {
		if all[i] != i {
			t.Fatalf("fact %d is not there, or twice", i)
		}
	}
}

// TestVerifyAllPairs: with one host cut off, exactly its facts do not hold; and
// verifying leaves nothing behind that the hosts did not know before.
func TestVerifyAllPairs(t *testing.T) {
	lab, p := broughtUp(t, thirty)
	ip(t, "-n h7 link set eth0 down")
	ip(t, "-n h1 neigh add 10.0.99.99 dev eth0 lladdr 02:00:00:00:00:01 nud stale")
	facts := AllPairs(lab)
	if len(facts) <= mostTogether {
		t.Fatalf("only %d facts", len(facts))
	}
	r := p.verify(context.Background(), lab, facts)
	if r.Failed() != 2*29 {
		t.Errorf("%d do not hold", r.Failed())
	}
	for _, x := range r.Results {
		want := ""
		switch "h7" {
		case x.From:
			want = "h7: no route to " + x.Target.String() + ": link eth0 is down"
		case x.To:
			want = x.From + ": h7: link eth0 is down"
		}
		if got := strings.Join(x.Lost, "; "); got != want || x.OK != (want == "") {
			t.Errorf("%s: %s, not %s", x.about(), got, want)
		}
	}
	out, err := exec.Command("sh", "-c", "for n in $(seq 30); do ip -n h$n neigh; done").Output()
	if known := strings.TrimSpace(string(out)); err != nil || strings.Count(known, "STALE") != 1 || strings.Contains(known, "REACHABLE") {
		t.Errorf("known now: %s %v", known, err)
	}
}

// Who has called it off does not wait for the turns of what was not begun.
func TestNoTurnIsWaitedForInVain(t *testing.T) {
	p := &prober{turns: make(chan struct{}, 1)}
	p.turns <- struct{}{} // somebody's, who keeps it
	ctx, cancel := context.WithCancel(t.Context())
	results := make([]Result, 3)
	over := make(chan struct{})
	go func() { p.proveAll(ctx, pointers(results), time.Hour); close(over) }()
	cancel()
	<-over
	for _, r := range results {
		if !errors.Is(r.Err, context.Canceled) {
			t.Errorf("%+v", r)
		}
	}
}
