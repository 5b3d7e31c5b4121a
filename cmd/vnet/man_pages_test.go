package main

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
)

// A manPage is a manual page in man(7) format.
type manPage struct{ strings.Builder }

// newManPage begins a page. It has no date: the same sources make the same bytes.
func newManPage(name, section, what string) *manPage {
	p := new(manPage)
	p.line(`.TH %s %s "" vnet "vnet manual"`, strings.ToUpper(roff(name)), section)
	p.line(".SH NAME\n%s \\- %s", roff(name), roff(what))
	return p
}

// text returns the page without paragraphs that begin where one begins anyway.
func (p *manPage) text() string {
	text := regexp.MustCompile(`(?:\.PP\n)+(\.(?:PP|SH|SS|TP))`).ReplaceAllString(p.String(), "$1")
	return regexp.MustCompile(`(?m)^(\.S[HS] .*\n)\.PP\n`).ReplaceAllString(text, "$1")
}

// line adds a line.
func (p *manPage) line(format string, args ...any) { fmt.Fprintf(p, format+"\n", args...) }

// term adds a term and its explanation.
func (p *manPage) term(term, value, text string) {
	p.line(".TP\n\\fB%s\\fR %s\n%s", roff(term), roff(value), roff(text))
}

// block adds lines as they are.
func (p *manPage) block(text string) { p.line(".PP\n.nf\n%s\n.fi", roff(text)) }

// help adds a help text: syntax and examples as they are, and the rest as paragraphs.
func (p *manPage) help(text string) {
	for part := range strings.SplitSeq(strings.TrimSpace(text), "\n\n") {
		first, _, _ := strings.Cut(part, "\n")
		if strings.HasPrefix(first, " ") || strings.HasPrefix(first, "vnet ") || strings.Contains(first, ":=") {
			p.block(strings.Trim(part, "\n"))
		} else {
			p.line(".PP\n%s", roff(part))
		}
	}
}

// manCommands generates vnet(8).
func manCommands(*testing.T) string {
	p := newManPage("vnet", "8", "virtual networks, made with netlink and nftables only")
	p.line(".SH SYNOPSIS")
	p.block("vnet [OPTIONS] OBJECT { COMMAND | help }\nvnet [-force] -batch FILE")
	p.line(".SH OPTIONS\nOptions are before the object and can be abbreviated.")
	for _, o := range words.OptionTable {
		p.term("-"+o.Name, o.Value, o.Usage)
	}
	p.line(".SH OBJECTS")
	for _, o := range objects() {
		p.line(".SS %s: %s", o.name, roff(o.usage))
		p.help(o.help)
		if o.lab != nil {
			for _, f := range o.lab.flags {
				name, usage, _ := strings.Cut(f.String(), "\t")
				p.term(name, "", usage)
			}
		}
	}
	p.line(".SH EXIT STATUS\n%s", roff(strings.TrimSpace(exitCodes)))
	p.line(".SH CAPABILITIES\n%s", roff(strings.TrimSpace(strings.TrimPrefix(capabilityHelp, "Capabilities: "))))
	p.line(".SH FILES")
	p.term("vnet.yaml", "", "The default of FILE: the lab file in the current folder; see vnet(5).")
	p.term("/etc/vnet/LAB.yaml", "", "Labs that the packages start at boot: systemctl enable vnet@LAB.")
	p.term("/run/netns/NAME", "", "A network namespace with a name, as for ip-netns(8).")
	p.term("/etc/netns/NAME/", "", "Files that replace those of /etc in the namespace NAME.")
	p.line(".SH SEE ALSO\n%s", roff("vnet(5), vnet-nat(8), ip(8), nft(8), network_namespaces(7)"))
	return p.text()
}

// manNAT generates vnet-nat(8).
func manNAT(*testing.T) string {
	p := newManPage("vnet-nat", "8", natObject().usage)
	syntax, rest, _ := strings.Cut(strings.TrimSpace(natHelp), "\n\n")
	text, examples, _ := strings.Cut(rest, "\n\n")
	p.line(".SH SYNOPSIS")
	p.block(syntax)
	p.line(".SH DESCRIPTION\n%s", roff(text))
	p.line(".SH EXAMPLES")
	p.block(examples)
	p.line(".SH FROM IPTABLES")
	for _, l := range cheatsheet {
		if strings.HasPrefix(l.vnet, "vnet nat") {
			p.line("To %s, instead of", roff(l.what))
			p.block("   " + l.byHand)
			p.line(".PP\ntype")
			p.block("   " + l.vnet)
			p.line(".PP")
		}
	}
	p.line(".SH EXIT STATUS\n%s", roff(strings.TrimSpace(exitCodes)))
	p.line(".SH SEE ALSO\n%s", roff("vnet(8), vnet(5), nft(8)"))
	return p.text()
}

// labExample is the example of vnet(5).
const labExample = "../../examples/web.yaml"

// manLabFile generates vnet(5) from the reference of the lab file, which is generated from the file types.
func manLabFile(t *testing.T) string {
	t.Helper()
	reference, err := os.ReadFile("../../topo/lab/LAB.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(labExample)
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(reference), "check the file.\n")
	if !found {
		t.Fatal("LAB.md begins with other words")
	}
	text = strings.Replace(text, "The directory examples/", "/usr/share/doc/vnet/examples", 1)
	p := newManPage("vnet", "5", "the lab file: networks, hosts and links of a lab")
	p.line(".SH DESCRIPTION\nA lab file is YAML. vnet schema prints a JSON Schema, with which editors complete and " +
		"check it.")
	p.markdown(text)
	p.line(".SH EXAMPLE")
	p.block(strings.TrimSpace(string(example)))
	p.line(".SH SEE ALSO\n%s", roff("vnet(8), vnet-nat(8)"))
	return p.text()
}

// tableRow is a row of a table with two columns.
var tableRow = regexp.MustCompile("^\\| `?([^|]*?)`? \\| (.*) \\|$")

// markdown adds the Markdown of the reference: headings, paragraphs and tables of two columns.
func (p *manPage) markdown(text string) {
	text = strings.ReplaceAll(text, `\|`, "|")
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		heading, isHeading := strings.CutPrefix(line, "## ")
		row := tableRow.FindStringSubmatch(line)
		switch {
		case isHeading:
			p.line(".SH %s", roff(strings.ToUpper(strings.ReplaceAll(heading, "`", ""))))
		case row != nil && row[1] != "key":
			p.term(row[1], "", strings.ReplaceAll(row[2], "`", ""))
		case strings.HasPrefix(line, "|"): // the head of a table
		case line == "":
			p.line(".PP")
		default:
			p.line("%s", roff(strings.ReplaceAll(line, "`", "")))
		}
	}
}

// roffSpecial are the characters that roff shows as others, or does not know.
var roffSpecial = strings.NewReplacer(`\`, `\e`, "-", `\-`, "'", `\(aq`, "`", `\(ga`, "^", `\(ha`, "~", `\(ti`,
	"…", `\[u2026]`)

// roff escapes text for roff.
func roff(text string) string {
	lines := strings.Split(roffSpecial.Replace(text), "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") {
			lines[i] = `\&` + l
		}
	}
	return strings.Join(lines, "\n")
}
