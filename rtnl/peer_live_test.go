package rtnl

import (
	"os"
	"testing"

	"github.com/vnet-lab/vnet/nsfs"
)

// TestPeersAcrossNamespaces: three veth pairs lead to three namespaces. The peers have the
// same index and name. The index and the namespace id together identify each peer, from
// both ends.
func TestPeersAcrossNamespaces(t *testing.T) {
	namespaces := make([]*os.File, 4) // one for the near ends, and three for the peers
	conn := make([]*Conn, 4)
	for i := range namespaces {
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
		namespaces[i], conn[i] = ns, c
	}
	machine := conn[0]
	for i, far := range namespaces[1:] {
		name := "to" + string(rune('1'+i))
		err := machine.Do(AddLink(LinkConfig{Name: name, Index: uint32(20 + i), Kind: Kind{
			Name: "veth", Peer: &LinkConfig{Name: "eth0", Index: 7, NS: far},
		}}))
		if err != nil {
			t.Fatal(err)
		}
	}
	ids := map[int32]int{} // index in namespaces by id
	for i, far := range namespaces[1:] {
		id, err := machine.NSID(far)
		if err != nil || id == NoNSID {
			t.Fatalf("the namespace of a peer has id %d, %v, want an id", id, err)
		}
		ids[id] = i + 1
	}
	for i := range namespaces[1:] {
		near, err := machine.Link(LinkID{Index: uint32(20 + i)})
		if err != nil {
			t.Fatal(err)
		}
		if near.Parent != 7 || near.ParentNSID == nil || ids[*near.ParentNSID] != i+1 {
			t.Errorf("%s: peer %d in namespace %v, want 7 in one of %v", near.Name, near.Parent, near.ParentNSID, ids)
		}
		end, err := conn[i+1].Link(LinkID{Name: "eth0"})
		if err != nil {
			t.Fatal(err)
		}
		back, err := conn[i+1].NSID(namespaces[0])
		if err != nil || end.Parent != near.Index || end.ParentNSID == nil || *end.ParentNSID != back {
			t.Errorf("the peer of %s: peer %d in namespace %v, want %d in %d, %v", near.Name, end.Parent, end.ParentNSID,
				near.Index, back, err)
		}
	}
	// If both ends are in the same namespace, the kernel reports no id.
	if err := machine.Do(AddLink(LinkConfig{Name: "a",
		Kind: Kind{Name: "veth", Peer: &LinkConfig{Name: "b"}}})); err != nil {
		t.Fatal(err)
	}
	if a, err := machine.Link(LinkID{Name: "a"}); err != nil || a.ParentNSID != nil {
		t.Errorf("the peer in the same namespace has namespace id %v, %v", a.ParentNSID, err)
	}
}
