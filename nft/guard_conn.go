//go:build linux

package nft

// Guard makes the namespace's guard equal to g, in one transaction; the zero Guard deletes its table. If they are
// equal already, it sends nothing. It omits sources inside other sources.
func (c *Conn) Guard(g Guard) error { return c.UpdateGuard(func(Guard) Guard { return g }) }

// ReadGuard returns the namespace's guard, with sorted lists; the zero Guard if there is none. If somebody else deleted
// rules of the guard, it drops no packets, so IPv4 and IPv6 are false. [Conn.UpdateGuard] repairs it.
func (c *Conn) ReadGuard() (Guard, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	have, err := c.readConsistent([]table{guardTable}, allSets)
	if err != nil {
		return Guard{}, err
	}
	g := have.guard()
	g.IPv4, g.IPv6 = g.IPv4 && !have.damaged, g.IPv6 && !have.damaged
	return g, nil
}

// UpdateGuard replaces the namespace's guard with update's result. If the ruleset changed after it was read, it reads
// again and calls update again, so concurrent updates are not lost.
func (c *Conn) UpdateGuard(update func(have Guard) Guard) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.lock()()
	return c.retry("change", "table "+guardTable.String(), func() (bool, error) { return c.attemptGuard(update) })
}

// attemptGuard makes one attempt to change the guard. If the ruleset changed in between, done is false.
func (c *Conn) attemptGuard(update func(have Guard) Guard) (done bool, err error) {
	generation, err := c.generation()
	if err != nil {
		return false, err
	}
	have, complete, err := c.readAt(generation, guardTable, allSets)
	if err != nil || !complete {
		return false, err
	}
	want := update(have.guard())
	if err := want.Check(); err != nil {
		return false, err
	}
	ch := &change{table: guardTable}
	ch.compute(*have, want.elements())
	return c.commitChanges(generation, []*change{ch}, &lostChange{})
}
