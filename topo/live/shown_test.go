package live

import (
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo"
)

// TestShown: control characters in names do not reach the terminal.
func TestShown(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "",
		"link veth-red ── ü \t \n": "link veth-red ── ü \t \n",
		"e\x1b[31mvil":             `e\x1b[31mvil`,
		"\x9b1m\xff \"\\":          `\x9b1m\xff "\`,
		"\u009b \u202e \r \a\x7f�": `\u009b \u202e \r \a\x7f�`,
	} {
		if got := display.Escape(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
	evil := topo.Up{NS: "red", Link: "e\x1b[31mvil"}
	if got := (topo.Step{Have: evil}).String(); got != `- red: link e\x1b[31mvil up` {
		t.Errorf("a step is %q", got)
	}
	host := HostStatus{Name: "red", Links: []LinkStatus{{Name: evil.Link}}}
	status := Status{Lab: "q", Drift: topo.Plan{{Have: evil}}, Hosts: []HostStatus{host}}
	if got := shownText(t, status); got != display.Escape(got) {
		t.Errorf("a status is %q", got)
	}
}

func shownText(t *testing.T, s Status) string {
	t.Helper()
	var b strings.Builder
	if err := s.WriteText(&b, nil); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
