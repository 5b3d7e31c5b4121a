package live

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo"
)

// A Status is the present state of a lab: its hosts and links, their counters, and the
// drift.
type Status struct {
	Lab   string       `json:"lab"`
	At    time.Time    `json:"time"`  // when it was read
	Hosts []HostStatus `json:"hosts"` // the machine first, if the lab has objects there
	Rules []NATStatus  `json:"rules"` // of all hosts
	// Drift is the plan that up would execute now. It is empty if the lab equals its file,
	// or if there is no file.
	Drift topo.Plan `json:"drift"`
}

// A HostStatus has the lab's links in a host.
type HostStatus struct {
	Name  string       `json:"name"`
	Links []LinkStatus `json:"links"`
}

// A LinkStatus is a link of the lab.
type LinkStatus struct {
	Name   string         `json:"name"`
	Kind   string         `json:"kind"`             // bridge, veth …
	Master string         `json:"master,omitempty"` // the bridge whose port it is
	State  string         `json:"state"`            // up, down, no carrier
	Addrs  []netip.Prefix `json:"addresses"`
	// The link's counters.
	Received Traffic `json:"received"`
	Sent     Traffic `json:"sent"`
}

// Traffic has the counters of one direction since the link was created.
type Traffic struct {
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
	Lost    uint64 `json:"lost"` // dropped, or received with errors
}

// A NATStatus is a NAT or isolation rule with its counters. A NAT rule counts the first
// packet of each translated connection, an isolation rule the dropped packets. Foreign
// rules in the lab's table are included, in nft's words.
type NATStatus struct {
	Host    string `json:"host"`
	Text    string `json:"rule"` // as printed by topo, or by nft(8) for a foreign rule
	Packets uint64 `json:"packets"`
	Bytes   uint64 `json:"bytes"`
}

// Same reports whether both are equal, apart from the time at which they were read.
func (s Status) Same(other Status) bool {
	s.At = other.At
	return reflect.DeepEqual(s, other)
}

// WriteJSON writes the status as a JSON object.
func (s Status) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(s)
}

// WriteText writes tables for people. before is an earlier status; if it is not nil, the
// tables also have the rates since then.
func (s Status) WriteText(w io.Writer, before *Status) error {
	var b strings.Builder
	s.writeLinks(&b, before)
	s.writeRules(&b, before)
	_, err := io.WriteString(w, b.String()+s.drift())
	return err
}

// writeLinks leaves out the ports of the lab's bridges: they are the peers of the
// hosts' links.
func (s Status) writeLinks(b *strings.Builder, before *Status) {
	t := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	fmt.Fprint(t, "HOST\tLINK\tSTATE\tADDRESSES\tRECEIVED\tSENT\n")
	for _, h := range s.Hosts {
		for _, l := range h.Links {
			if l.Master != "" && l.Kind == "veth" && len(l.Addrs) == 0 {
				continue
			}
			was, elapsed := before.link(h.Name, l.Name), s.since(before)
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\n", h.Name, display.Escape(l.Name), l.State, spaced(l.Addrs),
				l.Received.text(was.Received, elapsed), l.Sent.text(was.Sent, elapsed))
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
		fmt.Fprintf(t, "%s\t%s\t%d%s\n", r.Host, display.Escape(r.Text), r.Packets, more)
	}
	t.Flush()
}

// drift returns one line per step of the drift.
func (s Status) drift() string {
	var b strings.Builder
	for _, step := range s.Drift {
		switch step.Op() {
		case topo.Create:
			b.WriteString("missing  " + step.Want.String())
		case topo.Delete:
			b.WriteString("extra    " + step.Have.String())
		case topo.Change:
			have, want := step.Have.String(), step.Want.String()
			b.WriteString("differs  " + want + " (is " + display.ChangedWords(have, want) + ")")
		}
		b.WriteByte('\n')
	}
	if b.Len() == 0 {
		return ""
	}
	return "\n" + display.Escape(b.String())
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

func (s *Status) rule(r NATStatus) (packets uint64) {
	if s != nil {
		for _, was := range s.Rules {
			if was.Host == r.Host && was.Text == r.Text {
				return was.Packets
			}
		}
	}
	return 0
}

// text is "1.2 kB (12)": bytes and packets, then the rate since was, and lost packets.
func (t Traffic) text(was Traffic, elapsed time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s (%d)", inBytes(float64(t.Bytes)), t.Packets)
	if elapsed > 0 && t.Bytes > was.Bytes {
		b.WriteString(" " + inBytes(float64(t.Bytes-was.Bytes)/elapsed.Seconds()) + "/s")
	}
	if t.Lost > 0 {
		fmt.Fprintf(&b, " lost %d", t.Lost)
	}
	return b.String()
}

// inBytes writes a number of bytes: "999 B", "1.2 kB", "34 MB".
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
