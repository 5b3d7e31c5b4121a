// Package convert converts objects of package topo to values of rtnl and nft, and back. It does not call the kernel.
//
//	topo.Bridge, topo.Veth …       LinkKinds      rtnl.LinkConfig ─▶ kernel ─▶ rtnl.Link
//	topo.Masquerade …              Rule, Object   nft.Rule
//
// Both directions of a conversion are in one place: package execute uses one, and the snapshots of package live use
// the other.
package convert
