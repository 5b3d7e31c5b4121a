package lab

import (
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/golden"
)

// TestReference compares LAB.md, the reference of the lab file, with the file types and their
// comments. The schema is made from the same source.
func TestReference(t *testing.T) {
	golden.File(t, "LAB.md", makeReference(t))
}

const referenceIntro = `# The lab file

This page is generated from topo/lab/file.go, like lab.schema.json, with which editors complete and check the file.
Every key is optional. Where a list is expected, a single value may stand alone. Unknown and repeated keys are mistakes.
JSON is valid YAML; anchors, aliases and merge keys work, and keys that begin with x- are ignored: anchors can stand
there. The directory examples/ has labs to start from.

In a repeated entry, (n) stands for its number: ` +
	"`repeat: 3`" + ` with ` + "`leaf(n)`" + ` creates leaf1, leaf2 and leaf3; (n+1) and (n-1) work too.

Facts under ` + "`expect`" + ` have the form FROM -> TO [PROBE]: [not] [OUTCOME].

| | |
|---|---|
| FROM, TO | a host, a pattern of hosts such as h*, machine; TO may be an address, or a name for dns |
| PROBE | ping (default), tcp PORT, udp PORT, dns [ADDRESS]; with 4 or 6 appended, one family only; ` +
	`ping size BYTES: one packet of that size, which is not fragmented |
| OUTCOME | answered (default), refused, unreachable, as ADDRESS (answered, with this source address) |

A link with IPv4 addresses and without IPv6 settings in the file gets no link-local address and sends no router
solicitations. Programs that need a link-local address (OSPFv3, router advertisements) get one from an address such as
fe80::1/64, or from any IPv6 setting of the link, such as net.ipv6.conf.eth0.addr_gen_mode: 0. A link with IPv6
addresses in the file also has a link-local address, at once, and sends no router solicitations. The veth end that is a
bridge port has no IPv6 at all (disable_ipv6), unless the file has an address or a setting for it.
`

func makeReference(t *testing.T) []byte {
	t.Helper()
	comments := fileComments(t)
	var b strings.Builder
	b.WriteString(referenceIntro)
	for _, v := range []struct {
		title string
		value any
	}{
		{"The file", fileLab{}}, {"`defaults`", fileDefaults{}}, {"A network", fileNetwork{}}, {"A host", fileHost{}},
		{"A host on a network", fileAttachment{}}, {"`dns` of a host", fileDNS{}}, {"`router` of a host", fileRouter{}},
		{"A device of a host", fileDevice{}}, {"A link", fileLink{}}, {"`impair`", fileImpair{}},
	} {
		typ := reflect.TypeOf(v.value)
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| key | |\n|---|---|\n", v.title, comments[typ.Name()])
		for i := range typ.NumField() {
			if key := typ.Field(i).Tag.Get("yaml"); key != "-" {
				text := comments[typ.Name()+"."+typ.Field(i).Name]
				fmt.Fprintf(&b, "| `%s` | %s |\n", key, strings.ReplaceAll(text, "|", `\|`))
			}
		}
	}
	return []byte(b.String())
}
