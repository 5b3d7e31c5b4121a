package nft

import "slices"

// typeOf returns the expressions that a set's type depends on, in nft's syntax, and the set's user data, as nft writes
// it: lists of type, length and value. The types are those of nft's include/expression.h, include/fib.h and of
// libnftnl's udata.h. Most sets have a type with a name; then the user data are nil.
func (s set) typeOf() (text string, userData []byte) {
	const order, host, fib, oifname, saddr = 0, 1, 26, 2, 1
	switch {
	case slices.Contains(s.key, routeName):
		return routeName.name, slices.Concat(udataNumber(order, host), udata(3, udataNumber(0, fib),
			udata(1, udataNumber(0, oifname), udataNumber(1, saddr))))
	case slices.Contains(s.key, ndTarget):
		return "iifname . @th,64,128", typeOfTarget()
	}
	return "", nil
}

// typeOfTarget returns the user data of nd_target.
func typeOfTarget() []byte {
	const concat, meta, payload, iifname, transport = 13, 9, 7, 6, 3
	link := udata(0, udataNumber(0, meta), udata(1, udataNumber(0, iifname)))
	target := udata(1, udataNumber(0, payload), udata(1, udataNumber(0, 0), udataNumber(1, 0), udataNumber(2, transport),
		udataNumber(3, 64), udataNumber(4, 128)))
	return append(udataNumber(0, 0), udata(3, udataNumber(0, concat), udata(1, link, target))...)
}

// udata returns a value of user data.
func udata(kind byte, values ...[]byte) []byte {
	all := slices.Concat(values...)
	return append([]byte{kind, byte(len(all))}, all...)
}

func udataNumber(kind byte, v uint32) []byte { return udata(kind, native32(v)) }
