//go:build linux

package nft

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/nft/internal/nfnetlink"
)

// Constants that x/sys/unix lacks; see <linux/netfilter/nf_tables.h>.
const (
	nftaSetExpr       = 0x11
	nftaSetDescConcat = 0x2
	nftaSetFieldLen   = 0x1
	nftSetConcat      = 0x80
	setElemCatchAll   = 0x2
	setElemComment    = 0 // NFTNL_UDATA_SET_ELEM_COMMENT of libnftnl's udata.h
	setKeyByteOrder   = 0 // NFTNL_UDATA_SET_KEYBYTEORDER of the same file
	hostByteOrder     = 1 // BYTEORDER_HOST_ENDIAN of nft's datatype.h
)

// elementsPerMessage is the maximum number of elements in one message: the length of an attribute is limited to 16
// bits.
const elementsPerMessage = 500

// reg1 is NFT_REG_1, the register of keys. reg32 is NFT_REG32_00, the same register in the numbering of 4-byte
// registers.
const (
	reg1  = unix.NFT_REG_1
	reg32 = unix.NFT_REG32_00
)

// A message is a message to the kernel, with the texts for its error.
type message struct {
	netlink.Message
	op, object string
	missing    string // the kernel option that the message needs
	parts      []part // the parts of a list that the kernel may refuse
}

// A part is an attribute in a message.
type part struct {
	offset  int // from the start of the netlink header, in bytes
	object  string
	missing string
}

// messages encodes a change, in the order of execution.
func (c *change) messages() ([]message, error) {
	e := encoder{table: c.table}
	if c.deleteTable {
		e.add(unix.NFT_MSG_DELTABLE, 0, "delete", "table "+c.table.String(),
			attrString(unix.NFTA_TABLE_NAME, c.table.name))
		return e.out, e.err
	}
	if c.createTable {
		e.add(unix.NFT_MSG_NEWTABLE, netlink.Create, "add", "table "+c.table.String(),
			attrString(unix.NFTA_TABLE_NAME, c.table.name))
		if c.table.family == protoInet { // a table of bridges needs nothing, but its chains do
			e.last().missing = "CONFIG_NF_TABLES_INET"
		}
	} else if c.rebuildChains {
		e.add(unix.NFT_MSG_DELRULE, 0, "flush", "table "+c.table.String(),
			attrString(unix.NFTA_RULE_TABLE, c.table.name))
	}
	for _, ch := range c.deleteChains { // older versions made fewer chains: a chain may be missing
		e.add(unix.NFT_MSG_NEWCHAIN, netlink.Create, "add", "chain "+c.table.String()+" "+ch.name,
			attrString(unix.NFTA_CHAIN_TABLE, c.table.name), attrString(unix.NFTA_CHAIN_NAME, ch.name))
		e.add(unix.NFT_MSG_DELCHAIN, 0, "delete", "chain "+c.table.String()+" "+ch.name,
			attrString(unix.NFTA_CHAIN_TABLE, c.table.name), attrString(unix.NFTA_CHAIN_NAME, ch.name))
	}
	e.elements(unix.NFT_MSG_DELSETELEM, 0, "delete", c.deleted)
	for _, s := range c.deleteSets {
		if s.flowtable {
			m := e.flowtableMessage(unix.NFT_MSG_DELFLOWTABLE, 0, s)
			m.op = "delete"
			e.out = append(e.out, m)
			continue
		}
		e.add(unix.NFT_MSG_DELSET, 0, "delete", s.keyword()+" "+c.table.String()+" "+s.name,
			attrString(unix.NFTA_SET_TABLE, c.table.name), attrString(unix.NFTA_SET_NAME, s.name))
	}
	for i, s := range c.createSets {
		if s.flowtable {
			e.flowtable(s)
			continue
		}
		e.set(s, uint32(i+1))
	}
	for _, ch := range c.createChains {
		e.chain(ch)
	}
	for _, ch := range c.createChains {
		for _, r := range ch.rules {
			e.rule(ch, r)
		}
	}
	e.elements(unix.NFT_MSG_NEWSETELEM, netlink.Create, "add", c.added)
	return e.out, e.err
}

// An encoder collects messages. It keeps the first error.
type encoder struct {
	table table
	out   []message
	err   error
}

func (e *encoder) last() *message { return &e.out[len(e.out)-1] }

func (e *encoder) add(kind int, flags netlink.HeaderFlags, op, object string, attrs ...[]byte) {
	e.out = append(e.out, message{Message: e.table.request(kind, flags, attrs...), op: op, object: object})
}

// request returns a message of nf_tables about the family inet.
func request(kind int, flags netlink.HeaderFlags, attrs ...[]byte) netlink.Message {
	return table{family: protoInet}.request(kind, flags, attrs...)
}

// request returns a message of nf_tables: struct nfgenmsg with the table's family, then attributes.
func (t table) request(kind int, flags netlink.HeaderFlags, attrs ...[]byte) netlink.Message {
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind),
			Flags: netlink.Request | flags},
		Data: append([]byte{t.family, unix.NFNETLINK_V0, 0, 0}, slices.Concat(attrs...)...),
	}
}

