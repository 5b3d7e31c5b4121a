package rtnl

import (
	"errors"
	"io/fs"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// TestErrorIs: the errnos of rtnetlink for each error of package fs.
func TestErrorIs(t *testing.T) {
	all := []error{fs.ErrNotExist, fs.ErrExist, fs.ErrPermission}
	for _, tt := range []struct {
		errno unix.Errno
		is    error
	}{
		{unix.ENOENT, fs.ErrNotExist},        // a routing table
		{unix.ENODEV, fs.ErrNotExist},        // a link
		{unix.ESRCH, fs.ErrNotExist},         // a route, a process
		{unix.EADDRNOTAVAIL, fs.ErrNotExist}, // an address
		{unix.ENXIO, fs.ErrNotExist},         // a neighbour
		{unix.EEXIST, fs.ErrExist},
		{unix.EPERM, fs.ErrPermission},
		{unix.EACCES, fs.ErrPermission},
		{unix.EINVAL, nil}, {unix.EBUSY, nil}, {unix.ENETUNREACH, nil},
	} {
		err := error(&Error{Op: "add", Object: "link v0", Err: tt.errno})
		for _, target := range all {
			if errors.Is(err, target) != (target == tt.is) {
				t.Errorf("%v is %v: %v", tt.errno, target, target != tt.is)
			}
		}
		if !errors.Is(err, tt.errno) {
			t.Errorf("errors.Is of %v and itself is false", tt.errno)
		}
	}
	if errors.Is(&Error{Err: errNoDestination}, fs.ErrNotExist) {
		t.Error("an encoding error is fs.ErrNotExist")
	}
}

// TestErrorText: operation, object, message of the kernel, and attribute.
func TestErrorText(t *testing.T) {
	for _, tt := range []struct {
		err  Error
		want string
	}{
		{Error{Op: "add", Object: "link v0", Err: unix.EEXIST}, "add link v0: file exists"},
		{Error{Op: "show", Err: unix.EINVAL}, "show: invalid argument"},
		{Error{Op: "set", Object: "link v0", Err: unix.EINVAL, Message: "mtu too small.", Attr: "IFLA_MTU"},
			"set link v0: mtu too small (invalid argument), in IFLA_MTU"},
		{Error{Op: "set", Object: "link v0", Err: unix.EINVAL, Attr: "IFLA_MTU"},
			"set link v0: invalid argument, in IFLA_MTU"},
	} {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("%s\nwant %s", got, tt.want)
		}
	}
}

// TestAttrAt: attrAt finds the attribute at an offset in the message.
func TestAttrAt(t *testing.T) {
	set := SetLink(LinkID{Index: 7}, LinkConfig{MTU: 1, Alias: ptr("x"),
		Kind: Kind{Name: "bridge", Options: Options{"stp_state": uint64(1)}}}).msg
	for _, tt := range []struct {
		what    string
		message netlink.Message
		attr    string // the offset is relative to this attribute
		offset  int
		want    string
	}{
		{"a number", set, "IFLA_MTU", 0, "IFLA_MTU"},
		{"inside a nested attribute", set, "IFLA_LINKINFO", 20, "IFLA_LINKINFO"},
		{"before the attributes", set, "", unix.NLMSG_HDRLEN, ""},
		{"no offset", set, "", 0, ""},
		{"after the message", set, "", 4000, ""},
		{"an address", AddAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24")}).msg, "IFA_LOCAL", 0, "IFA_LOCAL"},
		{"a route", AddRoute(Route{Dst: pfx("10.0.0.0/8"), Gateway: ipa("10.0.0.1")}).msg, "RTA_GATEWAY", 4, "RTA_GATEWAY"},
		{"a neighbour", AddNeigh(Neigh{Link: 7, Addr: ipa("10.0.0.1"), LLAddr: "123456"}).msg, "NDA_LLADDR", 0, "NDA_LLADDR"},
		{"another type of message", DeleteQdisc(7).msg, "", 30, ""},
		{"an empty message", netlink.Message{Header: netlink.Header{Type: unix.RTM_NEWLINK}}, "", 40, ""},
	} {
		if got := attrAt(tt.message, offsetOf(t, tt.message, tt.attr)+tt.offset); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.what, got, tt.want)
		}
	}
}

