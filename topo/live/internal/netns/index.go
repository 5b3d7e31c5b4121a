package netns

import (
	"math/rand/v2"
	"slices"

	"github.com/vnet-lab/vnet/rtnl"
)

// LinkIndex returns the index of a link.
func (h *Handle) LinkIndex(name string) (uint32, error) {
	if i, ok := h.KnownIndex(name); ok {
		return i, nil
	}
	l, err := h.Conn.Link(rtnl.LinkID{Name: name})
	if err != nil {
		return 0, err
	}
	h.SetIndex(name, l.Index)
	return l.Index, nil
}

// KnownIndex returns the index of a link that was read or created before.
func (h *Handle) KnownIndex(name string) (index uint32, has bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	index, has = h.linkIndexes[name]
	return index, has
}

// SetIndex notes the index of a link.
func (h *Handle) SetIndex(name string, index uint32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.linkIndexes[name] = index
}

// ForgetIndex is called after a link was deleted.
func (h *Handle) ForgetIndex(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.linkIndexes, name)
}

// SetIndexes notes the indexes of all links of the namespace.
func (h *Handle) SetIndexes(links []rtnl.Link) {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.linkIndexes)
	h.chooseNextIndex(links)
	for _, l := range links {
		h.linkIndexes[l.Name] = l.Index
	}
}

// NewIndex returns the index for a new link. Since the index is known in advance, the
// requests that configure the link go to the kernel together with the one that creates
// it. In a foreign namespace another program may create a link at the same time. The
// kernel gives that link the index after the last one, so NewIndex uses a distant range.
// Otherwise the foreign link could get this index, and vnet would configure it.
func (h *Handle) NewIndex() (uint32, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.nextIndex == 0 {
		links, err := h.Conn.Links(rtnl.LinkFilter{NoStats: true})
		if err != nil {
			return 0, err
		}
		h.chooseNextIndex(links)
	}
	h.nextIndex++
	return h.nextIndex, nil
}

// freeIndexes is the number of consecutive free indexes that chooseNextIndex looks for.
// It exceeds the number of links of a lab.
const freeIndexes = 1 << 20

// chooseNextIndex sets nextIndex before a range of free indexes. The caller holds h.mu.
func (h *Handle) chooseNextIndex(links []rtnl.Link) {
	if h.Own {
		h.nextIndex = 0
		for _, l := range links {
			h.nextIndex = max(h.nextIndex, l.Index)
		}
		return
	}
	inRange := func(l rtnl.Link) bool { return l.Index > h.nextIndex && l.Index-h.nextIndex <= freeIndexes }
	for h.nextIndex = rand.Uint32N(1<<30) + freeIndexes; slices.ContainsFunc(links, inRange); {
		h.nextIndex = rand.Uint32N(1<<30) + freeIndexes
	}
}
