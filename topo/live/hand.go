package live

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/execute"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
	"github.com/vnet-lab/vnet/topo/live/internal/setting"
)

// handLab is the lab in the records of rules that vnet nat makes (by hand). No lab has this name.
const handLab = "@hand"

// A handNAT changes the rules that vnet nat makes in a table, and the settings that they need. Labs may need
// the same settings: records on lo say which labs need a setting, and its former value.
type handNAT struct {
	table    *netns.Table
	settings *setting.Changer
	handle   *netns.Handle
	name     string // of the nftables table
	conn     *nft.Conn
}

// AddNAT adds rules to a table of the namespace ns (nil means the current one). It also turns on
// forwarding for the address families of the rules. Networks without such a rule still cannot reach
// each other, see [nft.Guard]. AddNAT makes all changes or none. Only if it cannot read the Drops of the
// report, it keeps the changes and returns the error.
//
// With IPv6 forwarding, the kernel ignores router advertisements. AddNAT sets
// accept_ra=2 on links that have routes from advertisements, so that these routes remain.
// A forward that accepts packets to 127.0.0.1 needs route_localnet on the link to
// its target. AddNAT first adds the rule that protects the other ports of 127.0.0.1,
// and then sets route_localnet. After [nft.ErrStaleConntrack] it continues, and returns this error at the end.
func AddNAT(ns *os.File, table string, rules ...nft.Rule) (report NATReport, err error) {
	err = withHandNAT(ns, table, func(n *handNAT) (err error) {
		report, err = n.add(rules)
		return err
	})
	return report, err
}

// DeleteNAT deletes rules of a table. Settings that only they needed get their former values.
func DeleteNAT(ns *os.File, table string, rules ...nft.Rule) (report NATReport, err error) {
	err = withHandNAT(ns, table, func(n *handNAT) (err error) {
		report, err = n.remove(func(r nft.Rule) bool { return slices.Contains(rules, r) },
			func() error { return n.conn.Apply(table, rules, nil) })
		return err
	})
	return report, err
}

// FlushNAT deletes a table. Settings that only its rules needed get their former values. If the
// table does not exist, FlushNAT returns no error.
func FlushNAT(ns *os.File, table string) (report NATReport, err error) {
	err = withHandNAT(ns, table, func(n *handNAT) (err error) {
		report, err = n.remove(func(nft.Rule) bool { return true }, func() error {
			err := n.conn.DeleteTable(table)
			if errors.Is(err, fs.ErrNotExist) {
				return nil
			}
			return err
		})
		if err != nil {
			return err
		}
		labs := labNames{}
		if err := labs.addTables(n.conn); err != nil {
			return err
		}
		report.Labs = naming.Sorted(labs)
		return nil
	})
	return report, err
}

// withHandNAT opens the namespace and calls fn while no lab changes settings.
func withHandNAT(ns *os.File, name string, fn func(*handNAT) error) error {
	lock, err := netns.LockSysctls()
	switch {
	case err == nil:
		defer lock.Close()
	case !errors.Is(err, fs.ErrPermission) && !isReadOnly(err): // then no lab can change settings either
		return err
	}
	table := netns.NewTable(handLab, nil)
	defer func() { _ = table.Close() }() // only sockets
	h, err := table.OpenHere(ns)
	if err != nil {
		return err
	}
	conn, err := h.NFT()
	if err != nil {
		return err
	}
	return fn(&handNAT{table, execute.Settings(handLab, &execute.RealCalls), h, name, conn})
}

func (n *handNAT) add(rules []nft.Rule) (report NATReport, err error) {
	if err := n.checkLinkNames(rules); err != nil {
		return report, err
	}
	had, err := n.rules()
	if err != nil {
		return report, err
	}
	if report.Conflicts, err = n.conflicts(had, rules); err != nil {
		return report, err
	}
	wanted, err := gatewaySettings(n.handle.Conn, rules)
	if err != nil {
		return report, err
	}
	applied := n.conn.Apply(n.name, nil, rules)
	if applied != nil && !errors.Is(applied, nft.ErrStaleConntrack) {
		return report, applied
	}
	undoRules := func(err error) error {
		added := slices.DeleteFunc(slices.Clone(rules), func(r nft.Rule) bool { return slices.Contains(had, r) })
		if undo := n.conn.Apply(n.name, added, nil); undo != nil && !errors.Is(undo, nft.ErrStaleConntrack) {
			err = errors.Join(err, undo)
		}
		return err
	}
	if report.Settings, err = n.acquire(wanted); err == nil {
		err = n.passSources(append(had, rules...))
	}
	if err != nil {
		_, undo := n.release(had)
		return NATReport{}, undoRules(errors.Join(err, undo, n.passSources(had)))
	}
	err = n.handle.RunInside(func() (err error) {
		report.Drops, err = Drops(n.conn, func(b ruleset.BaseChain) []ruleset.Packet { return packetsOf(rules, b) })
		return err
	})
	return report, errors.Join(applied, err)
}

