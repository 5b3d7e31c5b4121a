package show

import (
	"fmt"
	"io"
	"strconv"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/names"
	"github.com/vnet-lab/vnet/internal/iprule"
	"github.com/vnet-lab/vnet/rtnl"
)

// Rules prints a list of rules.
func Rules(w io.Writer, rules []rtnl.Rule, s Style) error {
	all := make([]members, len(rules))
	for i, r := range rules {
		rule := iprule.Rule(r)
		for _, item := range rule.Items(s.ruleName, s.Details > 0) {
			color := color(0)
			switch item.Name {
			case "iif", "oif":
				color = colorName
			case "src", "dst":
				color = colorInet
				if r.Is6 {
					color = colorInet6
				}
				if item.Value == "all" {
					color = 0
				}
			}
			all[i].put(item.Name, item.Value, item.Before+s.paint(color, item.Text))
		}
	}
	return s.list(w, all)
}

// ruleName returns the name of a number in a rule.
func (s Style) ruleName(attr uint16, n uint64) string {
	number := strconv.FormatUint(n, 10)
	table := names.RouteTables
	switch attr {
	case iprule.Action:
		return s.routeType(uint8(n))
	case iprule.Protocol:
		table = names.RouteProtocols
	case iprule.SuppressGroup:
		table = names.Groups
	case iprule.Realms:
		table = names.Realms
	case iprule.IPProto:
		table, number = names.IPProtocols, "ipproto-"+number
	case iprule.TOS:
		table, number = names.DSFields, fmt.Sprintf("0x%02x", n)
	case iprule.DSCP:
		table, n = names.DSFields, n<<2
	}
	if name, ok := table.Name(uint32(n)); ok && !s.Numeric {
		return name
	}
	return number
}
