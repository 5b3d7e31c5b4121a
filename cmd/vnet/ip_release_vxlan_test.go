package main

import (
	"regexp"
	"slices"
	"strings"
)

// undoVXLANs converts VXLANs as printed since 6.15 to the old output: options in another order, checksum options
// always, and other options in JSON only if they are on.
func undoVXLANs(printed string) string {
	printed = vxlanText.ReplaceAllStringFunc(printed, func(s string) string {
		m := vxlanText.FindStringSubmatch(s)
		on := map[string]bool{}
		for _, word := range strings.Fields(m[3]) {
			on[word] = true
		}
		say := func(words ...string) (all string) {
			for _, word := range words {
				if on[word] {
					all += word + " "
				}
			}
			return all
		}
		no := map[bool]string{true: "no"}
		return "vxlan " + say("external", "vnifilter") + m[1] + say("nolearning", "proxy", "rsc", "l2miss", "l3miss") + m[2] +
			no[on["noudp_csum"]] + "udpcsum " + no[!on["udp_zero_csum6_tx"]] + "udp6zerocsumtx " +
			no[!on["udp_zero_csum6_rx"]] + "udp6zerocsumrx " +
			say("gbp", "gpe") + m[4]
	})
	return vxlanJSON.ReplaceAllStringFunc(printed, func(s string) string {
		m := vxlanJSON.FindStringSubmatch(s)
		members := jsonMember.FindAllStringSubmatch(m[2], -1)
		all := make([]string, 0, len(members))
		for _, name := range oldVXLANOrder {
			i := slices.IndexFunc(members, func(m []string) bool { return m[1] == name })
			if i < 0 || members[i][2] == "false" && slices.Contains(onlyIfOn, name) {
				continue
			}
			all = append(all, strings.Replace(members[i][0], "null", "true", 1))
		}
		between := "," + m[2][:strings.IndexByte(m[2], '"')]
		return m[1] + between[1:] + strings.Join(all, between) + m[3]
	})
}

var (
	vxlanText = regexp.MustCompile(`vxlan (id \d+ .*?dstport \d+ )(.*?ageing \d+ (?:maxaddr \d+ )?)` +
		`(?:reserved_bits \w+ )?([a-z_0-9 ]*?)(addrgenmode|numtxqueues|\n|\\)`)
	vxlanJSON  = regexp.MustCompile(`(?s)("info_kind": ?"vxlan",\s*"info_data": ?\{)(.*?\}.*?)(\s*\})`)
	jsonMember = regexp.MustCompile(`"(\w+)": ?(\{[^}]*\}|"[^"]*"|\w+)`)

	oldVXLANOrder = []string{
		"external", "vnifilter", "id", "group", "group6", "remote", "remote6", "local", "local6", "link", "port_range",
		"port",
		"learning", "proxy", "rsc", "l2miss", "l3miss", "tos", "ttl", "df", "label", "ageing", "limit",
		"udp_csum", "udp_zero_csum6_tx", "udp_zero_csum6_rx", "remcsum_tx", "remcsum_rx", "gbp", "gpe",
	}
	onlyIfOn = []string{"external", "vnifilter", "proxy", "rsc", "l2miss", "l3miss", "remcsum_tx", "remcsum_rx"}
)
