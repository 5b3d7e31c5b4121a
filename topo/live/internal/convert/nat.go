package convert

import (
	"fmt"

	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/topo"
)

// Rule returns an object as a rule of package nft; an error if the object is not of kind [topo.OfNAT].
func Rule(o topo.Object) (nft.Rule, error) {
	switch o := o.(type) {
	case topo.Masquerade:
		return nft.Masquerade{Source: o.Source, Out: o.Out}, nil
	case topo.SourceNAT:
		return nft.SourceNAT{Source: o.Source, Out: o.Out, To: o.To}, nil
	case topo.Isolation:
		return nft.Isolate{In: o.In, Out: o.Out}, nil
	case topo.OwnLink:
		return nft.Own{Link: o.Link}, nil
	case topo.ClosedLink:
		return nft.Closed{Link: o.Link}, nil
	case topo.AllowedSource:
		return nft.Allow{Link: o.Link, Source: o.Source}, nil
	case topo.SourceGate:
		return nft.Gate{Link: o.Link, MAC: nft.MAC(o.MAC)}, nil
	case topo.HairpinFilter:
		return nft.Hairpin{Port: o.Link}, nil
	case topo.AntispoofPort:
		return nft.Antispoof{Port: o.Link, Routes: o.Routes || o.Gateway, Gateway: o.Gateway}, nil
	case topo.PortAddress:
		return nft.PortAddress{Port: o.Link, MAC: nft.MAC(o.MAC), Addr: o.Addr}, nil
	case topo.Fastpath:
		return nft.Fastpath{Device: o.Link, Port: o.Port}, nil
	case topo.Forward:
		proto, err := nft.ParseProto(o.Proto)
		o = topo.Normalize(o).(topo.Forward)
		ports := nft.Ports{First: o.First, Last: o.Last}
		return nft.Forward{Proto: proto, Addr: o.Addr, In: o.In, Ports: ports, To: o.To, ToPort: o.ToPort}, err
	}
	return nil, fmt.Errorf("%T is not a NAT rule", o)
}

// Object returns a rule of package nft as an object of namespace ns; nil if package topo has no such object.
func Object(ns string, r nft.Rule) topo.Object {
	switch r := r.(type) {
	case nft.Masquerade:
		if r.Random {
			return nil // labs do not have it
		}
		return topo.Masquerade{NS: ns, Source: r.Source, Out: r.Out}
	case nft.SourceNAT:
		return topo.SourceNAT{NS: ns, Source: r.Source, Out: r.Out, To: r.To}
	case nft.Isolate:
		return topo.Isolation{NS: ns, In: r.In, Out: r.Out}
	case nft.Own:
		return topo.OwnLink{NS: ns, Link: r.Link}
	case nft.Closed:
		return topo.ClosedLink{NS: ns, Link: r.Link}
	case nft.Allow:
		return topo.AllowedSource{NS: ns, Link: r.Link, Source: r.Source}
	case nft.Gate:
		return topo.SourceGate{NS: ns, Link: r.Link, MAC: topo.MAC(r.MAC)}
	case nft.Hairpin:
		return topo.HairpinFilter{NS: ns, Link: r.Port}
	case nft.Antispoof:
		return topo.AntispoofPort{NS: ns, Link: r.Port, Routes: r.Routes, Gateway: r.Gateway}
	case nft.PortAddress:
		return topo.PortAddress{NS: ns, Link: r.Port, MAC: topo.MAC(r.MAC), Addr: r.Addr}
	case nft.Fastpath:
		return topo.Fastpath{NS: ns, Link: r.Device, Port: r.Port}
	case nft.Forward:
		return topo.Forward{
			NS: ns, Proto: r.Proto.String(), Addr: r.Addr, In: r.In,
			First: r.Ports.First, Last: r.Ports.Last, To: r.To, ToPort: r.ToPort,
		}
	}
	return nil
}