// offsetOf returns the offset of an attribute from the start of the message; zero for "".
func offsetOf(t *testing.T, m netlink.Message, attr string) int {
	t.Helper()
	if attr == "" {
		return 0
	}
	head, names := requestLayout(m.Header.Type)
	attrs, err := netlink.UnmarshalAttributes(m.Data[head:])
	if err != nil {
		t.Fatal(err)
	}
	at := unix.NLMSG_HDRLEN + head
	for _, a := range attrs {
		if names[a.Type&nlaTypeMask] == attr {
			return at
		}
		at += (int(a.Length) + 3) &^ 3
	}
	t.Fatalf("no %s in the message", attr)
	return 0
}

func FuzzAttrAt(f *testing.F) {
	m := AddRoute(Route{Dst: pfx("10.0.0.0/8"), Gateway: ipa("10.0.0.1")}).msg
	f.Add(uint16(m.Header.Type), m.Data, 40)
	f.Add(uint16(unix.RTM_NEWLINK), make([]byte, 17), 33)
	f.Fuzz(func(_ *testing.T, typ uint16, body []byte, offset int) {
		attrAt(netlink.Message{Header: netlink.Header{Type: netlink.HeaderType(typ)}, Data: body}, offset)
	})
}

// TestErrorsLive: errors of the kernel, with its message if there is one.
func TestErrorsLive(t *testing.T) {
	c := newVethConn(t)
	v0 := LinkID{Index: 7}
	for _, tt := range []struct {
		request Request
		is      error
		want    string
	}{
		{AddLink(LinkConfig{Name: "x", Kind: Kind{Name: "no-such"}}), unix.EOPNOTSUPP,
			"add link x type no-such: Unknown device type (operation not supported)"},
		{AddLink(LinkConfig{Name: "x", Index: 7, Kind: Kind{Name: "bridge"}}), fs.ErrExist,
			"add link x type bridge: file exists"},
		{AddLink(LinkConfig{Name: "x", Parent: 99, Kind: Kind{Name: "macvlan"}}), fs.ErrNotExist,
			"add link x type macvlan: no such device"},
		{SetLink(v0, LinkConfig{MTU: 1 << 20}), unix.EINVAL,
			"set link if7: mtu greater than device maximum (invalid argument)"},
		{SetLink(v0, LinkConfig{Master: ptr(uint32(8))}), unix.EOPNOTSUPP, "set link if7: operation not supported"},
		{SetLink(v0, LinkConfig{Address: "\x01\x00\x00\x00\x00\x01"}), unix.EADDRNOTAVAIL,
			"set link if7: cannot assign requested address"},
		{DeleteLink(LinkID{Name: "lo"}), unix.EOPNOTSUPP, "delete link lo: operation not supported"},
		{DeleteLinkGroup(77), fs.ErrNotExist, "delete links of group 77: no such device"},
		{AddAddr(Addr{Link: 99, Prefix: pfx("10.0.0.1/24")}), fs.ErrNotExist,
			"add address 10.0.0.1/24 dev if99: ipv4: Device not found (no such device)"},
		{DeleteAddr(Addr{Link: 7, Prefix: pfx("10.0.0.1/24")}), fs.ErrNotExist,
			"delete address 10.0.0.1/24 dev if7: ipv4: Address not found (cannot assign requested address)"},
		{DeleteAddr(Addr{Link: 7, Prefix: pfx("fd00::1/64")}), fs.ErrNotExist,
			"delete address fd00::1/64 dev if7: ipv6: address not found (cannot assign requested address)"},
		{ChangeNeigh(Neigh{Link: 7, Addr: ipa("10.0.0.9")}), fs.ErrNotExist, ""},
		{DeleteNeigh(Neigh{Link: 7, Addr: ipa("10.0.0.9")}), fs.ErrNotExist,
			"delete neighbour 10.0.0.9 dev if7: no such file or directory"},
		{AddNeigh(Neigh{Link: 7, Addr: ipa("10.0.0.9"), LLAddr: "\x02"}), unix.EINVAL,
			"add neighbour 10.0.0.9 dev if7: Invalid link address (invalid argument)"},
		{DeleteAltNames(v0, "none"), fs.ErrNotExist, ""},
		{AddAltNames(v0, "v1"), fs.ErrExist, ""},
		{DeletePortVLAN(PortVLAN{Link: 7, ID: 5}), unix.EOPNOTSUPP, ""},
	} {
		err := c.Do(tt.request)
		if !errors.Is(err, tt.is) {
			t.Errorf("%v: %v is not %v", tt.request, err, tt.is)
		}
		var e *Error // older kernels have fewer messages
		if errors.As(err, &e) && e.Message != "" && tt.want != "" && e.Error() != tt.want {
			t.Errorf("error\n\t%v\nwant\n\t%s", err, tt.want)
		}
	}
}