// list adds a message that ends with a list. If the kernel refuses a part of the list, it reports the part's offset.
func (e *encoder) list(m message, kind uint16, bodies [][]byte) {
	at := unix.NLMSG_HDRLEN + len(m.Data) + unix.SizeofNlAttr
	var all []byte
	for i, b := range bodies {
		m.parts[i].offset = at + len(all)
		all = append(all, b...)
	}
	m.Data = append(m.Data, nested(kind, all)...)
	e.out = append(e.out, m)
}

func (e *encoder) set(s set, id uint32) {
	flags := uint32(0)
	if s.data != nil {
		flags |= unix.NFT_SET_MAP
	}
	if s.dynamic {
		flags |= unix.NFT_SET_EVAL
	}
	var desc []byte
	if s.dynamic {
		desc = attr32(unix.NFTA_SET_DESC_SIZE, dynamicSize)
	}
	if s.interval {
		flags |= unix.NFT_SET_INTERVAL
	}
	if s.interval && len(s.key) > 1 {
		flags |= nftSetConcat
		var lengths []byte
		for _, f := range s.key {
			lengths = append(lengths, nested(unix.NFTA_LIST_ELEM, attr32(nftaSetFieldLen, uint32(f.size)))...)
		}
		desc = nested(nftaSetDescConcat, lengths)
	}
	attrs := [][]byte{
		attrString(unix.NFTA_SET_TABLE, e.table.name), attrString(unix.NFTA_SET_NAME, s.name),
		attr32(unix.NFTA_SET_FLAGS, flags), attr32(unix.NFTA_SET_ID, id),
		attr32(unix.NFTA_SET_KEY_TYPE, typeID(s.key)), attr32(unix.NFTA_SET_KEY_LEN, wireSize(s.key)),
	}
	if s.data != nil {
		attrs = append(attrs, attr32(unix.NFTA_SET_DATA_TYPE, typeID(s.data)),
			attr32(unix.NFTA_SET_DATA_LEN, wireSize(s.data)))
	}
	if desc != nil {
		attrs = append(attrs, nested(unix.NFTA_SET_DESC, desc))
	}
	if len(s.key) == 1 && s.key[0] == ifname { // without this, nft prints names backwards
		order := append([]byte{setKeyByteOrder, 4}, native32(hostByteOrder)...)
		attrs = append(attrs, attrBytes(unix.NFTA_SET_USERDATA, order))
	}
	if _, data := s.typeOf(); data != nil { // else nft cannot print or load the set
		attrs = append(attrs, attrBytes(unix.NFTA_SET_USERDATA, data))
	}
	if s.counter {
		attrs = append(attrs, nested(nftaSetExpr, attrString(unix.NFTA_EXPR_NAME, "counter")))
	}
	e.add(unix.NFT_MSG_NEWSET, netlink.Create, "add", s.keyword()+" "+e.table.String()+" "+s.name, attrs...)
	e.last().missing = "CONFIG_NF_TABLES"
}

// typeID returns nft's number of a list of types: six bits per type.
func typeID(fields []*field) uint32 {
	var id uint32
	for _, f := range fields {
		id = id<<6 | f.id
	}
	return id
}

// wireSize returns the length of an encoded value. A single field is not padded.
func wireSize(fields []*field) uint32 {
	if len(fields) == 1 {
		return uint32(fields[0].size)
	}
	return uint32(keySize(fields))
}

// hooks contains the numbers of the hooks, NF_INET_* of <linux/netfilter.h>.
var hooks = map[string]uint32{
	"prerouting":  unix.NF_INET_PRE_ROUTING,
	"input":       unix.NF_INET_LOCAL_IN,
	"forward":     unix.NF_INET_FORWARD,
	"output":      unix.NF_INET_LOCAL_OUT,
	"postrouting": unix.NF_INET_POST_ROUTING,
}

// policyAccept is NF_ACCEPT of <linux/netfilter.h>.
const policyAccept = 1

func (e *encoder) chain(c chain) {
	attrs := [][]byte{attrString(unix.NFTA_CHAIN_TABLE, e.table.name), attrString(unix.NFTA_CHAIN_NAME, c.name)}
	if c.hook != "" {
		hook := append(attr32(unix.NFTA_HOOK_HOOKNUM, hooks[c.hook]),
			attr32(unix.NFTA_HOOK_PRIORITY, uint32(c.priority))...)
		attrs = append(attrs, nested(unix.NFTA_CHAIN_HOOK, hook),
			attr32(unix.NFTA_CHAIN_POLICY, policyAccept), attrString(unix.NFTA_CHAIN_TYPE, c.kind))
	}
	e.add(unix.NFT_MSG_NEWCHAIN, netlink.Create, "add", "chain "+e.table.String()+" "+c.name, attrs...)
	switch {
	case c.kind == "nat":
		e.last().missing = "CONFIG_NFT_NAT"
	case c.hook != "" && e.table.family == protoBridge:
		e.last().missing = "CONFIG_NF_TABLES_BRIDGE"
	}
}

