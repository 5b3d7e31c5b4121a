//go:build linux

package topo

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// dns finds a name as a program does that vnet exec starts in the host: in its
// hosts file, then by the servers of its resolv.conf. See hosts(5), resolv.conf(5).
func (p *prober) dns(from *station, f Fact, deadline time.Time) (Answer, error) {
	start := time.Now()
	dir := p.etcOf(f.From)
	hosts, err := etcFile(dir, "hosts")
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Outcome: Unreachable, Said: "no such name"}
	found := inHosts(hosts, f.To)
	if len(found) == 0 {
		var resolv string
		if resolv, err = etcFile(dir, "resolv.conf"); err != nil {
			return Answer{}, err
		}
		found, a = from.askServers(parseResolv(resolv), f.To, deadline)
	}
	if len(found) > 0 {
		a = Answer{Outcome: Answered, Said: strings.Join(addrTexts(found), ", ")}
	}
	if len(found) > 0 && f.Addr.IsValid() && !slices.Contains(found, f.Addr) {
		a = Answer{Outcome: Unreachable, Said: "it is " + a.Said}
	}
	a.Time = time.Since(start)
	return a, nil
}

// etcFile reads what a program in a host finds in /etc: the file that stands in for
// the machine's, or that. None is as good as an empty one.
func etcFile(dir, name string) (string, error) {
	for _, dir := range []string{dir, "/etc"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if !errors.Is(err, os.ErrNotExist) {
			return string(b), err
		}
	}
	return "", nil
}

// inHosts is what a hosts file says of a name, in its order.
func inHosts(text, name string) (found []netip.Addr) {
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 || !slices.ContainsFunc(words[1:], func(w string) bool { return strings.EqualFold(w, strings.TrimSuffix(name, ".")) }) {
			continue
		}
		if a, err := netip.ParseAddr(words[0]); err == nil {
			found = append(found, a)
		}
	}
	return found
}

// oneServer is how long a server is asked before the next one is.
const oneServer = 3 * resend

// askServers asks the servers in turn for the name, in full and with what search
// adds. If nothing is found, the answer says what was said instead.
func (s *station) askServers(d DNS, name string, deadline time.Time) ([]netip.Addr, Answer) {
	a := Answer{Outcome: Unreachable, Said: "no such name, and no server to ask"}
	for _, full := range fullNames(name, d.Search) {
		for _, server := range d.Servers {
			var found []netip.Addr
			if found, a = s.askBoth(server, full, deadline); len(found) > 0 {
				return found, a
			}
			if time.Now().After(deadline) {
				return nil, a
			}
		}
	}
	return nil, a
}

// askBoth asks a server for the addresses of both families.
func (s *station) askBoth(server netip.Addr, full string, deadline time.Time) (found []netip.Addr, said Answer) {
	until := earlier(time.Now().Add(oneServer), deadline)
	said = Answer{Outcome: Unreachable, Said: "no such name", By: server}
	for _, kind := range []uint16{dnsA, dnsAAAA} {
		addrs, a := s.ask(server, full, kind, until)
		if a.Outcome != Answered {
			said = Answer{Outcome: a.Outcome, Said: "name server " + server.String() + ": " + or(a.Said, "no answer"), By: a.By}
		}
		found = append(found, addrs...)
	}
	return found, said
}

// fullNames are the names to ask for: one with a dot in it is first taken for
// whole, and one with a dot at its end is.
func fullNames(name string, search []string) (full []string) {
	if strings.HasSuffix(name, ".") {
		return []string{name}
	}
	for _, domain := range search {
		full = append(full, strings.TrimSuffix(name+"."+strings.TrimSuffix(domain, "."), ".")+".") // domain may be the root
	}
	if strings.Contains(name, ".") {
		return slices.Insert(full, 0, name+".")
	}
	return append(full, name+".")
}

// ask asks a server one question over UDP, and again as long as nothing comes.
func (s *station) ask(server netip.Addr, name string, kind uint16, deadline time.Time) ([]netip.Addr, Answer) {
	c, err := openStream(s.ns, server.Is4(), unix.SOCK_DGRAM)
	if err != nil {
		return nil, Answer{Outcome: Unreachable, Said: err.Error()}
	}
	defer c.close()
	start := time.Now()
	if err := c.connect(netip.AddrPortFrom(server, dnsPort)); err != nil {
		return nil, c.verdict(err, start)
	}
	id := uint16(rand.Uint32())
	for {
		if _, err := c.file.Write(dnsQuestion(id, name, kind)); err != nil {
			return nil, c.verdict(err, start)
		}
		c.file.SetReadDeadline(earlier(time.Now().Add(resend), deadline))
		found, err := c.dnsAnswer(id, kind)
		if err == nil {
			return found, Answer{Outcome: Answered}
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(deadline) {
			return nil, c.verdict(err, start)
		}
	}
}

// dnsAnswer waits for the answer of that number.
func (s *socket) dnsAnswer(id, kind uint16) ([]netip.Addr, error) {
	b := make([]byte, 1<<16)
	for {
		n, _, err := s.receive(b)
		if err != nil {
			return nil, err
		}
		if found, ok := dnsAddrs(b[:n], id, kind); ok {
			return found, nil
		}
	}
}
