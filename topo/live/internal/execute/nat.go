package execute

import (
	"errors"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/internal/mark"
	"github.com/vnet-lab/vnet/internal/parallel"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// natStage changes the NAT rules of each namespace in one transaction.
func (x *Executor) natStage(stage []topo.Step, results []result) {
	var order []string
	of := map[string][]int{}
	for i, s := range stage {
		ns := s.Object().Key().NS
		if of[ns] == nil {
			order = append(order, ns)
		}
		of[ns] = append(of[ns], i)
	}
	parallel.Each(netns.Workers, len(order), func(n int) {
		places := of[order[n]]
		at, err := x.changeNAT(order[n], stage, places)
		if errors.Is(err, nft.ErrStaleConntrack) { // the step is done; the old connections end by themselves
			x.Log.Warn(display.In(order[n]) + err.Error())
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
func (x *Executor) changeNAT(ns string, stage []topo.Step, places []int) (at int, err error) {
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
			r, err := convert.Rule(half.o)
			if err != nil {
				return i, err
			}
			*half.list = append(*half.list, r)
			byText[r.String()] = i
		}
	}
	h, err := x.Table.Handle(ns)
	if err != nil {
		return places[0], err
	}
	conn, err := h.NFT()
	if err == nil {
		err = x.Calls.ApplyNAT(conn, mark.Table(x.Table.Lab), del, add)
	}
	at = places[0]
	if e, ok := err.(*nft.Error); ok {
		if i, ok := byText[e.Object]; ok {
			at = i
		}
	}
	return at, err
}
