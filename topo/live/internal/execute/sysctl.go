package execute

import (
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// sysctlStage sets and restores sysctls. It holds a lock that all labs of the machine share:
// a lab must not record a value as the former one that another lab has just set.
func (x *Executor) sysctlStage(stage []topo.Step, results []result) {
	lock, err := netns.LockSysctls()
	if err != nil {
		for i := range results {
			results[i].err = err
		}
		return
	}
	defer lock.Close()
	for i, s := range stage {
		h, err := x.Table.Handle(s.Object().Key().NS)
		if err != nil {
			results[i].err = err
			continue
		}
		results[i].touched, results[i].err = x.settings.Do(h, s)
	}
}
