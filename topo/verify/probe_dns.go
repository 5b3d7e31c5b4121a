package verify

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/topo/lab"
)

// dns resolves a name like a program that vnet exec starts in the host: first with the host's hosts
// file, then with the name servers of its resolv.conf. See hosts(5), resolv.conf(5).
func (p *prober) dns(from *hostSockets, f lab.Fact, deadline time.Time) (Answer, error) {
	start := time.Now()
	dir := p.etcOf(f.From)
	hosts, err := etcFile(dir, "hosts")
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Outcome: lab.Unreachable, Detail: noSuchName}
	found := searchHosts(hosts, f.To)
	if len(found) == 0 {
		var resolv string
		if resolv, err = etcFile(dir, "resolv.conf"); err != nil {
			return Answer{}, err
		}
		found, a = from.queryServers(lab.ParseResolv(resolv), f.To, deadline)
	}
	if len(found) > 0 {
		a = Answer{Outcome: lab.Answered, Detail: strings.Join(display.Addrs(found), ", ")}
	}
	if len(found) > 0 && f.Addr.IsValid() && !slices.Contains(found, f.Addr) {
		a = Answer{Outcome: lab.Unreachable, Detail: "resolves to " + a.Detail}
	}
	a.Time = time.Since(start)
	return a, nil
}

// etcFile reads the file that a program in the host finds in /etc: the host's own file if there is
// one, else the machine's. It returns "" if neither exists.
func etcFile(dir, name string) (string, error) {
	for _, dir := range []string{dir, "/etc"} {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if !errors.Is(err, os.ErrNotExist) {
			return string(b), err
		}
	}
	return "", nil
}

// searchHosts returns the addresses that a hosts file has for a name, in the order of the file.
func searchHosts(text, name string) (found []netip.Addr) {
	isName := func(w string) bool { return strings.EqualFold(w, strings.TrimSuffix(name, ".")) }
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		if len(words) < 2 || !slices.ContainsFunc(words[1:], isName) {
			continue
		}
		if a, err := netip.ParseAddr(words[0]); err == nil {
			found = append(found, a)
		}
	}
	return found
}

// noSuchName is the detail of the answer that a name does not exist.
const noSuchName = "no such name"

// serverTimeout is how long to wait for one name server before the next one is queried.
const serverTimeout = 3 * resendInterval

// queryServers queries the name servers in turn, for each full name. If no address is found, the answer says
// why. If no server answered for one of the names, it says this, even if another name does not exist.
func (s *hostSockets) queryServers(d lab.DNS, name string, deadline time.Time) ([]netip.Addr, Answer) {
	a := Answer{Outcome: lab.Unreachable, Detail: "no such name in the hosts file, and no name server"}
	unanswered := false
	for _, full := range fullNames(name, d.Search) {
		var found []netip.Addr
		var last Answer
		for _, server := range d.Servers {
			if found, last = s.queryBoth(server, full, deadline); len(found) > 0 {
				return found, last
			}
			if time.Now().After(deadline) {
				return nil, last
			}
		}
		if len(d.Servers) > 0 && !unanswered {
			a, unanswered = last, last.Detail != noSuchName
		}
	}
	return nil, a
}

// queryBoth queries a name server for the addresses of both families.
func (s *hostSockets) queryBoth(
	server netip.Addr, full string, deadline time.Time,
) (found []netip.Addr, failure Answer) {
	until := earlier(time.Now().Add(serverTimeout), deadline)
	failure = Answer{Outcome: lab.Unreachable, Detail: noSuchName, Sender: server}
	for _, kind := range []uint16{dnsA, dnsAAAA} {
		addrs, a := s.query(server, full, kind, until)
		if a.Outcome != lab.Answered {
			detail := "name server " + server.String() + ": " + cmp.Or(a.Detail, "no answer")
			failure = Answer{Outcome: a.Outcome, Detail: detail, Sender: a.Sender}
		}
		found = append(found, addrs...)
	}
	return found, failure
}

// fullNames returns the names to query, in order. A name that contains a dot is queried
// unchanged first. For a name that ends with a dot, there is no other query.
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

// query sends one question to a name server over UDP. It sends it again until an answer comes or
// the deadline has passed.
func (s *hostSockets) query(server netip.Addr, name string, kind uint16, deadline time.Time) ([]netip.Addr, Answer) {
	c, err := openProbeSocket(s.ns, server.Is4(), unix.SOCK_DGRAM)
	if err != nil {
		return nil, Answer{Outcome: lab.Unreachable, Detail: err.Error()}
	}
	defer c.close()
	start := time.Now()
	if err := c.connect(netip.AddrPortFrom(server, dnsPort)); err != nil {
		return nil, c.answerFor(err, start)
	}
	id := uint16(rand.Uint32())
	for {
		if _, err := c.file.Write(dnsQuestion(id, name, kind)); err != nil {
			return nil, c.answerFor(err, start)
		}
		c.file.SetReadDeadline(earlier(time.Now().Add(resendInterval), deadline))
		found, err := c.dnsAnswer(id, kind)
		if err == nil {
			return found, Answer{Outcome: lab.Answered}
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Now().After(deadline) {
			return nil, c.answerFor(err, start)
		}
	}
}

// dnsAnswer waits for the answer with this id.
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
