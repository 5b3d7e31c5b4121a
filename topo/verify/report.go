package verify

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo/lab"
)

// A Report has the result of each of a lab's facts, in their order.
type Report struct {
	Lab     string
	Results []Result
	Time    time.Duration // from the first packet to the end of the last diagnosis
}

// A Result is the outcome of one fact.
type Result struct {
	lab.Fact
	Answer Answer // zero if Err is not nil
	OK     bool   // the fact holds
	// Diagnosis says where the packets were lost, or what else is wrong, the nearest cause first.
	// It is empty for a fact that holds.
	Diagnosis []string
	// Err says why nothing could be probed, for example because a namespace is missing; nil if the
	// fact was probed.
	Err error
}

// An Answer is the outcome of one probe.
type Answer struct {
	Outcome string        // Answered, Refused or Unreachable
	Time    time.Duration // from the first packet to the outcome
	Seen    netip.Addr    // the source address that the other side saw; invalid if unknown
	Detail  string        // what an error means, or the addresses of a name; "" if there is neither
	Sender  netip.Addr    // the host that sent the ICMP error; invalid if there is none
}

// OK reports whether all facts hold.
func (r Report) OK() bool { return r.Failed() == 0 }

// Failed returns how many facts do not hold.
func (r Report) Failed() (n int) {
	for i := range r.Results {
		if !r.Results[i].OK {
			n++
		}
	}
	return n
}

// holds reports whether an answer is what the fact expects.
func holds(f lab.Fact, a Answer) bool {
	matches := a.Outcome == f.Outcome && (!f.Seen.IsValid() || a.Seen == f.Seen)
	return matches != f.Not
}

// title returns the fact and the address that was probed.
func (r Result) title() string {
	if !r.Target.IsValid() || r.Addr == r.Target {
		return r.String()
	}
	return r.String() + " at " + r.Target.String()
}

// actual returns the outcome of the probe in a few words.
func (r Result) actual() string {
	outcome, remark := r.outcome()
	switch {
	case r.Err != nil:
		return remark
	case remark == "":
		return outcome
	case r.Answer.Outcome == lab.Answered:
		return outcome + ", " + remark
	}
	return outcome + ": " + remark
}

// outcome returns the outcome of the probe in one word, and a remark about it.
func (r Result) outcome() (outcome, remark string) {
	if r.Err != nil {
		return "error", r.Err.Error()
	}
	switch {
	case r.Answer.Seen.IsValid() && r.Answer.Outcome == lab.Answered:
		remark = "source address " + r.Answer.Seen.String()
		if r.Answer.Detail != "" {
			remark += ": " + r.Answer.Detail
		}
	case r.Answer.Detail != "":
		remark = r.Answer.Detail
	case r.Answer.Outcome == lab.Unreachable:
		remark = "no answer"
	}
	if r.Answer.Sender.IsValid() {
		remark += ", reported by " + r.Answer.Sender.String()
	}
	return r.Answer.Outcome, remark
}

// Summary returns the last line of a report: "12 facts hold" or "2 of 12 facts do not hold", and
// the time.
func (r Report) Summary() string {
	n, bad := len(r.Results), r.Failed()
	in := r.Time.Round(time.Millisecond)
	switch {
	case bad > 0:
		return fmt.Sprintf("%d of %d facts do not hold (%s)", bad, n, in)
	case n == 1:
		return fmt.Sprintf("1 fact holds (%s)", in)
	}
	return fmt.Sprintf("%d facts hold (%s)", n, in)
}

// ANSI colours of a terminal.
const (
	red   = "\x1b[31m"
	green = "\x1b[32m"
	plain = "\x1b[0m"
)

// status is "ok" or "no".
func (r Result) status(color bool) string {
	mark, code := "no", red
	if r.OK {
		mark, code = "ok", green
	}
	if color {
		return code + mark + plain
	}
	return mark
}

// WriteText writes a table for people. Below each fact that does not hold it writes where the
// packets were lost.
func (r Report) WriteText(w io.Writer, color bool) error { return r.writeText(w, color, false) }

// WriteFailures is WriteText without the facts that hold.
func (r Report) WriteFailures(w io.Writer, color bool) error { return r.writeText(w, color, true) }

func (r Report) writeText(w io.Writer, color, failures bool) error {
	title, outcome := 0, 0
	for i := range r.Results {
		if failures && r.Results[i].OK {
			continue
		}
		title = max(title, display.Width(r.Results[i].title()))
		word, _ := r.Results[i].outcome()
		outcome = max(outcome, display.Width(word))
	}
	var b strings.Builder
	for i := range r.Results {
		x := &r.Results[i]
		if failures && x.OK {
			continue
		}
		word, remark := x.outcome()
		line := fmt.Sprintf("%s  %-*s  %-*s  %6s  %s", x.status(color),
			title, x.title(), outcome, word, timeText(x.Answer.Time), remark)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		for _, l := range x.Diagnosis {
			b.WriteString("      " + l + "\n")
		}
	}
	b.WriteString(r.Summary() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func timeText(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond / 10).String()
	}
	return d.Round(time.Second / 100).String()
}

