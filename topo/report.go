package topo

import (
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"
)

// A Report is what became of a lab's facts, in their order.
type Report struct {
	Lab     string
	Results []Result
	Time    time.Duration // from the first packet to the last diagnosis
}

// A Result is what became of one fact.
type Result struct {
	Fact
	Answer Answer
	OK     bool
	// Lost says where the packets were lost, or what else is wrong, the nearest
	// cause first; empty for a fact that holds.
	Lost []string
	// Err says why nothing could be probed, for example that a namespace is not
	// there; nil if something could.
	Err error
}

// An Answer is what came of one probe.
type Answer struct {
	Outcome string        // Answered, Refused or Unreachable
	Time    time.Duration // from the first packet to the verdict
	Seen    netip.Addr    // the source address the other side saw; invalid if it was not asked or could not be
	Said    string        // what was said instead of an answer, in the words of the RFCs; "" if nothing was
	By      netip.Addr    // who said it; invalid for the sending host's own kernel
}

// OK tells whether all facts hold.
func (r Report) OK() bool { return r.Failed() == 0 }

// Failed is how many facts do not hold.
func (r Report) Failed() (n int) {
	for i := range r.Results {
		if !r.Results[i].OK {
			n++
		}
	}
	return n
}

// holds judges an answer.
func (f Fact) holds(a Answer) bool {
	as := a.Outcome == f.Outcome && (!f.Seen.IsValid() || a.Seen == f.Seen)
	return as != f.Not
}

// about is the fact, and at which address.
func (r Result) about() string {
	if !r.Target.IsValid() || r.Addr == r.Target {
		return r.String()
	}
	return r.String() + " at " + r.Target.String()
}

// got is what came of the probe, in a few words.
func (r Result) got() string {
	outcome, remark := r.outcome()
	switch {
	case r.Err != nil:
		return remark
	case remark == "":
		return outcome
	case r.Answer.Outcome == Answered:
		return outcome + ", " + remark
	}
	return outcome + ": " + remark
}

// outcome is what came of the probe in a word, and what there is to say about it.
func (r Result) outcome() (outcome, remark string) {
	if r.Err != nil {
		return "error", r.Err.Error()
	}
	switch {
	case r.Answer.Seen.IsValid() && r.Answer.Outcome == Answered:
		remark = "sees " + r.Answer.Seen.String()
		if r.Answer.Said != "" {
			remark += ": " + r.Answer.Said
		}
	case r.Answer.Said != "":
		remark = r.Answer.Said
	case r.Answer.Outcome == Unreachable:
		remark = "no answer"
	}
	if r.Answer.By.IsValid() {
		remark += ", says " + r.Answer.By.String()
	}
	return r.Answer.Outcome, remark
}

// Summary is the last line of a report: "12 facts hold" or "2 of 12 facts do not
// hold".
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

// mark is "ok" or "no".
func (r Result) mark(color bool) string {
	mark, dye := "no", red
	if r.OK {
		mark, dye = "ok", green
	}
	if color {
		return dye + mark + plain
	}
	return mark
}

// WriteText writes a table for people. Below each fact that does not hold stands
// where its packets were lost.
func (r Report) WriteText(w io.Writer, color bool) error { return r.writeText(w, color, false) }

// WriteFailures is WriteText without the facts that hold.
func (r Report) WriteFailures(w io.Writer, color bool) error { return r.writeText(w, color, true) }

func (r Report) writeText(w io.Writer, color, failures bool) error {
	about, outcome := 0, 0
	for i := range r.Results {
		if failures && r.Results[i].OK {
			continue
		}
		about = max(about, width(r.Results[i].about()))
		word, _ := r.Results[i].outcome()
		outcome = max(outcome, width(word))
	}
	var b strings.Builder
	for i := range r.Results {
		x := &r.Results[i]
		if failures && x.OK {
			continue
		}
		word, remark := x.outcome()
		line := fmt.Sprintf("%s  %-*s  %-*s  %6s  %s", x.mark(color), about, x.about(), outcome, word, took(x.Answer.Time), remark)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
		for _, l := range x.Lost {
			b.WriteString("      " + l + "\n")
		}
	}
	b.WriteString(r.Summary() + "\n")
	_, err := io.WriteString(w, b.String())
	return err
}

