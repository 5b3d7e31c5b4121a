package topo

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// LAB.md is the reference of the lab file, made of the file types and their
// comments as the schema is.
func TestReferenceIsOfTheFileTypes(t *testing.T) {
	golden(t, "LAB.md", makeReference(t))
}

const referenceIntro = `# The lab file

What is written here is made of topo/file.go, and so is lab.schema.json, by which editors complete and check the file.
Every key may be left out. Where a list is wanted, one value may stand alone. Unknown and repeated keys are mistakes;
JSON is YAML too; anchors, aliases and merge keys work. examples/ has labs to begin with.

The number in a repeated entry is written (n): ` + "`repeat: 3`" + ` with ` + "`leaf(n)`" + ` makes leaf1, leaf2, leaf3; (n+1) and (n-1) work too.

Facts under ` + "`expect`" + ` read FROM -> TO [PROBE]: [not] [OUTCOME].

| | |
|---|---|
| FROM, TO | a host, a pattern of hosts such as h*, machine; TO may be an address, or a name for dns |
| PROBE | ping (if left out), tcp PORT, udp PORT, dns [ADDRESS]; with 4 or 6 appended one family only; ping size BYTES, unfragmented |
| OUTCOME | answered (if left out), refused, unreachable, as ADDRESS: answered, and the other side sees this source address |

A link of which the file says nothing of IPv6, but gives it IPv4 addresses, is quiet: it has no link-local address, and asks for no router.
Programs that need one (OSPFv3, router advertisements) get it by an address such as fe80::1/64, or by any setting of the link's, such as
net.ipv6.conf.eth0.addr_gen_mode: 0. One that is made with an address of IPv6 has a link-local one besides, at once, and asks for no router.
The end of a host's cable that is in a switch speaks no IPv6 at all (disable_ipv6), unless the file has an address or a setting for it.
`

func makeReference(t *testing.T) []byte {
	t.Helper()
	comments := fileComments(t)
	var b strings.Builder
	b.WriteString(referenceIntro)
	for _, v := range []struct {
		title string
		of    any
	}{
		{"The file", fileLab{}}, {"`defaults`", fileDefaults{}}, {"A network", fileNetwork{}}, {"A host", fileHost{}},
		{"A host on a network", fileAttachment{}}, {"`dns` of a host", fileDNS{}}, {"`router` of a host", fileRouter{}},
		{"A device of a host", fileDevice{}}, {"A link", fileLink{}}, {"`impair`", fileImpair{}},
	} {
		typ := reflect.TypeOf(v.of)
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
