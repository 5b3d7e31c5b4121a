package main

import (
	"fmt"
	"net"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/nsfs"
)

func (s *session) interim() (all []net.Interface, err error) {
	ns, err := s.namespace()
	if err != nil {
		return nil, err
	}
	if ns == nil {
		return net.Interfaces()
	}
	err = nsfs.Do(ns, func() (err error) { all, err = net.Interfaces(); return err })
	return all, err
}

func (s *session) linkIndex(name string) (uint32, error) {
	if name == "" {
		return 0, nil
	}
	all, err := s.interim()
	for _, l := range all {
		if l.Name == name {
			return uint32(l.Index), nil
		}
	}
	if err == nil {
		err = fmt.Errorf("cannot find device %q", name)
	}
	return 0, err
}

func (s *session) linkNames() (func(uint32) string, error) {
	all, err := s.interim()
	return func(i uint32) string {
		for _, l := range all {
			if uint32(l.Index) == i {
				return l.Name
			}
		}
		return fmt.Sprintf("if%d", i)
	}, err
}

func (s *session) vrfTable(name string) (uint32, error) { return 0, words.Errorf("%q is not a VRF", name) }
