package lab

import (
	"strconv"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// The keys impair and offload are the same for both kinds of veth pairs: links, and attachments to networks.

func (i *fileImpair) impairment() topo.Impairment {
	return topo.Impairment{Delay: i.Delay, Jitter: i.Jitter, Loss: float64(i.Loss), Rate: uint64(i.Rate)}
}

func (k *checker) impairment(at syntax.Pos, i topo.Impairment) {
	if i.Jitter > 0 && i.Delay == 0 {
		k.Mistake(at, "jitter", "jitter without a delay", "add delay")
	}
	if !(i.Loss >= 0 && i.Loss <= 100) {
		k.mistakef(at, "loss", "", "loss %v is not between 0 and 100 percent", i.Loss)
	}
}

func formatImpairment(i topo.Impairment) (m syntax.Mapping) {
	if i.Delay > 0 {
		m.Text("delay", i.Delay.String())
	}
	if i.Jitter > 0 {
		m.Text("jitter", i.Jitter.String())
	}
	if i.Loss > 0 {
		m.Text("loss", strconv.FormatFloat(i.Loss, 'f', -1, 64)+"%")
	}
	if i.Rate > 0 {
		m.Text("rate", display.Rate(i.Rate))
	}
	return m
}

// Read reads on or off.
func (o *offloadChoice) Read(d *syntax.Decoder, n *yaml.Node) {
	syntax.Scalar(d, n, o, "expected on or off", parseOffload)
}

func parseOffload(s string) (offloadChoice, error) {
	switch s {
	case "on", "true":
		return false, nil
	case "off", "false":
		return true, nil
	}
	return false, syntax.ErrWord
}

func formatOffload(m *syntax.Mapping, off bool) {
	if off {
		m.Text("offload", "off")
	}
}
