//go:build linux

package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/cni"
	"github.com/vnet-lab/vnet/topo/live/member"
)

// cni answers a call by the rules of the Container Network Interface.
func (c *call) cni(ctx context.Context) int {
	if c.getenv("CNI_COMMAND") == "" {
		fmt.Fprint(c.err, cni.About(c.name, c.version))
		return 0
	}
	k, err := c.read()
	if err == nil {
		err = k.run(ctx)
	}
	if err == nil {
		return 0
	}
	answer := asAnswer(err)
	if k.Config != nil {
		answer.Version = k.Version
	}
	answer.Version = cmp.Or(answer.Version, cni.Newest)
	if err := c.print(answer); err != nil {
		fmt.Fprintln(c.err, "vnet: error: write the answer:", err)
	}
	return 1
}

// asAnswer returns the answer that an error means for the engine.
func asAnswer(err error) *cni.Error {
	var answer *cni.Error
	var taken *member.TakenError
	switch {
	case errors.As(err, &answer):
		copied := *answer
		return &copied
	case errors.Is(err, member.ErrExhausted):
		return &cni.Error{Code: cni.CodeTryLater, Msg: err.Error()}
	case errors.Is(err, member.ErrOwnNamespace):
		return &cni.Error{Code: cni.CodeOwnNS, Msg: "CNI_NETNS: " + err.Error()}
	case errors.As(err, &taken):
		return &cni.Error{Code: cni.CodeTaken, Msg: err.Error()}
	}
	return cni.Internal(err)
}

// A task is a call with what it read.
type task struct {
	*call
	cni.Env
	*cni.Config
	stdin []byte
}

// read reads the environment and standard input.
func (c *call) read() (task, error) {
	k := task{call: c}
	if c.refused != nil {
		return k, cni.Internal(c.refused)
	}
	var err error
	if k.Env, err = cni.ReadEnv(c.getenv); err != nil || k.Command == "VERSION" {
		return k, err
	}
	if k.stdin, err = c.readInput(); err != nil {
		return k, &cni.Error{Code: cni.CodeIO, Msg: err.Error()}
	}
	k.Config, err = cni.Parse(k.Command, k.stdin)
	return k, err
}

func (k *task) run(ctx context.Context) error {
	switch k.Command {
	case "ADD":
		return k.add(ctx)
	case "DEL":
		return k.del(ctx)
	case "CHECK":
		return k.check(ctx)
	case "STATUS":
		return k.status(ctx)
	case "GC":
		return k.gc(ctx)
	}
	return k.print(cni.Versions())
}

// add attaches a container. It does all or nothing: engines repeat an ADD that failed, and not all of them DEL before.
func (k *task) add(ctx context.Context) error {
	prev, err := k.Previous()
	if err != nil {
		return err
	}
	if _, err := os.Stat(k.NS); err != nil {
		return &cni.Error{Code: cni.CodeEnvironment, Msg: "CNI_NETNS: " + err.Error()}
	}
	// What is wrong in the configuration shows before another plugin gives an address.
	if _, err := k.Network(cni.Addressing{}); err != nil {
		return err
	}
	addressing, err := k.addressing(ctx)
	if err != nil {
		return err
	}
	result, there, err := k.attach(ctx, addressing, prev)
	if err != nil {
		if k.Delegate() != "" && !there { // a container that is attached keeps its address
			if _, freeErr := k.delegate(ctx, "DEL"); freeErr != nil {
				k.note("%s keeps the address: %v", k.Delegate(), freeErr)
			}
		}
		return err
	}
	for _, note := range k.Notes() {
		k.note("%s", note)
	}
	return k.print(result)
}

