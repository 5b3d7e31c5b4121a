package rtnl

import (
	"os"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestPeersAcrossNamespaces: cables lead into three namespaces, and all far ends
// have one index and one name. Index and namespace id together tell each from
// the others, from either end.
func TestPeersAcrossNamespaces(t *testing.T) {
	home := make([]*os.File, 4) // the machine's own, and three more
	conn := make([]*Conn, 4)
	for i := range home {
		ns, err := nsfs.New()
		if err != nil {
			t.Fatal(err)
		}
		defer ns.Close()
		c, err := Dial(ns)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		home[i], conn[i] = ns, c
	}
	machine := conn[0]
	for i, far := range home[1:] {
		name := "to" + string(rune('1'+i))
		err := machine.Do(AddLink(LinkConfig{Name: name, Index: uint32(20 + i), Kind: Kind{
			Name: "veth", Peer: &LinkConfig{Name: "eth0", Index: 7, NS: far},
		}}))
		if err != nil {
			t.Fatal(err)
		}
	}
	ids := map[int32]int{} // of the namespaces, here
	for i, far := range home[1:] {
		id, err := machine.NSID(far)
		if err != nil || id == NoNSID {
			t.Fatalf("a cable gives its far end's namespace an id; here it is %d, %v", id, err)
		}
		ids[id] = i + 1
	}
	for i := range home[1:] {
		near, err := machine.Link(LinkID{Index: uint32(20 + i)})
		if err != nil {
			t.Fatal(err)
		}
		if near.Parent != 7 || near.ParentNSID == nil || ids[*near.ParentNSID] != i+1 {
			t.Errorf("%s leads to %d in %v, want 7 in that of id %v", near.Name, near.Parent, near.ParentNSID, ids)
		}
		end, err := conn[i+1].Link(LinkID{Name: "eth0"})
		if err != nil {
			t.Fatal(err)
		}
		back, err := conn[i+1].NSID(home[0])
		if err != nil || end.Parent != near.Index || end.ParentNSID == nil || *end.ParentNSID != back {
			t.Errorf("%s's far end leads to %d in %v, want %d in %d, %v", near.Name, end.Parent, end.ParentNSID, near.Index, back, err)
		}
	}
	// A cable at home has no id: its other end is not elsewhere.
	if err := machine.Do(AddLink(LinkConfig{Name: "a", Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "b"}}})); err != nil {
		t.Fatal(err)
	}
	if a, err := machine.Link(LinkID{Name: "a"}); err != nil || a.ParentNSID != nil {
		t.Errorf("a cable at home leads to namespace %v, %v", a.ParentNSID, err)
	}
}
