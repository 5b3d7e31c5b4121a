package show

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// A counter is a link's counter with its name in JSON and its column title in the text.
type counter struct {
	json, title string
	value       uint64
}

// addStats adds the counters: as objects in JSON, and as two tables in the text. Both tables have the
// same column widths: each column is as wide as its widest number.
func (s LinkStyle) addStats(m *members, l rtnl.Link) {
	st := l.Stats
	rx := []counter{
		{"bytes", "bytes", st.RxBytes}, {"packets", "packets", st.RxPackets}, {"errors", "errors", st.RxErrors},
		{"dropped", "dropped", st.RxDropped}, {"over_errors", "missed", st.RxOverErrors},
		{"multicast", "mcast", st.Multicast},
	}
	tx := []counter{
		{"bytes", "bytes", st.TxBytes}, {"packets", "packets", st.TxPackets}, {"errors", "errors", st.TxErrors},
		{"dropped", "dropped", st.TxDropped}, {"carrier_errors", "carrier", st.TxCarrierErrors},
		{"collisions", "collsns", st.Collisions},
	}
	if st.RxCompressed != 0 {
		rx = append(rx, counter{"compressed", "compressed", st.RxCompressed})
	}
	if st.TxCompressed != 0 {
		tx = append(tx, counter{"compressed", "compressed", st.TxCompressed})
	}
	var rxErrors, txErrors []counter
	if s.Stats > 1 {
		rxErrors, txErrors = errorCounters(l)
	}
	widths := s.widths(rx, tx, rxErrors, txErrors)
	// As in ip(8), this column has the missed packets in the text and the overruns in JSON.
	text := append([]counter(nil), rx...)
	text[4].value = st.RxMissedErrors
	m.put("stats64", members{
		{"rx", counters(append(rx, rxErrors...)), ""}, {"tx", counters(append(tx, txErrors...)), ""},
	}, s.table("RX", widths, text)+s.errorTable("RX", widths, overrun(rxErrors, st))+s.table("TX", widths,
		tx)+s.errorTable("TX", widths, txErrors))
}

func errorCounters(l rtnl.Link) (rx, tx []counter) {
	st := l.Stats
	rx = []counter{
		{"length_errors", "length", st.RxLengthErrors}, {"crc_errors", "crc", st.RxCRCErrors},
		{"frame_errors", "frame", st.RxFrameErrors},
		{"fifo_errors", "fifo", st.RxFIFOErrors}, {"missed_errors", "overrun", st.RxMissedErrors},
	}
	if st.RxNohandler != 0 {
		rx = append(rx, counter{"nohandler", "nohandler", st.RxNohandler})
	}
	tx = []counter{
		{"aborted_errors", "aborted", st.TxAbortedErrors}, {"fifo_errors", "fifo", st.TxFIFOErrors},
		{"window_errors", "window", st.TxWindowErrors}, {"heartbeat_errors", "heartbt", st.TxHeartbeatErrors},
	}
	if l.Has(unix.IFLA_CARRIER_CHANGES) {
		tx = append(tx, counter{"carrier_changes", "transns", uint64(l.CarrierChanges)})
	}
	return rx, tx
}

// overrun returns the error counters for the text, with the overruns in the column of that title.
func overrun(rx []counter, st rtnl.Stats) []counter {
	rx = append([]counter(nil), rx...)
	if len(rx) > 4 {
		rx[4].value = st.RxOverErrors
	}
	return rx
}

func counters(all []counter) members {
	m := make(members, len(all))
	for i, c := range all {
		m[i] = member{c.json, c.value, ""}
	}
	return m
}

// statsColumns are the minimum column widths, from the titles.
var statsColumns = []int{len("*X errors:"), len("packets"), len("errors"), len("dropped"), len("heartbt"),
	len("overrun"), len("compressed")}

// widths returns the column widths. Error counters are one column further right.
func (s LinkStyle) widths(rx, tx, rxErrors, txErrors []counter) []int {
	widths := append([]int(nil), statsColumns...)
	fit := func(at int, c counter) {
		if at < len(widths) {
			widths[at] = max(widths[at], len(s.count(c.value)))
		}
	}
	for i := range rx {
		fit(i, rx[i])
	}
	for i := range tx {
		fit(i, tx[i])
	}
	for i := range rxErrors {
		fit(i+1, rxErrors[i])
	}
	for i := range txErrors {
		fit(i+1, txErrors[i])
	}
	return widths
}

// table returns a line of titles and a line of numbers.
func (s LinkStyle) table(name string, widths []int, row []counter) string {
	var titles, numbers strings.Builder
	for i := range widths {
		title, width := "", widths[i]
		if i < len(row) {
			title = row[i].title
			fmt.Fprintf(&numbers, "%*s ", widths[i], s.count(row[i].value))
		}
		if i == 0 {
			width -= len(name + ": ")
		}
		fmt.Fprintf(&titles, " %*s", width, title)
	}
	return "\n    " + name + ":" + titles.String() + "\n    " + numbers.String()
}

// errorTable is like table, for error counters; "" without any.
func (s LinkStyle) errorTable(name string, widths []int, row []counter) string {
	if len(row) == 0 {
		return ""
	}
	var titles, numbers strings.Builder
	for i, c := range row {
		fmt.Fprintf(&titles, " %*s", widths[i+1], c.title)
		fmt.Fprintf(&numbers, "%*s ", widths[i+1], s.count(c.value))
	}
	return fmt.Sprintf("\n    %s errors:%*s%s\n    %*s%s", name, widths[0]-len("RX errors:"), "", titles.String(),
		widths[0]+1, "", numbers.String())
}

// count formats a number; with -human, about three digits and a unit. -iec selects units of 1024.
func (s LinkStyle) count(n uint64) string {
	base := uint64(1000)
	if s.IEC {
		base = 1024
	}
	if !s.Human || n < base {
		return fmt.Sprint(n)
	}
	unit := base
	prefixes := "kMGTPE"
	for n/base >= unit && len(prefixes) > 1 {
		unit *= base
		prefixes = prefixes[1:]
	}
	precision := 2
	for limit := uint64(10); precision > 0 && n/unit >= limit; limit *= 10 {
		precision--
	}
	suffix := prefixes[:1]
	if s.IEC {
		suffix += "i"
	}
	return fmt.Sprintf("%.*f%s", precision, float64(n)/float64(unit), suffix)
}
