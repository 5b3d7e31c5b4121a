package naming

import "slices"

// Modes are the modes of a kind of link: names of ip-link(8) and numbers of <linux/if_link.h>.
type Modes []struct {
	Name   string
	Number uint64
}

// The modes of macvlan (MACVLAN_MODE_*) and ipvlan (IPVLAN_MODE_*). The first is the lab file's default.
var (
	MacvlanModes = Modes{{"bridge", 4}, {"private", 1}, {"vepa", 2}, {"passthru", 8}, {"source", 16}}
	IpvlanModes  = Modes{{"l2", 0}, {"l3", 1}, {"l3s", 2}}
)

// Number returns the number of a mode; false means that there is no mode of this name.
func (m Modes) Number(name string) (uint64, bool) {
	for _, mode := range m {
		if mode.Name == name {
			return mode.Number, true
		}
	}
	return 0, false
}

// Name returns the name of a mode, "" if there is no mode of this number.
func (m Modes) Name(number uint64) string {
	for _, mode := range m {
		if mode.Number == number {
			return mode.Name
		}
	}
	return ""
}

// Names returns the names of the modes except those in omit.
func (m Modes) Names(omit ...string) []string {
	var names []string
	for _, mode := range m {
		if !slices.Contains(omit, mode.Name) {
			names = append(names, mode.Name)
		}
	}
	return names
}
