package topo

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// sample is a report with all that can become of a fact.
func sample() Report {
	addr := netip.MustParseAddr
	ping := Expectation{From: "red", To: "blue", Probe: ProbePing, Outcome: Answered}
	web := Expectation{From: "red", Addr: addr("203.0.113.1"), Probe: ProbeTCP, Port: 8080, Outcome: Answered}
	as := web
	as.Seen = addr("203.0.113.9")
	shut := Expectation{From: "red", To: "blue", Probe: ProbeTCP, Port: 22, Outcome: Refused}
	return Report{Lab: "red-blue", Time: 2300 * time.Millisecond, Results: []Result{
		{Fact: Fact{Expectation: ping, Target: addr("192.168.15.3"), Server: "blue"}, Answer: Answer{Outcome: Answered, Time: 83 * time.Microsecond}, OK: true},
		{Fact: Fact{Expectation: ping, Target: addr("fd00:15::3"), Server: "blue"}, Answer: Answer{Outcome: Unreachable, Time: 2 * time.Second}, Lost: []string{"the question reaches blue, from fd00:15::2; the answer is lost", "blue: no route to fd00:15::2"}},
		{Fact: Fact{Expectation: web, Target: addr("203.0.113.1"), Server: "blue"}, Answer: Answer{Outcome: Unreachable, Time: 1234 * time.Microsecond, Said: "host unreachable", By: addr("192.168.15.1")}, Lost: []string{"machine: neighbour 192.168.15.3 on v-net-0 does not answer (ARP)"}},
		{Fact: Fact{Expectation: as, Target: addr("203.0.113.1"), Server: "blue"}, Answer: Answer{Outcome: Answered, Time: 1234 * time.Microsecond, Seen: addr("192.168.15.1")}, Lost: []string{"blue sees 192.168.15.1, not 203.0.113.9"}},
		{Fact: Fact{Expectation: shut, Target: addr("192.168.15.3"), Server: "blue"}, Answer: Answer{Outcome: Refused, Time: 9 * time.Microsecond, Said: "connection refused"}, OK: true},
		{Fact: Fact{Expectation: ping, Target: addr("192.168.15.4")}, Err: errors.New("netns red: file does not exist")},
	}}
}

// TestReport compares all ways to write a report with the files of testdata/report.
func TestReport(t *testing.T) {
	for name, write := range map[string]func(Report, io.Writer) error{
		"txt":      func(r Report, w io.Writer) error { return r.WriteText(w, false) },
		"ansi":     func(r Report, w io.Writer) error { return r.WriteText(w, true) },
		"failures": func(r Report, w io.Writer) error { return r.WriteFailures(w, false) },
		"json":     Report.WriteJSON, "tap": Report.WriteTAP, "xml": Report.WriteJUnit,
	} {
		var b bytes.Buffer
		if err := write(sample(), &b); err != nil {
			t.Fatal(err)
		}
		golden(t, "testdata/report/sample."+name, b.Bytes())
	}
}

// What programs read they can read, and its numbers are right.
func TestReportForPrograms(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OK      bool
		Failed  int
		Results []struct {
			OK   bool
			Lost []string
		}
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil || doc.OK || doc.Failed != 4 || len(doc.Results) != 6 || len(doc.Results[1].Lost) != 2 {
		t.Errorf("%v: %+v", err, doc)
	}
	b.Reset()
	if err := sample().WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	var suite junitSuite
	if err := xml.Unmarshal(b.Bytes(), &suite); err != nil || suite.Tests != 6 || suite.Failures != 3 || suite.Errors != 1 {
		t.Errorf("%v: %+v", err, suite)
	}
	for i, c := range suite.Cases {
		if failed := c.Failure != nil || c.Error != nil; failed == sample().Results[i].OK {
			t.Errorf("%s: failed: %v", c.Name, failed)
		}
	}
	b.Reset()
	if err := sample().WriteTAP(&b); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count("\n"+b.String(), "\nnot ok "); n != 4 || !strings.HasPrefix(b.String(), "TAP version 13\n1..6\n") {
		t.Errorf("%d not ok:\n%s", n, b.String())
	}
}

// An empty report holds.
func TestReportOfNothing(t *testing.T) {
	var b bytes.Buffer
	if err := (Report{Lab: "x"}).WriteText(&b, false); err != nil || b.String() != "0 facts hold (0s)\n" {
		t.Errorf("%v: %s", err, b.String())
	}
}

// What test servers read of it.
type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Time    string        `xml:"time,attr"`
	Failure *junitFailure `xml:"failure"`
	Error   *junitFailure `xml:"error"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}