// resultJSON is a result as [Report.WriteJSON] writes it.
type resultJSON struct {
	Fact      string   `json:"fact"`
	OK        bool     `json:"ok"`
	From      string   `json:"from"`
	Target    string   `json:"target,omitempty"`
	Server    string   `json:"server,omitempty"`
	Probe     string   `json:"probe"`
	Port      uint16   `json:"port,omitempty"`
	Outcome   string   `json:"outcome,omitempty"`
	Seen      string   `json:"seen,omitempty"`
	Detail    string   `json:"detail,omitempty"`
	Sender    string   `json:"sender,omitempty"`
	Microsec  int64    `json:"microseconds"`
	Diagnosis []string `json:"diagnosis,omitempty"`
	Error     string   `json:"error,omitempty"`
}

func (r Result) toJSON() resultJSON {
	j := resultJSON{
		Fact: r.String(), OK: r.OK, From: r.From, Server: r.Server,
		Probe: r.Probe, Port: r.Port, Outcome: r.Answer.Outcome, Detail: r.Answer.Detail,
		Microsec: r.Answer.Time.Microseconds(), Diagnosis: r.Diagnosis,
	}
	if r.Target.IsValid() {
		j.Target = r.Target.String()
	}
	if r.Answer.Seen.IsValid() {
		j.Seen = r.Answer.Seen.String()
	}
	if r.Answer.Sender.IsValid() {
		j.Sender = r.Answer.Sender.String()
	}
	if r.Err != nil {
		j.Error = r.Err.Error()
	}
	return j
}

// WriteJSON writes an object with the lab's name and one object for each fact.
func (r Report) WriteJSON(w io.Writer) error {
	out := struct {
		Lab     string       `json:"lab"`
		OK      bool         `json:"ok"`
		Failed  int          `json:"failed"`
		Results []resultJSON `json:"results"`
	}{r.Lab, r.OK(), r.Failed(), make([]resultJSON, 0, len(r.Results))}
	for i := range r.Results {
		out.Results = append(out.Results, r.Results[i].toJSON())
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

// WriteTAP writes version 13 of the Test Anything Protocol.
func (r Report) WriteTAP(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "TAP version 13\n1..%d\n", len(r.Results))
	for i := range r.Results {
		x := &r.Results[i]
		// In TAP, # begins a directive.
		title := strings.ReplaceAll(x.title(), "#", `\#`)
		if x.OK {
			fmt.Fprintf(&b, "ok %d - %s\n", i+1, title)
			continue
		}
		fmt.Fprintf(&b, "not ok %d - %s\n# %s\n", i+1, title, x.actual())
		for _, l := range x.Diagnosis {
			fmt.Fprintf(&b, "# %s\n", l)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJUnit writes the JUnit XML that CI servers read. It does not use encoding/xml, which would
// make the vnet binary about 1/70 larger.
func (r Report) WriteJUnit(w io.Writer) error {
	var b strings.Builder
	failures, broken := 0, 0
	for i := range r.Results {
		x := &r.Results[i]
		switch {
		case x.Err != nil:
			broken++
			x.junit(&b, r.Lab, "error")
		case !x.OK:
			failures++
			x.junit(&b, r.Lab, "failure")
		default:
			x.junit(&b, r.Lab, "")
		}
	}
	_, err := fmt.Fprintf(w,
		"%s<testsuite name=\"%s\" tests=\"%d\" failures=\"%d\" errors=\"%d\" time=\"%s\">\n%s</testsuite>\n",
		display.XMLHeader, display.EscapeXML(r.Lab), len(r.Results), failures, broken, seconds(r.Time), b.String())
	return err
}

// junit writes a test case. Outcome is the name of the element for a failed one: failure or error.
func (r *Result) junit(b *strings.Builder, lab, outcome string) {
	fmt.Fprintf(b, "  <testcase classname=\"%s\" name=\"%s\" time=\"%s\"",
		display.EscapeXML(lab+"."+r.From), display.EscapeXML(r.title()), seconds(r.Answer.Time))
	if outcome == "" {
		b.WriteString("></testcase>\n")
		return
	}
	fmt.Fprintf(b, ">\n    <%s message=\"%s\">%s</%[1]s>\n  </testcase>\n",
		outcome, display.EscapeXML(r.actual()), display.EscapeXML(strings.Join(r.Diagnosis, "\n")))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }
