package naming

// Modes are the modes of a kind of link: names of ip-link(8) and numbers of <linux/if_link.h>.
type Modes []struct {
	Name   string
	Number uint64
}

// The modes of macvlan (MACVLAN_MODE_*) and ipvlan (IPVLAN_MODE_*), with the lab file's default first,
// and what ip-link(8) calls the mode flags of ipvlan (IPVLAN_F_*).
var (
	MacvlanModes = Modes{{"bridge", 4}, {"private", 1}, {"vepa", 2}, {"passthru", 8}, {"source", 16}}
	// LabMacvlanModes are those that a lab can use: source needs a list of addresses, too.
	LabMacvlanModes = MacvlanModes[:4]
	IpvlanModes     = Modes{{"l2", 0}, {"l3", 1}, {"l3s", 2}}
	IpvlanFlags     = Modes{{"bridge", 0}, {"private", 1}, {"vepa", 2}}
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

// Names returns the names of the modes.
func (m Modes) Names() []string {
	names := make([]string, 0, len(m))
	for _, mode := range m {
		names = append(names, mode.Name)
	}
	return names
}
