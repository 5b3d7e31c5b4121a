package verify

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

	"github.com/vnet-lab/vnet/internal/golden"
	"github.com/vnet-lab/vnet/topo/lab"
)

// sample is a report with every kind of outcome.
func sample() Report {
	addr := netip.MustParseAddr
	ping := lab.Expectation{From: "red", To: "blue", Probe: lab.ProbePing, Outcome: lab.Answered}
	web := lab.Expectation{From: "red", Addr: addr("203.0.113.1"), Probe: lab.ProbeTCP, Port: 8080, Outcome: lab.Answered}
	as := web
	as.Seen = addr("203.0.113.9")
	shut := lab.Expectation{From: "red", To: "blue", Probe: lab.ProbeTCP, Port: 22, Outcome: lab.Refused}
	fact := func(x lab.Expectation, target string) lab.Fact {
		return lab.Fact{Expectation: x, Target: addr(target), Server: "blue"}
	}
	return Report{Lab: "red-blue", Time: 2300 * time.Millisecond, Results: []Result{
		{Fact: fact(ping, "192.168.15.3"), Answer: Answer{Outcome: lab.Answered, Time: 83 * time.Microsecond}, OK: true},
		{
			Fact: fact(ping, "fd00:15::3"), Answer: Answer{Outcome: lab.Unreachable, Time: 2 * time.Second},
			Diagnosis: []string{
				"the request reaches blue from fd00:15::2; the reply is lost", "blue: no route to fd00:15::2",
			},
		},
		{
			Fact: fact(web, "203.0.113.1"),
			Answer: Answer{
				Outcome: lab.Unreachable, Time: 1234 * time.Microsecond, Detail: "host unreachable", Sender: addr("192.168.15.1"),
			},
			Diagnosis: []string{"machine: neighbour 192.168.15.3 on v-net-0 does not answer (ARP)"},
		},
		{
			Fact:      fact(as, "203.0.113.1"),
			Answer:    Answer{Outcome: lab.Answered, Time: 1234 * time.Microsecond, Seen: addr("192.168.15.1")},
			Diagnosis: []string{"blue sees source address 192.168.15.1, expected 203.0.113.9"},
		},
		{
			Fact:   fact(shut, "192.168.15.3"),
			Answer: Answer{Outcome: lab.Refused, Time: 9 * time.Microsecond, Detail: "connection refused"}, OK: true,
		},
		{Fact: lab.Fact{Expectation: ping, Target: addr("192.168.15.4")}, Err: errors.New("netns red: file does not exist")},
	}}
}

// TestReport compares every format of a report with the files of testdata/report.
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
		golden.File(t, "testdata/report/sample."+name, b.Bytes())
	}
}

// Parsers of JSON, JUnit and TAP can read the report, and its numbers are right.
func TestReportFormats(t *testing.T) {
	var b bytes.Buffer
	if err := sample().WriteJSON(&b); err != nil {
		t.Fatal(err)
	}
	var doc struct {
		OK      bool
		Failed  int
		Results []struct {
			OK        bool
			Diagnosis []string
		}
	}
	if err := json.Unmarshal(b.Bytes(), &doc); err != nil {
		t.Fatal(err)
	}
	if doc.OK || doc.Failed != 4 || len(doc.Results) != 6 || len(doc.Results[1].Diagnosis) != 2 {
		t.Errorf("%+v", doc)
	}
	b.Reset()
	if err := sample().WriteJUnit(&b); err != nil {
		t.Fatal(err)
	}
	var suite junitSuite
	if err := xml.Unmarshal(b.Bytes(), &suite); err != nil {
		t.Fatal(err)
	}
	if suite.Tests != 6 || suite.Failures != 3 || suite.Errors != 1 {
		t.Errorf("%+v", suite)
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
	n := strings.Count("\n"+b.String(), "\nnot ok ")
	if n != 4 || !strings.HasPrefix(b.String(), "TAP version 13\n1..6\n") {
		t.Errorf("%d not ok:\n%s", n, b.String())
	}
}

// A report without facts holds.
func TestEmptyReport(t *testing.T) {
	var b bytes.Buffer
	if err := (Report{Lab: "x"}).WriteText(&b, false); err != nil || b.String() != "0 facts hold (0s)\n" {
		t.Errorf("%v: %s", err, b.String())
	}
}

// junitSuite is what CI servers read from a JUnit file.
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
