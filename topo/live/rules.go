package live

import (
	"errors"
	"fmt"
	"os"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/topo"
)

// natStage changes the NAT rules of each namespace in one transaction.
func (x *executor) natStage(stage []topo.Step, results []result) {
	var order []string
	of := map[string][]int{}
	for i, s := range stage {
		ns := s.Object().Key().NS
		if of[ns] == nil {
			order = append(order, ns)
		}
		of[ns] = append(of[ns], i)
	}
	parallel.Each(workers, len(order), func(n int) {
		places := of[order[n]]
		at, err := x.changeNAT(order[n], stage, places)
		if errors.Is(err, nft.ErrStaleConntrack) { // the step is done; the old connections end by themselves
			x.log.Warn(display.In(order[n]) + err.Error())
			err = nil
		}
		for _, i := range places {
			results[i].touched = err == nil
		}
		if err != nil {
			results[at].err = err
		}
	})
}

// changeNAT executes the steps at the given places in the stage, all in namespace ns. With an
// error it returns the place of the step that failed.
func (x *executor) changeNAT(ns string, stage []topo.Step, places []int) (at int, err error) {
	var del, add []nft.Rule
	byText := map[string]int{}
	for _, i := range places {
		for _, half := range []struct {
			o    topo.Object
			list *[]nft.Rule
		}{{stage[i].Have, &del}, {stage[i].Want, &add}} {
			if half.o == nil {
				continue
			}
			r, err := ruleOf(half.o)
			if err != nil {
				return i, err
			}
			*half.list = append(*half.list, r)
			byText[r.String()] = i
		}
	}
	h, err := x.handle(ns)
	if err != nil {
		return places[0], err
	}
	conn, err := h.nft()
	if err == nil {
		err = x.calls.applyNAT(conn, mark.Table(x.lab), del, add)
	}
	at = places[0]
	if e, ok := err.(*nft.Error); ok {
		if i, ok := byText[e.Object]; ok {
			at = i
		}
	}
	return at, err
}

func (h *netnsHandle) nft() (*nft.Conn, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.nftConn == nil && h.name == "" { // the process is already in this namespace
		var err error
		h.nftConn, err = nft.Dial(nil)
		return h.nftConn, err
	}
	if h.nftConn == nil {
		err := h.withFile(func(ns *os.File) (err error) {
			h.nftConn, err = nft.Dial(ns)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return h.nftConn, nil
}

// ruleOf returns an object as a rule of package nft.
func ruleOf(o topo.Object) (nft.Rule, error) {
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

// objectOf returns a rule of package nft as an object; nil if it is of no kind of topo.
func objectOf(ns string, r nft.Rule) topo.Object {
	switch r := r.(type) {
	case nft.Masquerade:
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

// NATScript returns the scripts of package nft, for [topo.Plan.Commands].
func NATScript() topo.NATScript {
	return topo.NATScript{Rules: rulesScript, Guard: func(ipv6 bool) string {
		return nft.Guard{IPv4: !ipv6, IPv6: ipv6}.Script()
	}}
}

// rulesScript returns what nft(8) has to do to change a table.
func rulesScript(table string, have, want []topo.Object) (string, error) {
	rules := func(objects []topo.Object) (list []nft.Rule, err error) {
		for _, o := range objects {
			r, err := ruleOf(o)
			if err != nil {
				return nil, err
			}
			list = append(list, r)
		}
		return list, nil
	}
	h, err := rules(have)
	if err != nil {
		return "", err
	}
	w, err := rules(want)
	if err != nil {
		return "", err
	}
	return nft.Script(table, h, w), nil
}