func took(d time.Duration) string {
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
	Fact     string   `json:"fact"`
	OK       bool     `json:"ok"`
	From     string   `json:"from"`
	Target   string   `json:"target,omitempty"`
	Server   string   `json:"server,omitempty"`
	Probe    string   `json:"probe"`
	Port     uint16   `json:"port,omitempty"`
	Outcome  string   `json:"outcome,omitempty"`
	Seen     string   `json:"seen,omitempty"`
	Said     string   `json:"said,omitempty"`
	By       string   `json:"by,omitempty"`
	Microsec int64    `json:"microseconds"`
	Lost     []string `json:"lost,omitempty"`
	Error    string   `json:"error,omitempty"`
}

func (r Result) forJSON() resultJSON {
	j := resultJSON{
		Fact: r.String(), OK: r.OK, From: r.From, Server: r.Server,
		Probe: r.Probe, Port: r.Port, Outcome: r.Answer.Outcome, Said: r.Answer.Said,
		Microsec: r.Answer.Time.Microseconds(), Lost: r.Lost,
	}
	if r.Target.IsValid() {
		j.Target = r.Target.String()
	}
	if r.Answer.Seen.IsValid() {
		j.Seen = r.Answer.Seen.String()
	}
	if r.Answer.By.IsValid() {
		j.By = r.Answer.By.String()
	}
	if r.Err != nil {
		j.Error = r.Err.Error()
	}
	return j
}

// WriteJSON writes an object with the lab's name and an object a fact.
func (r Report) WriteJSON(w io.Writer) error {
	out := struct {
		Lab     string       `json:"lab"`
		OK      bool         `json:"ok"`
		Failed  int          `json:"failed"`
		Results []resultJSON `json:"results"`
	}{r.Lab, r.OK(), r.Failed(), make([]resultJSON, 0, len(r.Results))}
	for i := range r.Results {
		out.Results = append(out.Results, r.Results[i].forJSON())
	}
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(out)
}

// WriteTAP writes the Test Anything Protocol, version 13.
func (r Report) WriteTAP(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "TAP version 13\n1..%d\n", len(r.Results))
	for i := range r.Results {
		x := &r.Results[i]
		// A # begins a directive.
		about := strings.ReplaceAll(x.about(), "#", `\#`)
		if x.OK {
			fmt.Fprintf(&b, "ok %d - %s\n", i+1, about)
			continue
		}
		fmt.Fprintf(&b, "not ok %d - %s\n# %s\n", i+1, about, x.got())
		for _, l := range x.Lost {
			fmt.Fprintf(&b, "# %s\n", l)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteJUnit writes the XML that test servers read. It is written by hand: what
// marshals any value as XML is a seventieth of all of vnet.
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
	_, err := fmt.Fprintf(w, "%s<testsuite name=\"%s\" tests=\"%d\" failures=\"%d\" errors=\"%d\" time=\"%s\">\n%s</testsuite>\n",
		xmlHeader, escapeXML(r.Lab), len(r.Results), failures, broken, seconds(r.Time), b.String())
	return err
}

// junit writes a test case; outcome is the element that says what went wrong.
func (r *Result) junit(b *strings.Builder, lab, outcome string) {
	fmt.Fprintf(b, "  <testcase classname=\"%s\" name=\"%s\" time=\"%s\"", escapeXML(lab+"."+r.From), escapeXML(r.about()), seconds(r.Answer.Time))
	if outcome == "" {
		b.WriteString("></testcase>\n")
		return
	}
	fmt.Fprintf(b, ">\n    <%s message=\"%s\">%s</%[1]s>\n  </testcase>\n", outcome, escapeXML(r.got()), escapeXML(strings.Join(r.Lost, "\n")))
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.6f", d.Seconds()) }
