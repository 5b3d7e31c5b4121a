package topo

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"
)

// A Status is a lab as it is: its hosts and links, what went over them, and what is
// not as it should be.
type Status struct {
	Lab   string       `json:"lab"`
	At    time.Time    `json:"time"`
	Hosts []HostStatus `json:"hosts"` // the machine first, if the lab has anything there
	Rules []RuleStatus `json:"rules"`
	// Drift is what up would do; empty for a lab that is as its file says, and where
	// no file says anything.
	Drift Plan `json:"drift"`
}

// A HostStatus is what a host has of the lab.
type HostStatus struct {
	Name  string       `json:"name"`
	Links []LinkStatus `json:"links"`
}

// A LinkStatus is a link of the lab.
type LinkStatus struct {
	Name  string         `json:"name"`
	Kind  string         `json:"kind"`             // bridge, veth …
	On    string         `json:"master,omitempty"` // the switch that it is a port of
	State string         `json:"state"`            // up, down, no carrier
	Addrs []netip.Prefix `json:"addresses"`
	// What the link received and sent, and what it did not.
	Received Traffic `json:"received"`
	Sent     Traffic `json:"sent"`
}

// Traffic is what went by since a link was made.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	Lost    uint64 `json:"lost"` // dropped, or received with errors
}

// A RuleStatus is a rule and what it has seen: the connections that NAT began, or
// the packets that were kept from a network. What others put into the lab's table is
// among them, in nft's words.
type RuleStatus struct {
	Host    string `json:"host"`
	Text    string `json:"rule"`
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Same tells whether both say the same but for the time.
func (s Status) Same(other Status) bool {
	s.At = other.At
	return reflect.DeepEqual(s, other)
}

// WriteJSON writes an object.
func (s Status) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(s)
}

// WriteText writes tables for people. before is the status of a moment ago, from
// which rates follow, or nil.
func (s Status) WriteText(w io.Writer, before *Status) error {
	var b strings.Builder
	s.writeLinks(&b, before)
	s.writeRules(&b, before)
	_, err := io.WriteString(w, b.String()+s.drift())
	return err
}

// writeLinks leaves out the ports of the lab's own switches: they are the far ends
// of what the hosts have.
func (s Status) writeLinks(b *strings.Builder, before *Status) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "HOST\tLINK\tSTATE\tADDRESSES\tRECEIVED\tSENT\n")
	for _, h := range s.Hosts {
		for _, l := range h.Links {
			if l.On != "" && l.Kind == "veth" && len(l.Addrs) == 0 {
				continue
			}
			was, took := before.link(h.Name, l.Name), s.since(before)
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", h.Name, Shown(l.Name), l.State, spaced(l.Addrs),
				l.Received.text(was.Received, took), l.Sent.text(was.Sent, took))
		}
	}
	t.Flush()
}

func (s Status) writeRules(b *strings.Builder, before *Status) {
	if len(s.Rules) == 0 {
		return
	}
	b.WriteByte('\n')
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "HOST\tRULE\tSEEN\n")
	for _, r := range s.Rules {
		more := ""
		if n := r.Packets - before.rule(r); before != nil && n > 0 && n <= r.Packets {
			more = fmt.Sprintf(" +%d", n)
		}
		fmt.Fprintf(t, "%s\t%s\t%d%s\n", r.Host, Shown(r.Text), r.Packets, more)
	}
	t.Flush()
}

// drift says line by line what is not as it should be.
func (s Status) drift() string {
	var b strings.Builder
	for _, step := range s.Drift {
		switch step.Op() {
		case Create:
			b.WriteString("missing  " + step.Want.String())
		case Delete:
			b.WriteString("extra    " + step.Have.String())
		case Change:
			b.WriteString("differs  " + step.Want.String() + " (is " + differs(step.Have.String(), step.Want.String()) + ")")
		}
		b.WriteByte('\n')
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n" + Shown(b.String())
}

func (s Status) since(before *Status) time.Duration {
	if before == nil {
		return 0
	}
	return s.At.Sub(before.At)
}

func (s *Status) link(host, name string) LinkStatus {
	if s != nil {
		for _, h := range s.Hosts {
			for _, l := range h.Links {
				if h.Name == host && l.Name == name {
					return l
				}
			}
		}
	}
	return LinkStatus{}
}

func (s *Status) rule(r RuleStatus) (packets uint64) {
	if s != nil {
		for _, was := range s.Rules {
			if was.Host == r.Host && was.Text == r.Text {
				return was.Packets
			}
		}
	}
	return 0
}

// text is "12 packets, 1.2 kB", and the rate since a moment ago.
func (t Traffic) text(was Traffic, took time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%d)", inBytes(float64(t.Bytes)), t.Packets)
	if took > 0 && t.Bytes > was.Bytes {
		b.WriteString(" " + inBytes(float64(t.Bytes-was.Bytes)/took.Seconds()) + "/s")
	}
	if t.Lost > 0 {
		fmt.Fprintf(&b, " lost %d", t.Lost)
	}
	return b.String()
}

// inBytes is "999 B", "1.2 kB", "34 MB".
func inBytes(n float64) string {
	for _, unit := range []string{"B", "kB", "MB", "GB"} {
		switch {
		case n < 10 && unit != "B":
			return fmt.Sprintf("%.1f %s", n, unit)
		case n < 1000:
			return fmt.Sprintf("%.0f %s", n, unit)
		}
		n /= 1000
	}
	return fmt.Sprintf("%.1f TB", n)
}

func spaced(addrs []netip.Prefix) string {
	var words []string
	for _, a := range addrs {
		words = append(words, a.String())
	}
	return strings.Join(words, " ")
}
