package show

import (
	"github.com/vnet-lab/vnet/internal/naming"
	"github.com/vnet-lab/vnet/rtnl"
)

func macvlanOption(m *members, name string, n uint64, options rtnl.Options) {
	switch name {
	case "mode":
		m.add(name, naming.MacvlanModes.Name(n), name+" %s ")
	case "flags":
		if n&1 != 0 {
			m.put("nopromisc", true, "nopromisc ")
		}
		if n&2 != 0 {
			m.put("nodst", true, "nodst ")
		}
	case "macaddr_count":
		if mode, _ := options["mode"].(uint64); naming.MacvlanModes.Name(mode) == "source" {
			m.add(name, n, "remotes (%d) ")
		}
	case "macaddr_data":
		list, _ := options[name].([]rtnl.LLAddr)
		texts, text := make([]string, len(list)), ""
		for i, a := range list {
			texts[i] = a.String()
			text += texts[i] + " "
		}
		m.put(name, texts, text)
	default:
		m.add(name, n, name+" %d ")
	}
}

func ipvlanOption(m *members, name string, n uint64) {
	mode, flag := naming.IpvlanModes.Name(n), naming.IpvlanFlags.Name(n)
	switch {
	case name == "mode" && mode != "":
		m.put(name, mode, " mode "+mode+" ")
	case name == "flags" && flag != "":
		m.put(flag, true, flag+" ")
	}
}