// remove deletes rules, or changes nothing. It restores the settings first, because some rules protect
// the machine while a setting is on.
func (n *handNAT) remove(deleted func(nft.Rule) bool, apply func() error) (report NATReport, err error) {
	had, err := n.rules()
	if err != nil {
		return report, err
	}
	rest := slices.DeleteFunc(slices.Clone(had), deleted)
	if report.Settings, err = n.release(rest); err == nil {
		err = n.passSources(rest)
	}
	if err == nil {
		err = apply()
	}
	if err == nil || errors.Is(err, nft.ErrStaleConntrack) {
		return report, err
	}
	wanted, undo := gatewaySettings(n.handle.Conn, had)
	if undo == nil {
		_, undo = n.acquire(wanted)
	}
	return NATReport{}, errors.Join(err, undo, n.passSources(had))
}

// conflicts returns the conflicts of the new rules: programs and other rules that use their ports.
func (n *handNAT) conflicts(had, rules []nft.Rule) (found []Conflict, err error) {
	var plan topo.Plan
	for _, r := range rules {
		if o := convert.Object(n.handle.Name, r); o != nil && !slices.Contains(had, r) {
			plan = append(plan, topo.Step{Want: o})
		}
	}
	foreign, err := conflictFinder{n.table}.readForeignState(n.handle, plan)
	if err != nil {
		return nil, err
	}
	for _, step := range plan {
		with, err := foreign.conflictWith(step.Want)
		if err != nil {
			return nil, err
		}
		if with != "" {
			found = append(found, Conflict{step.Want, with})
		}
	}
	return found, nil
}

// checkLinkNames refuses alternative names of links: nftables compares with the links' own names, so
// such a rule would never match. A link that does not exist yet is no error.
func (n *handNAT) checkLinkNames(rules []nft.Rule) error {
	for _, r := range rules {
		name := linkOf(r)
		if own := ownName(n.handle, name); name != "" && own != "" {
			return &nft.Error{Op: "add", Object: r.String(),
				Err: fmt.Errorf("%s is an alternative name of link %s, which nftables does not know; use %s", name, own, own)}
		}
	}
	return nil
}

// linkOf returns the name of the link in a rule; "" if it has none.
func linkOf(r nft.Rule) string {
	if f, ok := r.(nft.Forward); ok {
		return f.In
	}
	_, out := sourceOf(r)
	return out
}

// rules returns the rules of the table; none if it does not exist.
func (n *handNAT) rules() (rules []nft.Rule, err error) {
	counted, err := n.conn.Read(n.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, r := range counted {
		rules = append(rules, r.Rule)
	}
	return rules, err
}

// acquire applies the wanted settings and returns those that it changed. After an error, some may be
// applied: release restores them.
func (n *handNAT) acquire(wanted []SettingChange) (changed []SettingChange, err error) {
	for i := range wanted {
		if wanted[i].Old, err = setting.Read(n.handle, wanted[i].Key); errors.Is(err, fs.ErrNotExist) {
			continue // the kernel has no IPv6
		}
		if err == nil && !strings.HasSuffix(wanted[i].Key, "/accept_ra") { // set together with forwarding
			err = n.settings.Acquire(n.handle, dottedName(wanted[i].Key), wanted[i].Old, wanted[i].New)
		}
		if err != nil {
			return nil, err
		}
	}
	for _, s := range wanted {
		if now, err := setting.Read(n.handle, s.Key); err == nil && now != s.Old {
			s.New = now
			changed = append(changed, s)
		}
	}
	return changed, nil
}

// release restores the former values of the settings that vnet nat changed and that these rules do
// not need.
func (n *handNAT) release(rules []nft.Rule) (changed []SettingChange, err error) {
	needed, err := gatewaySettings(n.handle.Conn, rules)
	if err != nil {
		return nil, err
	}
	lo, err := n.handle.Conn.Link(rtnl.LinkID{Name: "lo"})
	if err != nil {
		return nil, err
	}
	for _, alt := range lo.AltNames {
		record, ok := strings.CutPrefix(alt, mark.Of(handLab)+":")
		if !ok || !strings.HasPrefix(record, "net.") {
			continue
		}
		word, _, _ := strings.Cut(record, "=")
		name := mark.Unescaper.Replace(word)
		if slices.ContainsFunc(needed, func(s SettingChange) bool { return dottedName(s.Key) == name }) {
			continue
		}
		s := SettingChange{Key: setting.Key(name), Why: "no rule needs it"}
		s.Old, _ = setting.Read(n.handle, name)
		if err := n.settings.Release(n.handle, name); err != nil {
			return changed, err
		}
		if s.New, err = setting.Read(n.handle, name); err == nil && s.New != s.Old {
			changed = append(changed, s)
		}
	}
	return changed, nil
}

// passSources changes the guard, if there is one, so that it passes the packets of these rules.
func (n *handNAT) passSources(rules []nft.Rule) error {
	return n.conn.UpdateGuard(func(g nft.Guard) nft.Guard {
		if !g.IPv4 && !g.IPv6 {
			return g
		}
		g.Sources, g.Out = nil, nil
		for _, r := range rules {
			source, out := sourceOf(r)
			switch {
			case source.IsValid():
				g.Sources = append(g.Sources, source)
			case out != "":
				g.Out = append(g.Out, out)
			}
		}
		return g
	})
}

// dottedName converts a key of package nsfs (net/ipv4/ip_forward) to the name that objects use
// (net.ipv4.ip_forward).
func dottedName(key string) string {
	return topo.Normalize(topo.Sysctl{Name: key}).(topo.Sysctl).Name
}
