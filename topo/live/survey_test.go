package live

import (
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/topo"
)

// TestSurvey reads a lab back from the machine without its marks, together with foreign links.
// Links that labs cannot describe are listed.
func TestSurvey(t *testing.T) {
	for _, name := range []string{
		"cheatsheet.yaml", "cable.yaml", "ring.yaml", "web.yaml", "double-nat.yaml", "leaf-spine.yaml",
	} {
		t.Run(name, func(t *testing.T) {
			lab, want := example(t, name)
			k := openKernel(t, lab)
			if _, err := k.Up(t.Context(), want, nil); err != nil {
				t.Fatal(err)
			}
			labtest.IP(t, "link add loose type veth peer name end")
			labtest.IP(t, "link add mirror type ifb")
			t.Cleanup(func() { labtest.IP(t, "link del loose"); labtest.IP(t, "link del mirror") })
			got, unknown, err := Survey()
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(unknown, []string{"link mirror type ifb"}) {
				t.Errorf("unknown: %q", unknown)
			}
			for _, o := range want.Objects() {
				switch o := o.(type) {
				case topo.File, topo.Process:
				case topo.Sysctl:
					if o.Name == linux.ForwardingIPv4 && got[o.Key()] != o {
						t.Errorf("missing %s", o)
					}
				default:
					if got[o.Key()] != o {
						t.Errorf("missing %s\ngot %v", o, got[o.Key()])
					}
				}
				delete(got, o.Key())
			}
			for _, o := range got {
				if _, forwards := o.(topo.Sysctl); !forwards && !strings.Contains(o.String(), "loose") {
					t.Errorf("unexpected %s", o)
				}
			}
		})
	}
}

// TestSurveyNFT reads NAT rules that nft(8) or vnet nat made. Rules that a lab cannot describe are
// listed.
func TestSurveyNFT(t *testing.T) {
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft on this machine")
	}
	shell(t, `nft -f - <<'.'
table ip nat {
	chain pre { type nat hook prerouting priority dstnat; tcp dport 8080 dnat to 192.168.15.2:80; }
	chain post {
		type nat hook postrouting priority srcnat
		ip saddr 192.168.15.0/24 masquerade
		oifname "eth9" masquerade
	}
	chain front { type filter hook forward priority 0; ip saddr 192.168.15.9 drop; }
}
.`)
	t.Cleanup(func() { shell(t, "nft delete table ip nat; nft delete table inet vnet") })
	conn, err := nft.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	byHand := []nft.Rule{nft.Masquerade{Out: "eth8"}, nft.Masquerade{Source: netip.MustParsePrefix("192.168.14.0/24")}}
	if err := conn.Apply(NATTable, nil, byHand); err != nil {
		t.Fatal(err)
	}
	shell(t, "nft add element inet vnet masquerade4_24 '{ 10.9.0.5-10.9.0.9 }'")
	got, unknown, err := Survey()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(unknown, []string{
		"element masquerade4_24 { 10.9.0.5-10.9.0.9 }", "nftables chain ip nat front",
		`oifname "eth8" masquerade`, `oifname "eth9" masquerade`,
	}) {
		t.Errorf("unknown: %q", unknown)
	}
	var rules []string
	for _, o := range got.Objects() {
		if o.Key().Kind == topo.OfNAT {
			rules = append(rules, o.String())
		}
	}
	want := []string{
		"nat dnat -p tcp --dport 8080 --to-destination 192.168.15.2:80",
		"nat masquerade -s 192.168.14.0/24", "nat masquerade -s 192.168.15.0/24",
	}
	if !slices.Equal(rules, want) {
		t.Errorf("rules %q", rules)
	}
}
