package topo

// A Kind is a kind of object, as the JSON of plans names it. Consecutive steps of one
// kind go to the kernel together; see [Plan.Stages].
type Kind string

// The kinds, in the order of creation. Deletion is in reverse order.
const (
	OfNamespace  Kind = "netns"
	OfLink       Kind = "link"
	OfPort       Kind = "port"
	OfBridgeVLAN Kind = "vlan"
	OfQdisc      Kind = "qdisc"
	OfOffload    Kind = "offload"
	OfNAT        Kind = "nat"
	OfSysctl     Kind = "sysctl"
	OfAddrGen    Kind = "addrgenmode"
	OfUp         Kind = "up"
	OfAddress    Kind = "addr"
	OfNeigh      Kind = "neigh"
	OfProxy      Kind = "proxy"
	OfRoute      Kind = "route"
	OfRule       Kind = "rule"
	OfFile       Kind = "file"
	OfProcess    Kind = "process"
)

// kindRows have what is true for all objects of a kind, in the order of creation.
//
// Bridges are set up after everything that makes hosts send packets, and addresses on bridges
// come after that. Otherwise packets from new ports are flooded to all earlier ports, and a
// thousand hosts take several times as long.
//
// NAT comes before settings: the rules that protect the machine exist before forwarding and
// route_localnet are turned on, and until these have their former values again.
var kindRows = []kindRow{
	{kind: OfNamespace, heading: "namespaces"},
	{kind: OfLink, heading: "links", parentsFirst: true},
	{kind: OfPort, heading: "ports"},
	{kind: OfBridgeVLAN, heading: "VLANs of ports", vanishes: true},
	{kind: OfQdisc, heading: "impairments", vanishes: true},
	{kind: OfOffload, heading: "checksum offload"},
	{kind: OfNAT, heading: "NAT and isolation", vanishes: true, wave: withAllLinks},
	{kind: OfSysctl, heading: "settings", vanishes: true, wave: withAllLinks},
	{kind: OfAddrGen, heading: "IPv6 address generation", vanishes: true, stage: onLinks},
	{kind: OfUp, heading: "up and down", vanishes: true, stage: onLinks, parentsFirst: true},
	{kind: OfAddress, heading: "addresses", vanishes: true, stage: onLinks},
	{kind: OfNeigh, heading: "neighbours", vanishes: true, stage: onLinks},
	{kind: OfUp, onBridges: true},
	{kind: OfAddress, onBridges: true},
	{kind: OfNeigh, onBridges: true},
	{kind: OfRoute, heading: "routes", vanishes: true, stage: onLinks},
	{kind: OfRule, heading: "rules", vanishes: true, stage: onLinks},
	{kind: OfFile, heading: "files", stage: afterOnLinks},
	// The kernel deletes proxy entries when their link has no carrier: the peers are up before.
	{kind: OfProxy, heading: "proxy neighbours", vanishes: true},
	{kind: OfProcess, heading: "programs", wave: lastWave},
}

// A kindRow is a row of kindRows.
type kindRow struct {
	kind         Kind
	heading      string // in scripts
	onBridges    bool   // this row is only for objects on bridges; all others are in the kind's first row
	parentsFirst bool   // the objects of a link's parents come first
	vanishes     bool   // the kernel deletes the objects with their namespace or link; see onLink
	stage        stageGroup
	wave         wavePlace
	// The indexes of the kind's rows.
	place, placeOnBridges int
}

// A stageGroup says which kinds share a stage; see [Plan.Stages].
type stageGroup uint8

const (
	ownStage     stageGroup = iota // only objects of the same kind
	onLinks                        // a namespace's socket sends the requests of these kinds in one system call
	afterOnLinks                   // is at the end of a stage of these kinds, and is executed at the same time
)

// A wavePlace says in which wave an object comes; see inWaves.
type wavePlace uint8

const (
	withItsLink  wavePlace = iota
	withAllLinks           // after all links of the namespace: settings for all links change each link's
	lastWave
)

// kinds has the row of each kind.
var kinds = rowsByKind(kindRows)

func rowsByKind(rows []kindRow) map[Kind]kindRow {
	byKind := make(map[Kind]kindRow, len(rows))
	for i, row := range rows {
		if first, ok := byKind[row.kind]; ok {
			row, row.placeOnBridges = first, i
		} else {
			row.place, row.placeOnBridges = i, i
		}
		byKind[row.kind] = row
	}
	return byKind
}
