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

// Error is a request that was refused, in general by the kernel.
//
// It answers errors.Is(err, fs.ErrNotExist), fs.ErrExist and fs.ErrPermission
// for every errno that means it, and errors.Is with the errno itself.
type Error struct {
	// Op is what was asked for: add, set, replace, delete, show …
	Op string
	// Object is what it was asked of, as ip(8) would write it: "link veth-red".
	Object string
	// Index is the request's place among those given to [Conn.Do].
	Index int
	// Message is the kernel's own explanation (its extended acknowledgement);
	// empty if it gave none.
	Message string
	// Attr is the attribute the kernel objects to, by its name in the kernel's
	// header: "IFLA_MTU"; empty if it did not say.
	Attr string
	// Err is the reason: a unix.Errno if the kernel refused.
	Err error
}

// Error says it in one line: add link veth-red: file exists.
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

// Unwrap returns the reason.
func (e *Error) Unwrap() error { return e.Err }

// Is maps the many errnos that rtnetlink has for one meaning.
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

// NoIPv6 is the message of an [Error] where nobody in the kernel answers for IPv6:
// it was built without, or started with ipv6.disable=1.
const NoIPv6 = "this kernel has no IPv6"

// newError makes the library's error for the request m ours.
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
	if e.Message == "" && lacksIPv6(m, errno) {
		e.Message = NoIPv6
	}
	return e
}

// lacksIPv6 tells whether a refusal means that nobody in the kernel answers for
// IPv6: of addresses, routes and neighbours, whose messages begin with the family,
// or of a link's own settings for it.
func lacksIPv6(m netlink.Message, errno unix.Errno) bool {
	if m.Header.Type >= unix.RTM_NEWLINK && m.Header.Type < unix.RTM_NEWADDR {
		return errno == unix.EAFNOSUPPORT
	}
	return (errno == unix.EOPNOTSUPP || errno == unix.EAFNOSUPPORT) && len(m.Data) > 0 && m.Data[0] == unix.AF_INET6
}

// nlaTypeMask takes the flags off an attribute's type; NLA_TYPE_MASK of
// <linux/netlink.h>.
const nlaTypeMask = 0x3fff

// family returns the length of the fixed header of a kind of request, in bytes,
// and the names of the attributes behind it; see <linux/rtnetlink.h>.
func family(typ netlink.HeaderType) (headerLen int, attrNames map[uint16]string) {
	switch {
	case typ >= unix.RTM_NEWLINK && typ <= unix.RTM_SETLINK:
		return unix.SizeofIfInfomsg, linkAttrs
	case typ >= unix.RTM_NEWADDR && typ <= unix.RTM_GETADDR:
		return unix.SizeofIfAddrmsg, addrAttrs
	case typ >= unix.RTM_NEWROUTE && typ <= unix.RTM_GETROUTE:
		return unix.SizeofRtMsg, routeAttrs
	case typ >= unix.RTM_NEWNEIGH && typ <= unix.RTM_GETNEIGH:
		return unix.SizeofNdMsg, neighAttrs
	}
	return 0, nil
}

// attrAt names the outermost attribute at an offset that counts from the start
// of the netlink header, as NLMSGERR_ATTR_OFFS does; 0 is none.
func attrAt(m netlink.Message, offset int) string {
	headerLen, names := family(m.Header.Type)
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
