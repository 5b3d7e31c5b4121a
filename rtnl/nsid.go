package rtnl

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// From <linux/net_namespace.h>.
const (
	netnsaNSID        = 1
	netnsaPID         = 2
	netnsaFD          = 3
	netnsaTargetNSID  = 4
	netnsaCurrentNSID = 5
)

// NoNSID (NETNSA_NSID_NOT_ASSIGNED) means that a namespace has no id. In a call of
// [SetNSID] it lets the kernel choose the id.
const NoNSID = -1

// sizeofRtgenmsg is the size of struct rtgenmsg with padding.
const sizeofRtgenmsg = 4

var errMalformedNSID = errors.New("malformed namespace id message")

// NSID is the id that one namespace has in another.
type NSID struct {
	ID int32
	// Current is the id of the same namespace in the socket's namespace; [NoNSID] if
	// it has none. Only [Conn.NSIDsOf] reports it.
	Current int32
}

// SetNSID gives a namespace an id in the socket's namespace. The id stays while both
// namespaces exist. If the namespace has an id, the error is fs.ErrExist.
func SetNSID(ns *os.File, id int32) Request {
	ae := netlink.NewAttributeEncoder()
	ae.Int32(netnsaNSID, id)
	ae.Uint32(netnsaFD, uint32(ns.Fd()))
	attrs, err := ae.Encode()
	return Request{
		op: "set", object: fmt.Sprintf("id %d of namespace %s", id, ns.Name()), err: err,
		msg: netlink.Message{
			Header: netlink.Header{Type: unix.RTM_NEWNSID},
			Data:   append(make([]byte, sizeofRtgenmsg), attrs...),
		},
	}
}

// NSID returns the id of a namespace in the socket's namespace; [NoNSID] if it has none.
func (c *Conn) NSID(ns *os.File) (int32, error) {
	ae := netlink.NewAttributeEncoder()
	ae.Uint32(netnsaFD, uint32(ns.Fd()))
	attrs, err := ae.Encode()
	if err != nil {
		return NoNSID, err
	}
	object := "id of namespace " + ns.Name()
	answer, err := c.get("get", object, unix.RTM_GETNSID, append(make([]byte, sizeofRtgenmsg), attrs...))
	if err != nil {
		return NoNSID, err
	}
	id, err := decodeNSID(answer)
	if err != nil {
		return NoNSID, &Error{Op: "get", Object: object, Err: err}
	}
	return id.ID, nil
}

// NSIDs returns the ids of namespaces in the socket's namespace. The kernel frees the
// id of a namespace when it destroys the namespace, some time after the last reference
// to it is gone.
func (c *Conn) NSIDs() ([]NSID, error) { return c.nsids(nil) }

// NSIDsOf returns the ids of namespaces in the namespace with the id target.
func (c *Conn) NSIDsOf(target int32) ([]NSID, error) {
	ae := netlink.NewAttributeEncoder()
	ae.Int32(netnsaTargetNSID, target)
	attrs, err := ae.Encode()
	if err != nil {
		return nil, err
	}
	return c.nsids(attrs)
}

func (c *Conn) nsids(attrs []byte) ([]NSID, error) {
	var ids []NSID
	body := append(make([]byte, sizeofRtgenmsg), attrs...)
	err := c.list("namespace ids", unix.RTM_GETNSID, body, func() { ids = nil }, func(b []byte) error {
		one, err := decodeNSID(b)
		ids = append(ids, one)
		return err
	})
	return ids, err
}

func decodeNSID(b []byte) (NSID, error) {
	if len(b) < sizeofRtgenmsg {
		return NSID{}, errMalformedNSID
	}
	id := NSID{ID: NoNSID, Current: NoNSID}
	nested(b[sizeofRtgenmsg:], func(typ uint16, value []byte) {
		switch {
		case len(value) != 4:
		case typ == netnsaNSID:
			id.ID = int32(binary.NativeEndian.Uint32(value))
		case typ == netnsaCurrentNSID:
			id.Current = int32(binary.NativeEndian.Uint32(value))
		}
	})
	return id, nil
}
