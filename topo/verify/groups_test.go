package verify

import (
	"context"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/labtest"
)

// thirty has more hosts than fit into one group, and more pairs than are proved without groups.
const thirty = `
name: thirty
networks: {sw: {subnets: [10.0.0.0/16]}}
hosts:
  h: {networks: [sw], repeat: 30}
`

// TestGroups checks that each fact is in exactly one group, and that no group is too large.
func TestGroups(t *testing.T) {
	facts := AllPairs(labtest.MustParse(t, "lab.yaml", []byte(star)))
	var all []int
	for _, group := range groupFacts(facts) {
		if len(group) > maxGroup {
			t.Errorf("%d facts in a group", len(group))
		}
		first := facts[group[0]]
		reverse := func(i int) bool { return facts[i].From == first.Server && facts[i].Server == first.From }
		if i := slices.IndexFunc(group, reverse); i < 6 { // the last group has only four hosts
			t.Errorf("%s and its reverse are %d apart in a group of %d", first, i, len(group))
		}
		all = append(all, group...)
	}
	slices.Sort(all)
	for i := range facts {
		if all[i] != i {
			t.Fatalf("fact %d is missing, or in two groups", i)
		}
	}
}

// TestVerifyAllPairs cuts off one host: exactly its facts fail. Afterwards the hosts have only the
// neighbour entries that they had before.
func TestVerifyAllPairs(t *testing.T) {
	lab, p := upWithProber(t, thirty)
	labtest.IP(t, "-n h7 link set eth0 down")
	labtest.IP(t, "-n h1 neigh add 10.0.99.99 dev eth0 lladdr 02:00:00:00:00:01 nud stale")
	facts := AllPairs(lab)
	if len(facts) <= maxUngrouped {
		t.Fatalf("only %d facts", len(facts))
	}
	r := p.verify(context.Background(), lab, facts)
	if r.Failed() != 2*29 {
		t.Errorf("%d facts do not hold", r.Failed())
	}
	for _, x := range r.Results {
		want := ""
		switch "h7" {
		case x.From:
			want = "h7: no route to " + x.Target.String() + ": link eth0 is down"
		case x.To:
			want = x.From + ": h7: link eth0 is down"
		}
		if got := strings.Join(x.Diagnosis, "; "); got != want || x.OK != (want == "") {
			t.Errorf("%s: got %q, want %q", x.title(), got, want)
		}
	}
	out, err := exec.Command("sh", "-c", "for n in $(seq 30); do ip -n h$n neigh; done").Output()
	known := strings.TrimSpace(string(out))
	if err != nil || strings.Count(known, "STALE") != 1 || strings.Contains(known, "REACHABLE") {
		t.Errorf("neighbours: %s %v", known, err)
	}
}

// A cancelled Verify does not wait for slots of facts that it did not start.
func TestCancelledVerifyDoesNotWait(t *testing.T) {
	p := &prober{slots: make(chan struct{}, 1)}
	p.slots <- struct{}{} // another fact keeps the only slot
	ctx, cancel := context.WithCancel(t.Context())
	results := make([]Result, 3)
	done := make(chan struct{})
	go func() { p.proveAll(ctx, pointers(results), time.Hour); close(done) }()
	cancel()
	<-done
	for _, r := range results {
		if !errors.Is(r.Err, context.Canceled) {
			t.Errorf("%+v", r)
		}
	}
}
