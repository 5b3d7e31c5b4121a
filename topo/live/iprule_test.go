package live

import (
	"errors"
	"io/fs"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo"
)

const ruleLab = `
networks: {lan: {subnets: [192.168.15.0/24, "fd00:15::/64"]}}
hosts:
  red:
    networks: [lan]
    routes: [default via 192.168.15.1 table 7]
    rules: ["not from 10.0.0.0/8 to 10.9.0.0/16 lookup 7 suppress_prefixlength 0", "iif eth0 fwmark 7/0xff prohibit"]
  machine: {rules: [from 192.168.15.9 lookup 7, oif lan uidrange 0-0 ipproto udp dport 53-54 unreachable]}
`

// TestRulesOfPolicyRouting: Up makes the rules of a lab, finds a missing one, and removes those that the file no longer
// has. Rules of others stay, although they have the same priority and match more.
func TestRulesOfPolicyRouting(t *testing.T) {
	labtest.NeedIP(t)
	before := machineState(t)
	labtest.IP(t, "rule add priority 100 from 192.168.0.0/16 lookup 7")
	defer labtest.IP(t, "rule del priority 100 from 192.168.0.0/16 lookup 7")
	with := machineState(t)
	lab, want := labtest.Compiled(t, "name: wall"+ruleLab)
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	got := labtest.IP(t, "-n red rule")
	for _, line := range []string{
		"100:	not from 10.0.0.0/8 to 10.9.0.0/16 lookup 7 suppress_prefixlength 0 proto 118",
		"101:	from all fwmark 0x7/0xff iif eth0 prohibit proto 118",
	} {
		if !strings.Contains(got, line) {
			t.Errorf("no rule %q:\n%s", line, got)
		}
	}
	labtest.IP(t, "-n red -6 rule del priority 101")
	labtest.IP(t, "rule del priority 100 from 192.168.15.9")
	if have, err := k.Snapshot(want); err != nil || len(topo.Diff(have, want)) != 2 {
		t.Errorf("the plan is\n%v(%v)", topo.Diff(have, want), err)
	}
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	_, without := labtest.Compiled(t, "name: wall\nnetworks: {lan: {subnets: [192.168.15.0/24, \"fd00:15::/64\"]}}\n"+
		"hosts: {red: {networks: [lan]}}\n")
	if _, err := k.Up(t.Context(), without, nil); err != nil {
		t.Fatal(err)
	}
	if left := labtest.IP(t, "-n red rule") + labtest.IP(t, "rule"); strings.Contains(left, "118") {
		t.Errorf("left:\n%s", left)
	}
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(with, machineState(t)); diff != "" || with == before {
		t.Errorf("the machine is not as before (-before +after):\n%s", diff)
	}
}

// TestRuleForbids: a rule forbids a destination, which is reachable without the rule.
func TestRuleForbids(t *testing.T) {
	labtest.NeedIP(t)
	lab := "name: wall\nnetworks: {lan: {subnets: [192.168.15.0/24, \"fd00:15::/64\"]}}\n" +
		"hosts: {red: {networks: [lan], rules: [%]}}\n"
	name, want := labtest.Compiled(t, strings.Replace(lab, "%", "to 192.168.15.9 prohibit, to fd00:15::9 prohibit", 1))
	k := openKernel(t, name)
	for _, forbidden := range []bool{true, false} {
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
		for _, to := range []string{"192.168.15.9", "fd00:15::9"} {
			out, err := exec.Command("ip", "-n", "red", "route", "get", to).CombinedOutput()
			if (err != nil) != forbidden || forbidden && !strings.Contains(string(out), "Permission denied") {
				t.Errorf("forbidden %t: to %s: %v\n%s", forbidden, to, err, out)
			}
		}
		_, want = labtest.Compiled(t, strings.Replace(lab, "%", "", 1))
	}
}

// TestRulesAreReadOnlyWhereTheyAre: a namespace without rules of the lab costs no request for rules.
func TestRulesAreReadOnlyWhereTheyAre(t *testing.T) {
	lab, want := labtest.Compiled(t, "name: wall\nhosts: {red: {rules: [prohibit]}, blue: {}}\n")
	k := openKernel(t, lab)
	if _, err := k.Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	for _, wanted := range []topo.State{want, nil} {
		if _, err := k.Snapshot(wanted); err != nil {
			t.Fatal(err)
		}
		for name, h := range k.table.Handles {
			if read := len(k.snapshots.get(h).ipRules); (read > 0) != (name == "red") {
				t.Errorf("read %d rules of %q", read, name)
			}
		}
	}
}

// TestRuleConflict: two labs cannot have rules with the same priority in one namespace.
func TestRuleConflict(t *testing.T) {
	lab, want := labtest.Compiled(t, "name: wall\nhosts: {machine: {rules: [\"-4 prohibit\"]}}\n")
	if _, err := openKernel(t, lab).Up(t.Context(), want, nil); err != nil {
		t.Fatal(err)
	}
	k := openKernel(t, "other")
	rules := map[string]bool{"-4 lookup 7": true, "-6 lookup 7": false, "-4 priority 101 lookup 7": false}
	for rule, conflict := range rules {
		_, want := labtest.Compiled(t, "name: other\nhosts: {machine: {rules: [\""+rule+"\"]}}\n")
		_, err := k.Up(t.Context(), want, nil)
		if errors.Is(err, fs.ErrExist) != conflict || (err != nil) != conflict {
			t.Errorf("%s: %v", rule, err)
		}
		if conflict && !strings.Contains(err.Error(), "another lab has a rule with this priority; use another one, "+
			"for example: priority 200") {
			t.Errorf("%s: %v", rule, err)
		}
		if _, err := k.Down(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
}

// TestSurveyRules: a survey has the rules of hosts, except the kernel's, and lists those that no lab can have.
func TestSurveyRules(t *testing.T) {
	labtest.NeedIP(t)
	labtest.IP(t, "netns add red")
	defer labtest.IP(t, "netns del red")
	for _, rule := range []string{
		"-n red rule add priority 5 from 10.0.0.0/8 lookup 7", "-n red rule add priority 5 prohibit",
		"-n red -6 rule add priority 5 lookup 7 protocol static",
	} {
		labtest.IP(t, rule)
	}
	got, unknown, err := Survey()
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, o := range got.Objects() {
		if _, is := o.(topo.Rule); is {
			rules = append(rules, o.String())
		}
	}
	want := []string{"red: rule priority 5 from 10.0.0.0/8 lookup 7", "red: -6 rule priority 5 from all lookup 7"}
	if diff := cmp.Diff(want, rules); diff != "" {
		t.Errorf("rules (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"red: rule priority 5 from all prohibit"}, unknown); diff != "" {
		t.Errorf("unknown (-want +got):\n%s", diff)
	}
}
