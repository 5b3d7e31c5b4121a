//go:build linux

package nft

// forget is filled in below.
func (c *Conn) forget(old, new []Rule) error { return nil }
