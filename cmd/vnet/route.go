package main

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/show"
	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/rtnl"
)

// routeObject is vnet route.
func routeObject() *object {
	return &object{
		name: "route", short: true, usage: "routing tables", help: routeHelp,
		verbs: words.RouteVerbs(), run: (*session).route,
	}
}

const routeHelp = `
vnet route [show] [SELECTION]
vnet route { add | replace | change | append | prepend | del } ROUTE
vnet route get ADDRESS [from ADDRESS] [iif DEV] [oif DEV] [vrf NAME] [fibmatch]
          [tos TOS] [mark N] [uid N] [ipproto P] [sport N] [dport N] [flowlabel N]
vnet route flush SELECTION

ROUTE     := [TYPE] PREFIX [via [FAMILY] ADDRESS] [dev DEV] [nhid ID] [OPTIONS]
             [nexthop [via ADDRESS] [dev DEV] [weight N] [onlink]] ...
TYPE      := unicast | local | broadcast | multicast | blackhole | unreachable |
             prohibit | throw | anycast
OPTIONS   := [table TABLE | vrf NAME] [metric N] [proto PROTOCOL] [scope SCOPE]
             [src ADDRESS] [from PREFIX] [tos TOS] [onlink] [pref low|medium|high]
             [expires SECONDS] [realms [FROM/]TO] [encap mpls LABEL] [mtu [lock] N]
             [advmss N] [hoplimit N] [window N] [rtt TIME] [rttvar TIME]
             [rto_min TIME] [ssthresh N] [cwnd N] [initcwnd N] [initrwnd N]
             [reordering N] [features ecn] [quickack 0|1] [congctl NAME]
             [fastopen_no_cookie 0|1]
SELECTION := [[to] [root|match|exact] PREFIX] [table TABLE|all|cache] [vrf NAME]
             [dev DEV] [via ADDRESS] [src ADDRESS] [proto PROTOCOL] [scope SCOPE]
             [type TYPE] [metric N] [tos TOS] [from PREFIX] [realms REALM]

   vnet route add default via 10.0.0.1
   vnet route add 10.1.0.0/16 nexthop via 10.0.0.2 nexthop via 10.0.0.3 weight 2
   vnet -6 route show
   vnet route get 10.1.2.3
`

// route runs vnet route.
func (s *session) route(args []string) error {
	w := words.Of(args)
	switch verb := w.RouteVerb(); verb {
	case "add", "replace", "change", "append", "prepend", "delete":
		return s.routeChange(verb, w)
	case "show":
		return s.routeShow(w)
	case "flush":
		return s.routeFlush(w)
	case "get":
		return s.routeGet(w)
	case "help":
		return s.usage(routeHelp)
	}
	return w.Err
}

// routeRequests makes the request for each verb.
var routeRequests = map[string]func(rtnl.Route) rtnl.Request{
	"add": rtnl.AddRoute, "replace": rtnl.ReplaceRoute, "change": rtnl.ChangeRoute,
	"append": rtnl.AppendRoute, "prepend": rtnl.PrependRoute, "delete": rtnl.DeleteRoute,
}

func (s *session) routeChange(verb string, w *words.Words) error {
	change := w.RouteChange(verb, s.Family)
	if w.Err != nil {
		return w.Err
	}
	if change.Help {
		return s.usage(routeHelp)
	}
	r, err := change.Route, error(nil)
	if r.Link, err = s.linkIndex(change.Dev); err != nil {
		return err
	}
	for i, dev := range change.HopDevs {
		if r.Hops[i].Link, err = s.linkIndex(dev); err != nil {
			return exit(exitUsage, err) // ip(8)'s exit code for a next hop's link
		}
	}
	if change.VRF != "" {
		if r.Table, err = s.vrfTable(change.VRF); err != nil {
			return err
		}
	}
	return s.do(routeRequests[verb](r))
}

// selection parses a selection and looks up its links and its VRF's table.
func (s *session) selection(w *words.Words) (words.RouteSelection, error) {
	sel := w.RouteSelection(s.Family)
	if w.Err != nil || sel.Help {
		return sel, w.Err
	}
	var err error
	if sel.VRF != "" {
		if sel.Filter.Table, err = s.vrfTable(sel.VRF); err != nil {
			return sel, err
		}
		sel.Filter.AllTables = false
	}
	if sel.InLink, err = s.linkIndex(sel.InDev); err != nil {
		return sel, err
	}
	sel.Filter.Link, err = s.linkIndex(sel.Dev)
	return sel, err
}

// selectRoutes reads the selected routes.
func selectRoutes(c *rtnl.Conn, sel words.RouteSelection) ([]rtnl.Route, error) {
	all, err := c.Routes(sel.Filter)
	fit := all[:0]
	for _, r := range all {
		if sel.Matches(r) {
			fit = append(fit, r)
		}
	}
	return fit, err
}

func (s *session) routeShow(w *words.Words) error {
	sel, err := s.selection(w)
	if err != nil {
		return err
	}
	if sel.Help {
		return s.usage(routeHelp)
	}
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	if sel.Filter.Table == unix.RT_TABLE_MAIN {
		sel.Filter.Table = 0 // the filter would fail if the main table does not exist
	}
	routes, err := selectRoutes(c, sel)
	if err != nil {
		return err
	}
	style, err := s.routeStyle()
	if err != nil {
		return err
	}
	hide(&style, sel)
	return show.Routes(s.out, routes, style)
}

