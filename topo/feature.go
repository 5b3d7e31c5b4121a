package topo

// A needsFeature object may need an optional feature of the kernel. Without the method, a link needs
// its type of link, and another object needs none.
type needsFeature interface{ feature() string }

// A needsIPv6 object may need a kernel with IPv6; without the method, it does not.
type needsIPv6 interface{ needsIPv6() bool }

// Feature returns the optional feature of the kernel that an object needs: "vlan", "netem" …;
// "" means none.
func Feature(o Object) string {
	switch o := o.(type) {
	case needsFeature:
		return o.feature()
	case LinkObject:
		return o.Type()
	}
	return ""
}

// NeedsIPv6 reports whether an object needs a kernel with IPv6.
func NeedsIPv6(o Object) bool {
	v6, ok := o.(needsIPv6)
	return ok && v6.needsIPv6()
}