// addressing returns the addresses, or what they are chosen from.
func (k *task) addressing(ctx context.Context) (cni.Addressing, error) {
	if k.Delegate() != "" {
		text, err := k.delegate(ctx, "ADD")
		if err != nil {
			return cni.Addressing{}, err
		}
		return k.Delegated(text)
	}
	a, err := k.Addressing(k.Env)
	if err != nil || k.IPAM.ResolvConf == "" {
		return a, err
	}
	text, err := os.ReadFile(k.IPAM.ResolvConf)
	if err != nil {
		return a, &cni.Error{Code: cni.CodeIO, Msg: "ipam.resolvConf: " + err.Error()}
	}
	a.DNS = cni.ParseResolvConf(string(text))
	return a, nil
}

// attach returns the answer. there means that the container was attached already, which is an error.
func (k *task) attach(ctx context.Context, a cni.Addressing, prev *cni.Result) (r cni.Result, there bool, err error) {
	n, err := k.Network(a)
	if err != nil {
		return r, false, err
	}
	m, err := k.Member(k.Env, a)
	if err != nil {
		return r, false, err
	}
	at, err := member.Attach(ctx, n, m)
	if err != nil {
		return r, at.ID != "", err
	}
	return k.Result(at, a, prev), false, nil
}

// del detaches a container. It is no error if nothing is attached.
func (k *task) del(ctx context.Context) error {
	err := member.Detach(ctx, k.NetworkName(), cni.MemberID(k.ContainerID, k.Link), k.Ports()...)
	if k.Delegate() != "" {
		_, freeErr := k.delegate(ctx, "DEL")
		err = errors.Join(err, freeErr)
	}
	return err
}

// check compares the container's link with the result of ADD.
func (k *task) check(ctx context.Context) error {
	prev, err := k.Previous()
	if err != nil {
		return err
	}
	if prev == nil {
		return &cni.Error{Code: cni.CodeConfig, Msg: "CHECK: prevResult is missing"}
	}
	addresses, routes, err := prev.Expected(k.Env)
	if err != nil {
		return err
	}
	n, err := k.Network(cni.Addressing{})
	if err != nil {
		return err
	}
	m, err := k.Member(k.Env, cni.Addressing{Routes: routes})
	if err != nil {
		return err
	}
	for _, a := range addresses {
		m.Addresses = append(m.Addresses, a.Addr())
	}
	if err := member.Check(ctx, n, m); err != nil {
		return err
	}
	if k.Delegate() != "" {
		_, err = k.delegate(ctx, "CHECK")
	}
	return err
}

// gc detaches the containers that the engine does not name. Without a list, it removes only what has no container any
// more. If the engine has no containers, it also removes the network.
func (k *task) gc(ctx context.Context) error {
	keep, sent, err := k.Keep()
	if err != nil {
		return err
	}
	var valid []member.ID
	if sent {
		valid = []member.ID{} // an empty list, not a missing one
	}
	for _, a := range keep {
		valid = append(valid, cni.MemberID(a.ContainerID, a.Link))
	}
	err = member.Sweep(ctx, k.NetworkName(), valid)
	if sent && len(valid) == 0 {
		if removeErr := member.Remove(ctx, k.NetworkName()); !errors.Is(removeErr, member.ErrMembers) {
			err = errors.Join(err, removeErr)
		}
	}
	if k.Delegate() != "" {
		_, delegateErr := k.delegate(ctx, "GC")
		err = errors.Join(err, delegateErr)
	}
	return err
}

// status returns an error if ADD would fail. Engines ask every few seconds.
func (k *task) status(ctx context.Context) error {
	var a cni.Addressing
	var err error
	switch {
	case k.Delegate() != "":
		_, err = k.delegate(ctx, "STATUS")
	case k.IPAM.Type != "static": // the engine may give the addresses at ADD
		a, err = k.Addressing(k.Env)
	}
	if err != nil {
		return err
	}
	n, err := k.Network(a)
	if err != nil {
		return err
	}
	if err := member.Free(n); err != nil {
		return &cni.Error{Code: cni.CodeUnavailable, Msg: "STATUS: " + err.Error()}
	}
	return nil
}