// routeStyle returns the style for routes, with the links' names.
func (s *session) routeStyle() (show.RouteStyle, error) {
	name, err := s.linkNames()
	return show.RouteStyle{Style: s.style(), Link: name}, err
}

// hide leaves out the columns whose value the selection gives, as ip(8) does.
func hide(style *show.RouteStyle, sel words.RouteSelection) {
	style.HideTOS = sel.TOS != nil
	style.HideGateway = sel.Via.IsSingleIP()
	style.HideDev = sel.Dev != ""
	style.HideTable = !sel.Filter.AllTables
	style.HideProtocol = sel.Protocol != nil
	style.HideScope = sel.Scope != nil
	style.HideSrc = sel.Src.IsSingleIP()
	style.HideMetric = sel.Metric != nil
	style.HideRealms = sel.RealmsMask == 1<<32-1
	style.HideInLink = sel.InDev != ""
}

func (s *session) routeGet(w *words.Words) error {
	q := w.RouteGet(s.Family)
	if w.Err != nil {
		return w.Err
	}
	if q.Help {
		return s.usage(routeHelp)
	}
	if !q.Dst.IsSingleIP() {
		s.note("the prefix length of %v is ignored: route get takes one address", q.Dst)
	}
	var err error
	if q.VRF {
		if _, err = s.vrfTable(q.OutDev); err != nil {
			return err
		}
	}
	if q.Query.InLink, err = s.linkIndex(q.InDev); err != nil {
		return err
	}
	if q.Query.Link, err = s.linkIndex(q.OutDev); err != nil {
		return err
	}
	return s.printRouteGet(q)
}

// printRouteGet looks up a route and prints it. With "connected" it prints the route twice, as ip(8) does: ip(8) looks
// the route up again with the source address of the first answer.
func (s *session) printRouteGet(q words.RouteGet) error {
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	r, err := c.RouteGet(q.Query)
	if err != nil {
		return err
	}
	answers := []rtnl.Route{r}
	if q.Connected && !q.Query.Src.IsValid() && !s.JSON {
		answers = append(answers, r)
	}
	style, err := s.routeStyle()
	if err != nil {
		return err
	}
	return show.Routes(s.out, answers, style)
}

// flushTime limits a flush while other programs add routes.
const flushTime = 30 * time.Second

// routeFlush deletes the selected routes and repeats until none is left.
func (s *session) routeFlush(w *words.Words) error {
	sel, err := s.selection(w)
	switch {
	case err != nil:
		return err
	case sel.Help:
		return s.usage(routeHelp)
	case !sel.Any:
		return &words.Error{Text: "what to flush?", Hint: "vnet route flush table all deletes all routes", Status: exitFailed}
	case sel.Filter.Cached && sel.Filter.Family != unix.AF_INET6:
		return s.flushCache()
	}
	c, err := s.rtnl()
	if err != nil {
		return err
	}
	if sel.Filter.Table == 0 && !sel.Filter.AllTables {
		sel.Filter.Table = unix.RT_TABLE_MAIN
	}
	for round, start := 0, time.Now(); ; round++ {
		routes, err := selectRoutes(c, sel)
		if err != nil {
			return err
		}
		requests := flushRequests(routes)
		if len(requests) == 0 {
			return s.flushed(round)
		}
		if err := s.flushRound(c, routes, requests, round+1); err != nil {
			return err
		}
		if time.Since(start) > flushTime {
			return fmt.Errorf("%d routes are left after %v: another program adds new ones", len(requests), flushTime)
		}
	}
}

// flushRequests makes the delete requests. It leaves out IPv6's built-in unreachable default route, which cannot be
// deleted.
func flushRequests(routes []rtnl.Route) []rtnl.Request {
	var requests []rtnl.Request
	for _, r := range routes {
		builtIn := r.Is6() && r.Dst.Bits() == 0 && r.Type == unix.RTN_UNREACHABLE && r.Metric == 1<<32-1
		if !builtIn {
			requests = append(requests, rtnl.DeleteRoute(r))
		}
	}
	return requests
}

// flushRound deletes the routes of one round and prints statistics with -stats.
func (s *session) flushRound(c *rtnl.Conn, routes []rtnl.Route, requests []rtnl.Request, round int) error {
	if s.Stats > 1 {
		style, err := s.routeStyle()
		if err != nil {
			return err
		}
		style.JSON = false
		if err := show.Routes(s.out, routes, style); err != nil {
			return err
		}
	}
	// Another program may have deleted a route already.
	if err := c.Do(requests...); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.Stats > 0 {
		fmt.Fprintf(s.out, "\n*** Round %d, deleting %d entries ***\n", round, len(requests))
	}
	return nil
}

func (s *session) flushed(rounds int) error {
	switch {
	case s.Stats == 0:
	case rounds == 0:
		fmt.Fprintln(s.out, "Nothing to flush.")
	case rounds == 1:
		fmt.Fprintln(s.out, "*** Flush is complete after 1 round ***")
	default:
		fmt.Fprintf(s.out, "*** Flush is complete after %d rounds ***\n", rounds)
	}
	return nil
}

// flushCache flushes the kernel's cache of IPv4 routes.
func (s *session) flushCache() error {
	flush := func() error { return nsfs.SetSysctl("net.ipv4.route.flush", "-1") }
	ns, err := s.namespace()
	if err == nil && ns != nil {
		err = nsfs.Do(ns, flush)
	} else if err == nil {
		err = flush()
	}
	if err == nil && s.Stats > 0 {
		fmt.Fprintln(s.out, "*** IPv4 routing cache is flushed.")
	}
	return err
}
