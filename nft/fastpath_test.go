//go:build linux

package nft

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// planned are the messages that make the rules of what is there, and their objects.
func planned(t *testing.T, have content, del, add []Rule) (messages []message, objects []string) {
	t.Helper()
	c, err := planChange("vnet", have, del, add)
	if err != nil {
		t.Fatal(err)
	}
	if messages, err = c.messages(); err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		objects = append(objects, m.op+" "+m.object)
	}
	return messages, objects
}

// contentOf is what a table of these rules holds.
func contentOf(rules ...Rule) content {
	c := content{exists: true, elements: make(map[element]count)}
	for e := range elementsOf(rules) {
		c.elements[e] = count{}
	}
	c.sets = shapeOf(elementsOf(rules))
	return c
}

// TestFlowtableOnTheWire: nft add flowtable inet vnet fastpath { hook ingress priority
// filter; }, the same with devices = { eth0, v-net-0 }, and delete flowtable inet vnet
// fastpath, as nft --debug=mnl shows them.
func TestFlowtableOnTheWire(t *testing.T) {
	messages, _ := planned(t, contentOf(Fastpath{Device: "old"}), []Rule{Fastpath{Device: "old"}}, []Rule{Fastpath{Device: "v-net-0"}, Fastpath{Device: "eth0"}})
	names := "01000000 0900 0100 766e657400000000 0d00 0200 666173747061746800000000"
	hook := "0800 0100 00000000 0800 0200 00000000"
	want := []string{
		"0a18 " + names,
		"0a16 " + names + " 1400 0380 " + hook,
		"0a16 " + names + " 3000 0380 " + hook + " 1c00 0380 0900 0100 6574683000000000 0c00 0100 762d6e65742d3000",
	}
	var got []string
	for _, m := range messages {
		if kind := byte(m.Header.Type); kind >= unix.NFT_MSG_NEWFLOWTABLE && kind <= unix.NFT_MSG_DELFLOWTABLE {
			got = append(got, hex.EncodeToString(binary.BigEndian.AppendUint16(nil, uint16(m.Header.Type)))+hex.EncodeToString(m.Data))
		}
	}
	for i := range want {
		want[i] = nativeHeads(want[i])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// nativeHeads turns the heads of attributes, groups of four digits, into the machine's
// order; all that is in them is in the network's.
func nativeHeads(text string) string {
	var b strings.Builder
	for i, word := range strings.Fields(text) {
		if i > 0 && len(word) == 4 && binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
			word = word[2:] + word[:2]
		}
		b.WriteString(word)
	}
	return b.String()
}

// TestFlowtableThereAndBack: what the kernel lists, which is what it was sent and more.
func TestFlowtableThereAndBack(t *testing.T) {
	e := encoder{table: "vnet"}
	rules := []Fastpath{{"eth0", false}, {"exactly15bytes.", false}, {"v-net-0", false}}
	var sent []element
	for _, r := range rules {
		sent = append(sent, r.elements()...)
	}
	e.devices(setsByName()[flowtable], sent)
	table, name, devices, err := decodeFlowtable(e.out[0].Data)
	if table != "vnet" || name != flowtable || err != nil {
		t.Errorf("%s %s, %v", table, name, err)
	}
	var got []Fastpath
	for _, d := range devices {
		got = append(got, Fastpath{Device: d})
	}
	if diff := cmp.Diff(rules, got); diff != "" {
		t.Errorf("-sent +got:\n%s", diff)
	}
}

// TestFlowtableRestarts: it stays where nothing else changes, and is replaced, in the
// same transaction, where fast connections might go by rules that are no more.
func TestFlowtableRestarts(t *testing.T) {
	a, b, c := Fastpath{Device: "a"}, Fastpath{Device: "b"}, Fastpath{Device: "c"}
	kept := Isolate{In: "a", Out: "x"}
	have := contentOf(a, b, kept)
	for _, tt := range []struct {
		what     string
		del, add []Rule
		want     bool
	}{
		{"a device more", nil, []Rule{c}, false},
		{"one that is there", nil, []Rule{a}, false},
		{"a device less", []Rule{b}, nil, true},
		{"another for it", []Rule{b}, []Rule{c}, true},
		{"links kept apart", nil, []Rule{Isolate{In: "a", Out: "b"}}, true},
		{"links no longer kept apart", []Rule{kept}, nil, true},
		{"a forward", nil, []Rule{someRules()[5]}, true},
	} {
		_, objects := planned(t, have, tt.del, tt.add)
		gone := slices.Index(objects, "delete flowtable inet vnet fastpath")
		if gone >= 0 != tt.want || tt.want && slices.Index(objects, "add flowtable inet vnet fastpath") < gone {
			t.Errorf("%s: %q", tt.what, objects)
		}
	}
	_, objects := planned(t, contentOf(a, b), []Rule{a, b}, nil)
	if diff := cmp.Diff([]string{"delete table inet vnet"}, objects); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestTooManyFastpaths: those that could not be read back are not made.
func TestTooManyFastpaths(t *testing.T) {
	var rules []Rule
	for i := range MaxFastpaths {
		rules = append(rules, Fastpath{Device: fmt.Sprint("port", i), Port: true})
	}
	planned(t, content{}, nil, rules)
	_, err := planChange("vnet", contentOf(rules...), nil, append(rules, Fastpath{Device: "eth0"}))
	if want := `add iifname "eth0" flow add @fastpath: there are 1500 already, and no more can be listed`; err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestFlowtableRefusals: a device that is not there is named; a kernel without
// flowtables is told from that.
func TestFlowtableRefusals(t *testing.T) {
	messages, _ := planned(t, content{}, nil, []Rule{Fastpath{Device: "eth0"}, Fastpath{Device: "absent0"}})
	refused := func(object string, offset int) string {
		t.Helper()
		i := slices.IndexFunc(messages, func(m message) bool { return m.object == object })
		if i < 0 {
			t.Fatalf("nothing is sent about %q", object)
		}
		if offset < 0 { // of the name
			offset = unix.NLMSG_HDRLEN + bytes.Index(messages[i].Data, []byte("absent0")) - unix.SizeofNlAttr
		}
		return messages[i].refusal(&netlink.OpError{Op: "receive", Err: unix.ENOENT, Offset: offset}).Error()
	}
	rule := `rule inet vnet fastpath iifname @fastpath_links oifname @fastpath_links flow add @fastpath`
	for _, tt := range []struct{ got, want string }{
		{refused("flowtable inet vnet fastpath", 0), "add flowtable inet vnet fastpath: the kernel lacks CONFIG_NF_FLOW_TABLE_INET (no such file or directory)"},
		{refused("devices of flowtable inet vnet fastpath", -1), "add device absent0 of flowtable inet vnet fastpath: no such file or directory"},
		{refused("devices of flowtable inet vnet fastpath", 0), "add devices of flowtable inet vnet fastpath: no such file or directory"},
		{refused(rule, 1<<16), "add " + rule + ": the kernel lacks CONFIG_NFT_FLOW_OFFLOAD (no such file or directory)"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s\nwant %s", tt.got, tt.want)
		}
	}
}

func FuzzDecodeFlowtable(f *testing.F) {
	e := encoder{table: "vnet"}
	e.devices(setsByName()[flowtable], append(Fastpath{Device: "eth0"}.elements(), Fastpath{Device: "v-net-0"}.elements()...))
	f.Add(e.out[0].Data)
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _, devices, err := decodeFlowtable(body)
		if err != nil {
			return
		}
		for _, d := range devices {
			if r := setsByName()[flowtable].ruleOf(element{set: flowtable, key: encodeName(d)}); r.String() == "" {
				t.Errorf("%q is nothing", d)
			}
		}
	})
}
