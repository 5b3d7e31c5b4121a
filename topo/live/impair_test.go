package live

import (
	"errors"
	"io"
	"net"
	"os/exec"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
)

func impairedLab(t *testing.T, impair string) (lab string, want topo.State) {
	t.Helper()
	lab, want = labtest.Compiled(t, "name: impaired\nhosts: {red: {}, blue: {}}\nlinks:\n"+
		"  - {endpoints: [red, blue], addresses: [10.0.0.1/30, 10.0.0.2/30], impair: {"+impair+"}}")
	if err := missingFeatures(topo.Diff(nil, want)); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	return lab, want
}

// An impairment can lose each of its keys, and get it again. netem itself keeps what a change leaves out.
func TestImpairmentLosesKeys(t *testing.T) {
	const all = "delay: 50ms, jitter: 5ms, loss: 2%, rate: 1mbit"
	lab, _ := impairedLab(t, all)
	k := openKernel(t, lab)
	for _, script := range []bool{false, true} {
		for _, next := range []string{all, "delay: 50ms", "loss: 2%", "rate: 1mbit", "delay: 1ms, jitter: 1ms"} {
			_, former := impairedLab(t, all)
			_, want := impairedLab(t, next)
			if _, err := k.Up(t.Context(), former, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := exec.LookPath("tc"); script && err == nil {
				text, err := topo.Diff(former, want).Commands(lab, former, NATScript())
				if err != nil {
					t.Fatal(err)
				}
				shell(t, text)
			} else if _, err := k.Up(t.Context(), want, nil); err != nil {
				t.Error(err)
			}
			if p, err := k.Plan(want); err != nil || len(p) > 0 {
				t.Errorf("after {%s}, script %t: %v\n%s", next, script, err, p)
			}
		}
	}
	if _, err := k.Down(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// A link that loses packets sends TCP segments one by one: netem would drop up to 44 of them together. Without loss
// they are combined. If somebody changes the link, it is drift.
func TestLossOfSegments(t *testing.T) {
	for _, c := range []struct {
		impair string
		single bool
	}{{"loss: 0.1%", true}, {"delay: 1ms", false}} {
		t.Run(c.impair, func(t *testing.T) {
			lab, want := impairedLab(t, c.impair)
			k := openKernel(t, lab)
			if _, err := k.Up(t.Context(), want, nil); err != nil {
				t.Fatal(err)
			}
			if size := meanPacketSize(t, k); (size < 1514) != c.single {
				t.Errorf("packets of %d bytes", size)
			}
			if !c.single {
				return
			}
			labtest.IP(t, "-n red link set eth0 gso_max_segs 65535")
			p, err := k.Plan(want)
			const drift = "~ red: qdisc dev eth0 netem loss 0.1% (was gso_max_segs 65535)\n"
			if err != nil || p.String() != drift {
				t.Errorf("%v, plan:\n%swant:\n%s", err, p, drift)
			}
		})
	}
}

// meanPacketSize sends a megabyte from red to blue and returns the mean size of red's packets.
func meanPacketSize(t *testing.T, k *Kernel) uint64 {
	t.Helper()
	var at net.Listener
	err := doIn("blue", func() (err error) { at, err = net.Listen("tcp4", "10.0.0.2:9"); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer at.Close()
	received := make(chan int64)
	go func() {
		c, err := at.Accept()
		if err != nil {
			close(received)
			return
		}
		defer c.Close()
		n, _ := io.Copy(io.Discard, c)
		received <- n
	}()
	var c net.Conn
	err = doIn("red", func() (err error) { c, err = net.DialTimeout("tcp4", "10.0.0.2:9", soon); return err })
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(6 * soon))
	const size = 1 << 20
	if _, err := c.Write(make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	c.Close()
	if n := <-received; n != size {
		t.Fatalf("received %d bytes", n)
	}
	h, err := k.table.Handle("red")
	if err != nil {
		t.Fatal(err)
	}
	l, err := h.Conn.Link(rtnl.LinkID{Name: "eth0"})
	if err != nil || l.Stats.TxPackets == 0 {
		t.Fatalf("%v, %+v", err, l.Stats)
	}
	return l.Stats.TxBytes / l.Stats.TxPackets
}
