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

// plannedMessages returns the messages that delete and add rules, and their objects.
func plannedMessages(t *testing.T, have content, del, add []Rule) (messages []message, objects []string) {
	t.Helper()
	c, err := planChange(table{protoInet, "vnet"}, have, del, add)
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

// contentOf returns the content of a table with these rules.
func contentOf(rules ...Rule) content {
	c := content{exists: true, elements: make(map[element]count)}
	for e := range elementsOf(rules) {
		c.elements[e] = count{}
	}
	c.sets = setNamesFor(elementsOf(rules))
	return c
}

// TestFlowtableEncoding compares with nft add flowtable inet vnet fastpath { hook ingress priority filter; }, the same
// with devices = { eth0, v-net-0 }, and delete flowtable inet vnet fastpath, as nft --debug=mnl prints them.
func TestFlowtableEncoding(t *testing.T) {
	messages, _ := plannedMessages(t, contentOf(Fastpath{Device: "old"}), []Rule{Fastpath{Device: "old"}},
		[]Rule{Fastpath{Device: "v-net-0"}, Fastpath{Device: "eth0"}})
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
			got = append(got, hex.EncodeToString(binary.BigEndian.AppendUint16(nil,
				uint16(m.Header.Type)))+hex.EncodeToString(m.Data))
		}
	}
	for i := range want {
		want[i] = nativeHeaders(want[i])
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// nativeHeaders converts attribute headers (groups of four digits) to host byte order. The content of attributes stays
// in network byte order.
func nativeHeaders(text string) string {
	var b strings.Builder
	for i, word := range strings.Fields(text) {
		if i > 0 && len(word) == 4 && binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
			word = word[2:] + word[:2]
		}
		b.WriteString(word)
	}
	return b.String()
}

// TestFlowtableRoundTrip checks that an encoded flowtable decodes to the same devices.
func TestFlowtableRoundTrip(t *testing.T) {
	e := encoder{table: table{protoInet, "vnet"}}
	rules := []Fastpath{{"eth0", false}, {"exactly15bytes.", false}, {"v-net-0", false}}
	var sent []element
	for _, r := range rules {
		sent = append(sent, r.elements()...)
	}
	e.devices(setNamed(flowtable), sent)
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

// TestFlowtableReplacement checks that the flowtable stays if a change only adds devices, and that otherwise the same
// transaction replaces it, so that offloaded connections do not continue to use deleted rules.
func TestFlowtableReplacement(t *testing.T) {
	a, b, c := Fastpath{Device: "a"}, Fastpath{Device: "b"}, Fastpath{Device: "c"}
	kept := Isolate{In: "a", Out: "x"}
	have := contentOf(a, b, kept)
	for _, tt := range []struct {
		what     string
		del, add []Rule
		want     bool
	}{
		{"device added", nil, []Rule{c}, false},
		{"existing device added", nil, []Rule{a}, false},
		{"device deleted", []Rule{b}, nil, true},
		{"device replaced", []Rule{b}, []Rule{c}, true},
		{"links isolated", nil, []Rule{Isolate{In: "a", Out: "b"}}, true},
		{"links no longer isolated", []Rule{kept}, nil, true},
		{"forward added", nil, []Rule{someRules()[5]}, true},
	} {
		_, objects := plannedMessages(t, have, tt.del, tt.add)
		deleted := slices.Index(objects, "delete flowtable inet vnet fastpath")
		if deleted >= 0 != tt.want || tt.want && slices.Index(objects, "add flowtable inet vnet fastpath") < deleted {
			t.Errorf("%s: %q", tt.what, objects)
		}
	}
	_, objects := plannedMessages(t, contentOf(a, b), []Rule{a, b}, nil)
	if diff := cmp.Diff([]string{"delete table inet vnet"}, objects); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestMaxFastpaths checks that Apply refuses more fast paths than the kernel can list.
func TestMaxFastpaths(t *testing.T) {
	var rules []Rule
	for i := range MaxFastpaths {
		rules = append(rules, Fastpath{Device: fmt.Sprint("port", i), Port: true})
	}
	plannedMessages(t, content{}, nil, rules)
	_, err := planChange(table{protoInet, "vnet"}, contentOf(rules...), nil, append(rules, Fastpath{Device: "eth0"}))
	want := `add iifname "eth0" flow add @fastpath: the table already has the maximum of 1500 fast paths`
	if err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// TestFlowtableRefusals checks that the error names a missing device, and that it differs from the error of a kernel
// without flowtables.
func TestFlowtableRefusals(t *testing.T) {
	messages, _ := plannedMessages(t, content{}, nil, []Rule{Fastpath{Device: "eth0"}, Fastpath{Device: "absent0"}})
	refused := func(object string, offset int) string {
		t.Helper()
		i := slices.IndexFunc(messages, func(m message) bool { return m.object == object })
		if i < 0 {
			t.Fatalf("no message for %q", object)
		}
		if offset < 0 { // offset of the device name
			offset = unix.NLMSG_HDRLEN + bytes.Index(messages[i].Data, []byte("absent0")) - unix.SizeofNlAttr
		}
		return messages[i].refusal(&netlink.OpError{Op: "receive", Err: unix.ENOENT, Offset: offset}).Error()
	}
	rule := `rule inet vnet fastpath iifname @fastpath_links oifname @fastpath_links flow add @fastpath`
	for _, tt := range []struct{ got, want string }{
		{refused("flowtable inet vnet fastpath", 0),
			"add flowtable inet vnet fastpath: the kernel lacks CONFIG_NF_FLOW_TABLE_INET (no such file or directory)"},
		{refused("devices of flowtable inet vnet fastpath", -1),
			"add device absent0 of flowtable inet vnet fastpath: no such file or directory"},
		{refused("devices of flowtable inet vnet fastpath", 0),
			"add devices of flowtable inet vnet fastpath: no such file or directory"},
		{refused(rule, 1<<16), "add " + rule +
			": the kernel lacks CONFIG_NFT_FLOW_OFFLOAD (no such file or directory)"},
	} {
		if tt.got != tt.want {
			t.Errorf("%s\nwant %s", tt.got, tt.want)
		}
	}
}

func FuzzDecodeFlowtable(f *testing.F) {
	e := encoder{table: table{protoInet, "vnet"}}
	e.devices(setNamed(flowtable), append(Fastpath{Device: "eth0"}.elements(),
		Fastpath{Device: "v-net-0"}.elements()...))
	f.Add(e.out[0].Data)
	f.Fuzz(func(t *testing.T, body []byte) {
		_, _, devices, err := decodeFlowtable(body)
		if err != nil {
			return
		}
		for _, d := range devices {
			if r := setNamed(flowtable).decodeRule(element{set: flowtable, key: encodeName(d)}); r.String() == "" {
				t.Errorf("%q: empty rule", d)
			}
		}
	})
}
