package live

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab"
	"github.com/vnet-lab/vnet/topo/verify"
)

// soon is a time limit for what should take a moment.
const soon = 10 * time.Second

// TestStatus: a lab that is up has all its links and no drift; changes by hand are drift, and
// Changed reports them.
func TestStatus(t *testing.T) {
	labtest.NeedIP(t)
	labName, want := labtest.Compiled(t, labtest.PublishedLab)
	if _, err := openKernel(t, labName).Up(context.Background(), want, nil); err != nil {
		t.Fatal(err)
	}
	o, err := Observe(labName)
	if err != nil {
		t.Fatal(err)
	}
	o.table.Etc = "/run/etc-netns"
	defer o.Close()
	status := func() Status {
		t.Helper()
		s, err := o.Status(want)
		if err == nil {
			err = o.Watch()
		}
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	// latest is the status after all pending changes.
	latest := func() Status {
		s := status()
		for {
			select {
			case <-o.changes:
				s = status()
			default:
				return s
			}
		}
	}
	before := latest()
	hosts := before.Hosts
	if len(before.Drift) > 0 || len(hosts) != 2 || hosts[0].Name != topo.Machine || hosts[1].Links[0].State != "up" {
		t.Errorf("%+v", before)
	}
	topology := labtest.MustParse(t, "lab.yaml", []byte(labtest.PublishedLab))
	verify.Verify(context.Background(), topology, lab.Facts(topology))

	labtest.IP(t, "-n red addr del 10.0.5.2/24 dev eth0")
	labtest.IP(t, "link set sw down")
	labtest.IP(t, "-n red link set eth0 mtu 1400")
	ctx, cancel := context.WithTimeout(context.Background(), soon)
	defer cancel()
	if err := o.Changed(ctx); err != nil {
		t.Fatal(err)
	}
	after := latest()
	var out bytes.Buffer
	if err := after.WriteText(&out, &before); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"missing  red: addr 10.0.5.2/24 dev eth0", "missing  link sw up", "machine  sw", "fd00:5::2/64", "/s",
		"nat dnat -p tcp --dport 8080 --to-destination 10.0.5.2:80",
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("missing: %s", line)
		}
	}
	t.Log(out.String())
	if !strings.Contains(out.String(), "differs  link red-eth0") || !strings.Contains(out.String(), "(is mtu 1400)") {
		t.Errorf("the MTU has not changed")
	}
}

// TestTraffic: counters and rates as text.
func TestTraffic(t *testing.T) {
	for _, c := range []struct {
		now, was Traffic
		elapsed  time.Duration
		want     string
	}{
		{Traffic{}, Traffic{}, 0, "0 B (0)"},
		{Traffic{Packets: 3, Bytes: 999}, Traffic{}, 0, "999 B (3)"},
		{Traffic{Packets: 4, Bytes: 1234}, Traffic{}, 0, "1.2 kB (4)"},
		{Traffic{Packets: 4, Bytes: 45_600_000}, Traffic{}, 0, "46 MB (4)"},
		{Traffic{Packets: 4, Bytes: 1_234_000_000_000_000}, Traffic{}, 0, "1234.0 TB (4)"},
		{Traffic{Packets: 9, Bytes: 3000, Lost: 2}, Traffic{Bytes: 1000}, 2 * time.Second, "3.0 kB (9) 1.0 kB/s lost 2"},
		{Traffic{Bytes: 3000}, Traffic{Bytes: 3000}, time.Second, "3.0 kB (0)"},
	} {
		if got := c.now.text(c.was, c.elapsed); got != c.want {
			t.Errorf("%+v: %s, not %s", c.now, got, c.want)
		}
	}
}
