package live

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/linux"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/live/internal/convert"
	"github.com/vnet-lab/vnet/topo/live/internal/netns"
)

// A MissingFeatureError lists kernel features that a lab needs and this kernel does not have.
type MissingFeatureError struct {
	// Features are the missing features: IPv6, vlan, dummy, netem, "bridge VLAN filtering" ….
	Features []string
	// For is the first object that needs Features[0].
	For topo.Object
}

// Error names the missing features and the object that needs the first of them.
func (e *MissingFeatureError) Error() string {
	return fmt.Sprintf("this kernel has no %s, needed for %v", strings.Join(e.Features, ", no "), e.For)
}

// Is reports whether target is errors.ErrUnsupported.
func (e *MissingFeatureError) Is(target error) bool { return target == errors.ErrUnsupported }

// MissingFeatures returns what the kernel lacks for a plan; nil if nothing.
func MissingFeatures(plan topo.Plan) (*MissingFeatureError, error) {
	err := missingFeatures(plan)
	if missing := (*MissingFeatureError)(nil); errors.As(err, &missing) {
		return missing, nil
	}
	return nil, err
}

// missingFeatures returns a *MissingFeatureError if the kernel does not have the features
// that a plan needs. It tries them in a scratch namespace, before vnet changes anything.
func missingFeatures(plan topo.Plan) error {
	if !netns.HasIPv6() {
		for _, s := range plan {
			if s.Want != nil && topo.NeedsIPv6(s.Want) {
				return &MissingFeatureError{[]string{"IPv6"}, s.Want}
			}
		}
	}
	var needed []string
	first := map[string]topo.Object{}
	for _, s := range plan {
		if f := topo.Feature(s.Object()); f != "" && s.Want != nil && first[f] == nil {
			needed, first[f] = append(needed, f), s.Want
		}
	}
	if len(needed) == 0 {
		return nil
	}
	slices.Sort(needed)
	scratch, err := newScratchNetns()
	if err != nil {
		return err
	}
	defer scratch.close()
	var missing []string
	for _, f := range needed {
		switch has, err := scratch.supports(f); {
		case err != nil:
			return err
		case !has:
			missing = append(missing, f)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &MissingFeatureError{missing, first[missing[0]]}
}

// A scratchNetns is a namespace without a name in which features are tried. close deletes it.
type scratchNetns struct {
	ns   *os.File
	conn *rtnl.Conn
}

func (t *scratchNetns) close() {
	t.conn.Close()
	t.ns.Close()
}

// scratchParent is the index of the bridge that is the parent of the tried links. The first indexes may be in use:
// where modules for tunnels are loaded, each new namespace has links such as gre0, sit0 and ip6tnl0.
const scratchParent = 1000

func newScratchNetns() (*scratchNetns, error) {
	ns, err := nsfs.New()
	if err != nil {
		return nil, err
	}
	conn, err := rtnl.Dial(ns)
	if err != nil {
		ns.Close()
		return nil, err
	}
	t := &scratchNetns{ns, conn}
	parent := rtnl.LinkConfig{Name: convert.SampleParent, Index: scratchParent, Kind: rtnl.Kind{Name: "bridge"}}
	err = conn.Do(rtnl.AddLink(parent))
	if err != nil {
		t.close()
		return nil, err
	}
	return t, nil
}

func (t *scratchNetns) supports(feature string) (bool, error) {
	var err error
	switch feature {
	case linux.FeatureEthtool:
		var o *rtnl.Offload
		if o, err = rtnl.DialOffload(nil); err == nil {
			err = o.Close()
		}
	case linux.FeatureFlowtable:
		err = t.tryRule(nft.Fastpath{Device: convert.SampleParent})
	case linux.FeatureBridgeFilter:
		err = t.tryRule(nft.Antispoof{Port: convert.SampleParent})
	case linux.FeatureNetem:
		err = t.conn.Do(rtnl.ReplaceNetem(rtnl.Netem{Link: scratchParent}))
	default:
		err = t.tryLink(feature)
	}
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, unix.EOPNOTSUPP),
		errors.Is(err, unix.EINVAL), errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, err
}

func (t *scratchNetns) tryRule(r nft.Rule) error {
	c, err := nft.Dial(t.ns)
	if err != nil {
		return err
	}
	defer c.Close()
	return c.Apply("vnet", nil, []nft.Rule{r})
}

// tryLink creates a link that needs the feature: the sample of a link kind with this feature. If
// there is none, the feature is itself the name of a link kind.
func (t *scratchNetns) tryLink(feature string) error {
	try := rtnl.LinkConfig{Name: "try-" + feature, Kind: rtnl.Kind{Name: feature}}
	for _, k := range convert.LinkKinds {
		if topo.Feature(k.Sample) != feature {
			continue
		}
		n := k.Encode(k.Sample) // not nil: only veth has no Encode, and veth is not a feature
		try.Name, try.Kind = "try-"+k.Name, rtnl.Kind{Name: k.Name, Options: n.Options}
		if n.Parent != "" {
			n.SetParent(&try, scratchParent)
		}
	}
	return t.conn.Do(rtnl.AddLink(try))
}