// optionOf returns the kernel option that an expression needs in addition to nf_tables.
func optionOf(x expr.Any) string {
	switch x.(type) {
	case *expr.NAT:
		return "CONFIG_NFT_NAT"
	case *expr.Masq:
		return "CONFIG_NFT_MASQ"
	case *expr.Fib:
		return "CONFIG_NFT_FIB_INET"
	case *expr.Ct:
		return "CONFIG_NFT_CT"
	case *expr.FlowOffload:
		return "CONFIG_NFT_FLOW_OFFLOAD"
	}
	return ""
}

func (e *encoder) rule(c chain, r rule) {
	m := message{op: "add", object: fmt.Sprintf("rule %s %s %s", e.table, c.name, r)}
	m.Message = e.table.request(unix.NFT_MSG_NEWRULE, netlink.Create|netlink.Append,
		attrString(unix.NFTA_RULE_TABLE, e.table.name), attrString(unix.NFTA_RULE_CHAIN, c.name))
	var bodies [][]byte
	for _, s := range r {
		for _, x := range s.exprs() {
			b, err := expr.Marshal(e.table.family, x)
			if err != nil && e.err == nil {
				e.err = &Error{Op: m.op, Object: m.object, Err: err}
			}
			bodies = append(bodies, nested(unix.NFTA_LIST_ELEM, b))
			m.parts = append(m.parts, part{object: m.object, missing: optionOf(x)})
		}
	}
	e.list(m, unix.NFTA_RULE_EXPRESSIONS, bodies)
}

// elements adds messages for elements, which must be sorted by set.
func (e *encoder) elements(kind int, flags netlink.HeaderFlags, op string, all []element) {
	for len(all) > 0 {
		n := 1
		for n < len(all) && n < elementsPerMessage && all[n].set == all[0].set {
			n++
		}
		s := setNamed(all[0].set)
		if s.flowtable { // devices are only added
			e.devices(s, all[:n])
			all = all[n:]
			continue
		}
		m := message{op: op, object: "elements of " + s.keyword() + " " + e.table.String() + " " + s.name}
		m.Message = e.table.request(kind, flags,
			attrString(unix.NFTA_SET_ELEM_LIST_TABLE, e.table.name), attrString(unix.NFTA_SET_ELEM_LIST_SET, s.name))
		var bodies [][]byte
		for _, el := range all[:n] {
			bodies = append(bodies, encodeElement(el, s))
			m.parts = append(m.parts, part{object: fmt.Sprintf("element %s %s { %s }", e.table, s.name,
				el.text(s))})
		}
		e.list(m, unix.NFTA_SET_ELEM_LIST_ELEMENTS, bodies)
		all = all[n:]
	}
}

// encodeElement encodes an element. In a set with one field, an interval is two elements: its first key, and the first
// key after it, if there is one.
func encodeElement(e element, s set) []byte {
	body := encodeKey(unix.NFTA_SET_ELEM_KEY, e.key, s.key)
	if s.interval && len(s.key) > 1 {
		body = append(body, encodeKey(nfnetlink.SetElemKeyEnd, e.end, s.key)...)
	}
	if e.data != "" {
		body = append(body, encodeKey(unix.NFTA_SET_ELEM_DATA, e.data, s.data)...)
	}
	if e.comment != "" {
		udata := append([]byte{setElemComment, byte(len(e.comment) + 1)}, e.comment+"\x00"...)
		body = append(body, attrBytes(unix.NFTA_SET_ELEM_USERDATA, udata)...)
	}
	out := nested(unix.NFTA_LIST_ELEM, body)
	if s.interval && len(s.key) == 1 {
		if next, ok := successor(e.end); ok {
			end := append(encodeKey(unix.NFTA_SET_ELEM_KEY, next, s.key),
				attr32(unix.NFTA_SET_ELEM_FLAGS, unix.NFT_SET_ELEM_INTERVAL_END)...)
			out = append(out, nested(unix.NFTA_LIST_ELEM, end)...)
		}
	}
	return out
}

func encodeKey(kind uint16, key string, fields []*field) []byte {
	return nested(kind, attrBytes(unix.NFTA_DATA_VALUE, []byte(key[:wireSize(fields)])))
}

// successor returns key+1. The highest key has no successor.
func successor(key string) (string, bool) {
	b := []byte(key)
	for i := len(b) - 1; i >= 0; i-- {
		if b[i]++; b[i] != 0 {
			return string(b), true
		}
	}
	return "", false
}

// Attributes of nf_tables. Numbers are in network byte order.

func attrBytes(kind uint16, value []byte) []byte {
	b := binary.NativeEndian.AppendUint16(nil, uint16(unix.SizeofNlAttr+len(value)))
	b = append(binary.NativeEndian.AppendUint16(b, kind), value...)
	for len(b)%unix.NLA_ALIGNTO != 0 {
		b = append(b, 0)
	}
	return b
}

func attrString(kind uint16, value string) []byte { return attrBytes(kind, []byte(value+"\x00")) }

func attr32(kind uint16, value uint32) []byte {
	return attrBytes(kind, binary.BigEndian.AppendUint32(nil, value))
}

func nested(kind uint16, attrs []byte) []byte { return attrBytes(kind|unix.NLA_F_NESTED, attrs) }
