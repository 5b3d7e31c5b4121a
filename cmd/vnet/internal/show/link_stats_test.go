package show

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/rtnl"
)

// counted returns a link with a different number in each counter.
func counted() rtnl.Link {
	return rtnl.Link{
		Index: 2, Name: "v0", Seen: seen(unix.IFLA_STATS64, unix.IFLA_CARRIER_CHANGES), CarrierChanges: 31,
		Stats: rtnl.Stats{
			RxPackets: 1, TxPackets: 2, RxBytes: 3, TxBytes: 4, RxErrors: 5, TxErrors: 6, RxDropped: 7, TxDropped: 8,
			Multicast: 9, Collisions: 10,
			RxLengthErrors: 11, RxOverErrors: 12, RxCRCErrors: 13, RxFrameErrors: 14, RxFIFOErrors: 15, RxMissedErrors: 16,
			TxAbortedErrors: 17, TxCarrierErrors: 18, TxFIFOErrors: 19, TxHeartbeatErrors: 20, TxWindowErrors: 21,
		},
	}
}

// TestStats checks the columns, each as wide as its widest number.
func TestStats(t *testing.T) {
	wide, compressed := counted(), counted()
	wide.Stats.TxBytes, wide.Stats.RxPackets = 1234567890123, 12345678
	compressed.Stats.RxCompressed, compressed.Stats.RxNohandler = 22, 24
	both := compressed
	both.Stats.TxCompressed = 12345678901
	for _, tt := range []struct {
		what  string
		link  rtnl.Link
		stats int
		want  string
	}{
		{"narrow", counted(), 1, `
    RX:  bytes packets errors dropped  missed   mcast           
             3       1      5       7      16       9 
    TX:  bytes packets errors dropped carrier collsns           
             4       2      6       8      18      10 `},
		{"wide", wide, 1, `
    RX:     bytes  packets errors dropped  missed   mcast           
                3 12345678      5       7      16       9 
    TX:     bytes  packets errors dropped carrier collsns           
    1234567890123        2      6       8      18      10 `},
		{"errors", counted(), 2, `
    RX:  bytes packets errors dropped  missed   mcast           
             3       1      5       7      16       9 
    RX errors:  length    crc   frame    fifo overrun
                    11     13      14      15      12 
    TX:  bytes packets errors dropped carrier collsns           
             4       2      6       8      18      10 
    TX errors: aborted   fifo  window heartbt transns
                    17     19      21      20      31 `},
		{"compressed", compressed, 2, `
    RX:  bytes packets errors dropped  missed   mcast compressed
             3       1      5       7      16       9         22 
    RX errors:  length    crc   frame    fifo overrun  nohandler
                    11     13      14      15      12         24 
    TX:  bytes packets errors dropped carrier collsns           
             4       2      6       8      18      10 
    TX errors: aborted   fifo  window heartbt transns
                    17     19      21      20      31 `},
		{"compressed both ways", both, 1, `
    RX:  bytes packets errors dropped  missed   mcast  compressed
             3       1      5       7      16       9          22 
    TX:  bytes packets errors dropped carrier collsns  compressed
             4       2      6       8      18      10 12345678901 `},
	} {
		var m members
		LinkStyle{Style: Style{Stats: tt.stats}}.addStats(&m, tt.link)
		if got := m.text(); got != tt.want {
			t.Errorf("%s:%s\nwant%s", tt.what, got, tt.want)
		}
	}
}

// TestStatsJSON checks that the missed column of the text is over_errors in JSON, and vice versa.
func TestStatsJSON(t *testing.T) {
	for stats, want := range map[int]string{
		1: `{"stats64":{"rx":{"bytes":3,"packets":1,"errors":5,"dropped":7,"over_errors":12,"multicast":9},` +
			`"tx":{"bytes":4,"packets":2,"errors":6,"dropped":8,"carrier_errors":18,"collisions":10}}}`,
		2: `{"stats64":{"rx":{"bytes":3,"packets":1,"errors":5,"dropped":7,"over_errors":12,"multicast":9,` +
			`"length_errors":11,"crc_errors":13,"frame_errors":14,"fifo_errors":15,"missed_errors":16},` +
			`"tx":{"bytes":4,"packets":2,"errors":6,"dropped":8,"carrier_errors":18,"collisions":10,` +
			`"aborted_errors":17,"fifo_errors":19,"window_errors":21,"heartbeat_errors":20,"carrier_changes":31}}}`,
	} {
		var m members
		LinkStyle{Style: Style{Stats: stats}}.addStats(&m, counted())
		if got, err := m.MarshalJSON(); err != nil || string(got) != want {
			t.Errorf("-stats %d times: %v\n%s, want\n%s", stats, err, got, want)
		}
	}
}

// TestCount checks numbers with about three digits and a unit of 1000 or 1024.
func TestCount(t *testing.T) {
	for _, tt := range []struct {
		n                uint64
		plain, human, of string // of 1024
	}{
		{0, "0", "0", "0"},
		{999, "999", "999", "999"},
		{1000, "1000", "1.00k", "1000"},
		{1024, "1024", "1.02k", "1.00ki"},
		{9999, "9999", "10.00k", "9.76ki"},
		{10000, "10000", "10.0k", "9.77ki"},
		{100000, "100000", "100k", "97.7ki"},
		{1047552, "1047552", "1.05M", "1023ki"},
		{12345, "12345", "12.3k", "12.1ki"},
		{123456, "123456", "123k", "121ki"},
		{999999, "999999", "1000k", "977ki"},
		{1000000, "1000000", "1.00M", "977ki"},
		{1 << 30, "1073741824", "1.07G", "1.00Gi"},
		{1 << 40, "1099511627776", "1.10T", "1.00Ti"},
		{1<<64 - 1, "18446744073709551615", "18.4E", "16.0Ei"},
	} {
		for style, want := range map[Style]string{{}: tt.plain, {Human: true}: tt.human, {Human: true, IEC: true}: tt.of} {
			if got := (LinkStyle{Style: style}).count(tt.n); got != want {
				t.Errorf("%d, %+v: %q, want %q", tt.n, style, got, want)
			}
		}
	}
}
