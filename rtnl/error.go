package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Error is the error of a request, usually from the kernel.
//
// errors.Is works with the errno itself, and with fs.ErrNotExist, fs.ErrExist and
// fs.ErrPermission for every errno that means the same.
type Error struct {
	// Op is the operation: add, set, replace, delete, show …
	Op string
	// Object is the object as ip(8) would write it: "link veth-red".
	Object string
	// Index is the index of the request among the arguments of [Conn.Do]; zero for
	// queries.
	Index int
	// Message is the kernel's message (NLMSGERR_ATTR_MSG of the extended
	// acknowledgement), or [NoIPv6]; empty if there is none.
	Message string
	// Attr is the attribute that the kernel refused, as in its header files:
	// "IFLA_MTU"; empty if unknown.
	Attr string
	// Err is the cause: a unix.Errno if the kernel refused the request.
	Err error
}

// Error returns one line: add link veth-red: file exists.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op)
	if e.Object != "" {
		b.WriteString(" " + e.Object)
	}
	b.WriteString(": ")
	if e.Message == "" {
		b.WriteString(e.Err.Error())
	} else {
		fmt.Fprintf(&b, "%s (%v)", strings.TrimSuffix(e.Message, "."), e.Err)
	}
	if e.Attr != "" {
		b.WriteString(", in " + e.Attr)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *Error) Unwrap() error { return e.Err }

// Is maps the errnos of rtnetlink to the errors of package fs.
func (e *Error) Is(target error) bool {
	var errno unix.Errno
	if !errors.As(e.Err, &errno) {
		return false
	}
	switch target {
	case fs.ErrNotExist:
		switch errno {
		case unix.ENOENT, unix.ENODEV, unix.ESRCH, unix.EADDRNOTAVAIL, unix.ENXIO:
			return true
		}
	case fs.ErrExist:
		return errno == unix.EEXIST
	case fs.ErrPermission:
		return errno == unix.EPERM || errno == unix.EACCES
	}
	return false
}

// NoIPv6 is the Message of an [Error] if the kernel has no IPv6: it was built without
// it, or booted with ipv6.disable=1.
const NoIPv6 = "this kernel has no IPv6"

// newError turns an error of package netlink for the request m into an [Error].
func newError(op, object string, m netlink.Message, err error) *Error {
	e := &Error{Op: op, Object: object, Err: err}
	var oe *netlink.OpError
	if !errors.As(err, &oe) {
		return e
	}
	e.Message, e.Attr = oe.Message, attrAt(m, oe.Offset)
	var errno unix.Errno
	if errors.As(err, &errno) {
		e.Err = errno
	}
	if e.Message == "" && meansNoIPv6(m, errno) {
		e.Message = NoIPv6
	}
	return e
}

// meansNoIPv6 reports whether the errno means that the kernel has no IPv6. The request
// is for an address, route, neighbour or rule, whose message begins with the family, or
// for the IPv6 settings of a link.
func meansNoIPv6(m netlink.Message, errno unix.Errno) bool {
	if m.Header.Type >= unix.RTM_NEWLINK && m.Header.Type < unix.RTM_NEWADDR {
		return errno == unix.EAFNOSUPPORT
	}
	return (errno == unix.EOPNOTSUPP || errno == unix.EAFNOSUPPORT) && len(m.Data) > 0 && m.Data[0] == unix.AF_INET6
}

// nlaTypeMask removes the flags from the type of an attribute; NLA_TYPE_MASK of
// <linux/netlink.h>.
const nlaTypeMask = 0x3fff

// requestLayout returns the length of the fixed header of a request, in bytes, and the
// names of the attributes after it (nil for rules); see <linux/rtnetlink.h>.
func requestLayout(typ netlink.HeaderType) (headerLen int, attrNames map[uint16]string) {
	switch {
	case typ >= unix.RTM_NEWLINK && typ <= unix.RTM_SETLINK:
		return unix.SizeofIfInfomsg, linkAttrs
	case typ >= unix.RTM_NEWADDR && typ <= unix.RTM_GETADDR:
		return unix.SizeofIfAddrmsg, addrAttrs
	case typ >= unix.RTM_NEWROUTE && typ <= unix.RTM_GETROUTE:
		return unix.SizeofRtMsg, routeAttrs
	case typ >= unix.RTM_NEWNEIGH && typ <= unix.RTM_GETNEIGH:
		return unix.SizeofNdMsg, neighAttrs
	case typ >= unix.RTM_NEWRULE && typ <= unix.RTM_GETRULE:
		return sizeofRuleHdr, nil
	}
	return 0, nil
}

// attrAt returns the name of the outermost attribute at an offset; "" if it is unknown.
// Like NLMSGERR_ATTR_OFFS, the offset is from the start of the netlink header; 0 means no
// attribute.
func attrAt(m netlink.Message, offset int) string {
	headerLen, names := requestLayout(m.Header.Type)
	at := unix.NLMSG_HDRLEN + headerLen
	if headerLen == 0 || offset < at || len(m.Data) < headerLen {
		return ""
	}
	for b := m.Data[headerLen:]; len(b) >= unix.SizeofNlAttr; {
		length := int(binary.NativeEndian.Uint16(b))
		aligned := (length + unix.NLA_ALIGNTO - 1) &^ (unix.NLA_ALIGNTO - 1)
		if offset < at+aligned {
			return names[binary.NativeEndian.Uint16(b[2:])&nlaTypeMask]
		}
		if length < unix.SizeofNlAttr || aligned > len(b) {
			return ""
		}
		b, at = b[aligned:], at+aligned
	}
	return ""
}