// TestNoIPv6: the errnos that mean that the kernel has no IPv6 depend on the request. A message of the kernel is kept.
func TestNoIPv6(t *testing.T) {
	four, six := []byte{unix.AF_INET}, []byte{unix.AF_INET6}
	for _, tt := range []struct {
		typ     netlink.HeaderType
		body    []byte
		errno   unix.Errno
		message string
		want    string
	}{
		{unix.RTM_NEWLINK, four, unix.EAFNOSUPPORT, "", NoIPv6}, {unix.RTM_SETLINK, nil, unix.EAFNOSUPPORT, "", NoIPv6},
		{unix.RTM_NEWLINK, six, unix.EOPNOTSUPP, "", ""}, {unix.RTM_NEWLINK - 1, six, unix.EOPNOTSUPP, "", NoIPv6},
		{unix.RTM_NEWADDR, six, unix.EOPNOTSUPP, "", NoIPv6}, {unix.RTM_NEWADDR, six, unix.EAFNOSUPPORT, "", NoIPv6},
		{unix.RTM_NEWADDR, four, unix.EAFNOSUPPORT, "", ""}, {unix.RTM_NEWADDR, nil, unix.EOPNOTSUPP, "", ""},
		{unix.RTM_NEWROUTE, six, unix.EINVAL, "", ""}, {unix.RTM_NEWROUTE, six, unix.EOPNOTSUPP, "why", "why"},
	} {
		m := netlink.Message{Header: netlink.Header{Type: tt.typ}, Data: tt.body}
		e := newError("add", "x", m, &netlink.OpError{Op: "receive", Err: tt.errno, Message: tt.message})
		if e.Message != tt.want || e.Err != tt.errno {
			t.Errorf("type %d, %v, %v: %q, %v; want %q", tt.typ, tt.body, tt.errno, e.Message, e.Err, tt.want)
		}
	}
	if e := newError("add", "x", netlink.Message{}, fs.ErrClosed); e.Err != fs.ErrClosed || e.Message != "" {
		t.Errorf("another error becomes %#v", e)
	}
}

// TestRequestLayout: the first and the last type of message with each header.
func TestRequestLayout(t *testing.T) {
	for typ, want := range map[netlink.HeaderType]int{
		unix.RTM_NEWLINK - 1: 0, unix.RTM_NEWLINK: unix.SizeofIfInfomsg, unix.RTM_SETLINK: unix.SizeofIfInfomsg,
		unix.RTM_NEWADDR: unix.SizeofIfAddrmsg, unix.RTM_GETADDR: unix.SizeofIfAddrmsg, unix.RTM_GETADDR + 1: 0,
		unix.RTM_NEWROUTE: unix.SizeofRtMsg, unix.RTM_GETROUTE: unix.SizeofRtMsg, unix.RTM_GETROUTE + 1: 0,
		unix.RTM_NEWNEIGH: unix.SizeofNdMsg, unix.RTM_GETNEIGH: unix.SizeofNdMsg, unix.RTM_GETNEIGH + 1: 0,
		unix.RTM_NEWRULE: sizeofRuleHdr, unix.RTM_GETRULE: sizeofRuleHdr, unix.RTM_GETRULE + 1: 0,
	} {
		if got, names := requestLayout(typ); got != want || (names != nil) != (want != 0 && typ < unix.RTM_NEWRULE) {
			t.Errorf("type %d: %d bytes, want %d", typ, got, want)
		}
	}
	last := netlink.Message{Header: netlink.Header{Type: unix.RTM_NEWLINK},
		Data: append(make([]byte, unix.SizeofIfInfomsg), attrOf(unix.IFLA_MTU)...)}
	if got := attrAt(last, unix.NLMSG_HDRLEN+unix.SizeofIfInfomsg); got != "IFLA_MTU" {
		t.Errorf("the attribute without a value at the end is %q", got)
	}
	last.Data = append(last.Data, attrOf(unix.IFLA_GROUP)...)
	if got := attrAt(last, unix.NLMSG_HDRLEN+unix.SizeofIfInfomsg+unix.SizeofNlAttr); got != "IFLA_GROUP" {
		t.Errorf("the attribute after it is %q", got)
	}
}
