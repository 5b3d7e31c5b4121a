package words

import (
	"strings"
	"testing"
)

func TestHabit(t *testing.T) {
	for _, c := range []struct{ typed, meant string }{
		{"default gw 10.0.0.1", "route add default via 10.0.0.1"},
		{"add default gw 10.0.0.1", "route add default via 10.0.0.1"},
		{"route add default gw fd00::1", "route add default via fd00::1"},
		{"route add default gw 10.0.0.1 eth0", "route add default via 10.0.0.1 dev eth0"},
		{"route add default gw 10.0.0.1 dev eth0", "route add default via 10.0.0.1 dev eth0"},
		{"route add -net 10.0.0.0/8 gw 10.0.0.1", "route add 10.0.0.0/8 via 10.0.0.1"},
		{"route del -host 10.0.0.9 gw 10.0.0.1", "route del 10.0.0.9 via 10.0.0.1"},
		{"route gw", ""},
		{"ip neigh show", "neigh show"},
		{"ip", ""},
		{"route add default gw", ""},
		{"addr add 10.0.0.1/8 eth0", "addr add 10.0.0.1/8 dev eth0"},
		{"a del fd00::1/64 eth0", "a del fd00::1/64 dev eth0"},
		{"addr add 10.0.0.1/8 10.0.0.2", ""},
		{"addr add eth0 eth1", ""},
		{"link add br0 bridge", "link add br0 type bridge"},
		{"link add v0 veth peer name v1", "link add v0 type veth peer name v1"},
		{"link add link eth0 name eth0.5 vlan id 5", "link add link eth0 name eth0.5 type vlan id 5"},
		{"link add bridge", ""},
		{"link add br0 type bridge foo", ""},
		{"link eth0 up", "link set eth0 up"},
		{"link up eth0", "link set eth0 up"},
		{"link down eth0", "link set eth0 down"},
		{"l eth0 mtu 1400", "l set eth0 mtu 1400"},
		{"link set eth0 foo", ""},
		{"link foo bar", ""},
		{"link create br0 type bridge", "link add br0 type bridge"},
		{"netns remove red", "netns del red"},
		{"netns red exec ip addr", "netns exec red ip addr"},
		{"netns exec", ""},
		{"nat add -s 10.0.0.0/8", "nat add masquerade -s 10.0.0.0/8"},
		{"nat del --dport 80 --to-destination 10.0.0.1", "nat del dnat --dport 80 --to-destination 10.0.0.1"},
		{"nat add -s 10.0.0.0/8 --to-source 10.9.9.9", "nat add snat -s 10.0.0.0/8 --to-source 10.9.9.9"},
		{"nat show -s", ""},
		{"nat", ""},
		{"", ""},
	} {
		if got := strings.Join(Habit(strings.Fields(c.typed)), " "); got != c.meant {
			t.Errorf("%q: %q, want %q", c.typed, got, c.meant)
		}
	}
}
