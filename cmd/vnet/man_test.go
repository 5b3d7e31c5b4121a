package main

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
)

const manual = "../../docs/vnet.8"

// TestManual checks that docs/vnet.8 is equal to the help texts.
func TestManual(t *testing.T) {
	page := manPage()
	if *update {
		if err := os.WriteFile(manual, page, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(have), string(page)); diff != "" {
		t.Errorf("docs/vnet.8 differs from the help; go test ./cmd/vnet -run Manual -update rewrites it (-have +want):\n%s",
			diff)
	}
}

// manPage returns the manual page in man(7) format.
func manPage() []byte {
	b := new(bytes.Buffer)
	b.WriteString(".TH VNET 8\n.SH NAME\nvnet \\- virtual networks, made with netlink and nftables only\n" +
		".SH SYNOPSIS\n.nf\nvnet [OPTIONS] OBJECT { COMMAND | help }\nvnet [\\-force] \\-batch FILE\n.fi\n.SH " +
		"OPTIONS\nOptions are before the object and can be abbreviated.\n")
	for _, o := range words.OptionTable {
		fmt.Fprintf(b, ".TP\n\\fB\\-%s\\fR %s\n%s\n", roff(o.Name), roff(o.Value), roff(o.Usage))
	}
	b.WriteString(".SH OBJECTS\n")
	for _, o := range objects() {
		fmt.Fprintf(b, ".SS %s: %s\n.nf\n%s\n.fi\n", o.name, roff(o.usage), roff(strings.TrimSpace(o.help)))
		if o.lab != nil {
			for _, f := range o.lab.flags {
				name, usage, _ := strings.Cut(f.String(), "\t")
				fmt.Fprintf(b, ".TP\n\\fB%s\\fR\n%s\n", roff(name), roff(usage))
			}
		}
	}
	b.WriteString(".SH EXIT STATUS\n" + roff(strings.TrimSpace(exitCodes)) +
		"\n.SH CAPABILITIES\n" + roff(strings.TrimSpace(strings.TrimPrefix(capabilityHelp, "Capabilities: "))) +
		"\n.SH SEE ALSO\nip(8), nft(8), network_namespaces(7)\n")
	return b.Bytes()
}

// roff escapes text for roff.
func roff(text string) string {
	text = strings.NewReplacer(`\`, `\e`, "-", `\-`).Replace(text)
	lines := strings.Split(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") || strings.HasPrefix(l, "'") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
