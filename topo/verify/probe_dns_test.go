package verify

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo/lab"
)

func TestInHosts(t *testing.T) {
	const text = "127.0.0.1 localhost\n# 10.0.0.9 web\n10.0.0.1\tweb.test web # the server\n" +
		"fd00::1 Web\nnonsense web\n10.0.0.2\n"
	for name, want := range map[string]string{
		"web": "[10.0.0.1 fd00::1]", "web.test.": "[10.0.0.1]", "the": "[]", "localhost": "[127.0.0.1]", "": "[]",
	} {
		if got := searchHosts(text, name); fmt.Sprint(got) != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

func TestFullNames(t *testing.T) {
	search := []string{"a.test", "b.test."}
	for name, want := range map[string][]string{
		"web":       {"web.a.test.", "web.b.test.", "web."},
		"web.a":     {"web.a.", "web.a.a.test.", "web.a.b.test."},
		"web.test.": {"web.test."},
	} {
		if got := fullNames(name, search); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	if got := fullNames("web", []string{"."}); !slices.Equal(got, []string{"web.", "web."}) {
		t.Errorf("search domain .: %v", got)
	}
}

// The query is what another implementation of the RFC parses it as.
func TestDNSQuestion(t *testing.T) {
	var m dnsmessage.Message
	if err := m.Unpack(dnsQuestion(7, "web.office.test.", dnsAAAA)); err != nil {
		t.Fatal(err)
	}
	if m.ID != 7 || m.Response || !m.RecursionDesired || len(m.Questions) != 1 {
		t.Fatalf("%+v", m)
	}
	if q := m.Questions[0]; q.Name.String() != "web.office.test." || q.Type != dnsmessage.TypeAAAA {
		t.Errorf("%+v", m)
	}
}

// A truncated answer yields no address and does no harm.
func TestDNSAnswerCut(t *testing.T) {
	name := dnsmessage.MustNewName("web.office.test.")
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: 7},
		Questions: []dnsmessage.Question{{Name: name, Type: dnsmessage.TypeA, Class: dnsmessage.ClassINET}},
	}
	answer(&m)
	text, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	if found, ok := dnsAddrs(text, 7, dnsA); !ok || fmt.Sprint(found) != "[10.0.9.80]" {
		t.Errorf("%v, %v", found, ok)
	}
	if _, ok := dnsAddrs(text, 8, dnsA); ok {
		t.Error("an answer with another id is accepted")
	}
	for n := range text {
		if found, _ := dnsAddrs(text[:n], 7, dnsA); len(found) > 0 {
			t.Errorf("the first %d of %d bytes: %v", n, len(text), found)
		}
	}
}

// TestDNS resolves names from the hosts file, names from a name server of the lab, and unknown
// names.
func TestDNS(t *testing.T) {
	unix.Mkdir("/run/etc-netns", 0o755)
	topology, p := upWithProber(t, `
name: dns
networks:
  lan: {subnets: [10.0.9.0/24]}
hosts:
  pc: {networks: [lan], dns: {servers: [10.0.9.53], search: [office.test]}}
  ns: {networks: {lan: {address: 10.0.9.53}}}
  lost: {networks: [lan], dns: {servers: [10.0.9.77, 10.0.9.53]}}
  alone: {networks: [lan], dns: {servers: [192.0.2.1]}}
expect:
  - pc -> ns: dns 10.0.9.53
  - pc -> web: dns 10.0.9.80
  - pc -> web.office.test: dns fd00::80
  - pc -> web: not dns 10.0.9.81
  - pc -> nobody.test: dns unreachable
  - lost -> web.office.test: dns
  - lost -> web: dns unreachable
  - alone -> web: dns unreachable
  - pc -> silent: dns unreachable
`)
	nameServer(t, topology)
	p.timeout = 2 * time.Second
	const web = "10.0.9.80, fd00::80"
	want := []string{"10.0.9.53", web, web, "resolves to " + web,
		"no such name", web, "no such name", "name server 192.0.2.1: no answer",
		"name server 10.0.9.53: no answer"}
	var r Report
	var got []string
	for tries := 0; tries < 3 && !slices.Equal(got, want); tries++ { // a busy machine loses packets
		r, got = p.verify(t.Context(), topology, lab.Facts(topology)), nil
		for _, x := range r.Results {
			got = append(got, x.Answer.Detail)
		}
	}
	for _, x := range r.Results {
		if outcome, remark := x.outcome(); !x.OK {
			t.Errorf("%s: %s, %s", x.title(), outcome, remark)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// nameServer runs a name server in the host ns that has one name, and does not answer for another.
func nameServer(t *testing.T, lab lab.Topology) {
	t.Helper()
	ns, err := openHost(&lab)("ns")
	if err != nil {
		t.Fatal(err)
	}
	defer ns.Close()
	var conn *net.UDPConn
	err = nsfs.Do(ns, func() (err error) {
		conn, err = net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(10, 0, 9, 53), Port: 53})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		buf := make([]byte, 512)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(buf[:n]) != nil {
				continue
			}
			if m.Questions[0].Name.String() == "silent.office.test." {
				continue
			}
			answer(&m)
			if text, err := m.Pack(); err == nil {
				conn.WriteToUDPAddrPort(text, from)
			}
		}
	}()
}

func answer(m *dnsmessage.Message) {
	m.Response = true
	q := m.Questions[0]
	if q.Name.String() != "web.office.test." {
		m.RCode = dnsmessage.RCodeNameError
		return
	}
	h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
	if q.Type == dnsmessage.TypeA {
		m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AResource{A: [4]byte{10, 0, 9, 80}}}}
	} else {
		aaaa := netip.MustParseAddr("fd00::80").As16()
		m.Answers = []dnsmessage.Resource{{Header: h, Body: &dnsmessage.AAAAResource{AAAA: aaaa}}}
	}
}
