package mark

import (
	"maps"
	"testing"
)

// TestRecords: the text of each mark and record. Labs that run have them in the kernel: another
// version of vnet must write the same.
func TestRecords(t *testing.T) {
	for _, tt := range []struct{ got, want string }{
		{Of("x"), "vnet:x"},
		{FileMark("x"), "# vnet:x\n"},
		{Adopted("x", "red", "/run/a b%"), "vnet:x:netns=red@%2Frun%2Fa%20b%25"},
		{AdoptedID("x", 4026531840, "red"), "vnet:x:takes=4026531840@red"},
		{Sysctl("x", "net.ipv4.conf.eth0/1.rp_filter"), "vnet:x:net.ipv4.conf.eth0%2F1.rp_filter="},
		{Route("x", "10.0.0.0/8 7"), "vnet:x:route=10.0.0.0%2F8%207"},
		{Address("x", "fd00::1/64", "eth0"), "vnet:x:addr=fd00::1%2F64@eth0"},
		{Rule("x", "100 from 10.0.0.0/8"), "vnet:x:rule=100%20from%2010.0.0.0%2F8"},
		{Forwards("x", "ipv4"), "vnet:x:forwards4="},
		{Forwards("x", "ipv6"), "vnet:x:forwards6="},
		{Proxy("x", "fd00::9", "eth0"), "vnet:x:proxy=fd00::9@eth0"},
		{Offload("x", "eth0"), "vnet:x:offload=eth0"},
		{Port("x"), "vnet:x:port="},
		{RunShell, `sh -c "$VNET_RUN" && exec sleep infinity`},
	} {
		if tt.got != tt.want {
			t.Errorf("%q, want %q", tt.got, tt.want)
		}
	}
}

func TestEscaper(t *testing.T) {
	for _, text := range []string{"", "a", "/", " ", "%", "%2F", "%25", "/run/x y%20"} {
		if got := Unescaper.Replace(Escaper.Replace(text)); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

// TestAdoptedHosts: only records of this lab count, and only with a number.
func TestAdoptedHosts(t *testing.T) {
	names := []string{
		AdoptedID("x", 7, "red"), AdoptedID("x", 8, "blue"), AdoptedID("y", 9, "green"), "vnet:x:takes=z@red", "7@red", "",
	}
	if got := AdoptedHosts(names, "x"); !maps.Equal(got, map[uint64]string{7: "red", 8: "blue"}) {
		t.Errorf("%v", got)
	}
}

func TestFind(t *testing.T) {
	names := []string{"eth0", Port("x") + "br0@eth0", Port("x") + "br1@eth0"}
	if name, value := Find(names, Port("x")); name != names[1] || value != "br0@eth0" {
		t.Errorf("%q, %q", name, value)
	}
	if name, value := Find(names, Port("y")); name != "" || value != "" {
		t.Errorf("%q, %q", name, value)
	}
}

// TestForeign: the record of another lab counts, not the lab's own, and not a name without mark.
func TestForeign(t *testing.T) {
	const setting = "net.ipv4.ip_forward"
	for _, tt := range []struct {
		record, want string
		found        bool
	}{
		{Sysctl("y", setting) + "0", "0", true}, {Sysctl("y", setting), "", true}, {Sysctl("x", setting) + "0", "", false},
		{Sysctl("y", "net.ipv4.x") + "0", "", false}, {"y:" + setting + "=0", "", false}, {"vnet:y", "", false},
		{"", "", false},
	} {
		if got, found := Foreign([]string{"eth0", tt.record}, "x", setting); got != tt.want || found != tt.found {
			t.Errorf("Foreign(%q) = %q, %t, want %q, %t", tt.record, got, found, tt.want, tt.found)
		}
	}
}

func TestTable(t *testing.T) {
	if got := Table("x"); got != "vnet_x" {
		t.Errorf("got %s", got)
	}
}

func TestForwards(t *testing.T) {
	if v4, v6 := Forwards("x", "ipv4"), Forwards("x", "ipv6"); v4 != "vnet:x:forwards4=" || v6 != "vnet:x:forwards6=" {
		t.Errorf("%s, %s", v4, v6)
	}
}

// TestOwner: only the record itself counts, not one that begins or ends differently.
func TestOwner(t *testing.T) {
	names := []string{"eth0", Route("x", "10.0.0.0/8 70"), Route("y", "10.0.0.0/8 7"), Rule("z", "10.0.0.0/8 7")}
	for record, want := range map[string]string{
		Route("", "10.0.0.0/8 7"): "y", Route("", "10.0.0.0/8 70"): "x", Route("", "10.0.0.0/8"): "", Rule("", "7"): "",
		Rule("", "10.0.0.0/8 7"): "z",
	} {
		if got := Owner(names, record); got != want {
			t.Errorf("%s is of %q, want %q", record, got, want)
		}
	}
}

// TestRecordOwner: each record of a lab has an owner; other names have none.
func TestRecordOwner(t *testing.T) {
	for _, record := range []string{
		Adopted("x", "red", "/run/a"), AdoptedID("x", 7, "red"), Sysctl("x", "net.ipv4.ip_forward") + "0", Route("x", "a"),
		Rule("x", "a"), Forwards("x", "ipv4") + "eth0", Forwards("x", "ipv6") + "eth0", Of("x") + ForcesKey + "eth0",
		Of("x") + RedirectsKey + "all", Of("x") + AcceptRAKey + "eth0", Address("x", "fd00::1/64", "eth0"),
		Proxy("x", "fd00::9", "eth0"), Offload("x", "eth0"), Port("x") + "br0@eth0",
	} {
		if got := RecordOwner(record); got != "x" {
			t.Errorf("%s is of %q", record, got)
		}
	}
	for _, name := range []string{"", "eth0", "vnet:x", "vnet:x:route", "vnet:x:other=1", "net:x:route=1", "x:route=1"} {
		if got := RecordOwner(name); got != "" {
			t.Errorf("%s is of %q", name, got)
		}
	}
}
