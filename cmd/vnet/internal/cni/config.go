//go:build linux

package cni

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
)

// A Config is the configuration of a network, as an engine sends it. [encoding/json] also accepts other capitals:
// containerd sends HostPort for hostPort.
type Config struct {
	Version string `json:"cniVersion"`
	Name    string `json:"name"`
	Type    string `json:"type"`

	// Keys of the reference plugin bridge.
	Bridge           string `json:"bridge"`
	IsGateway        *bool  `json:"isGateway"`
	IsDefaultGateway *bool  `json:"isDefaultGateway"`
	IPMasq           bool   `json:"ipMasq"`
	MTU              int    `json:"mtu"`
	HairpinMode      *bool  `json:"hairpinMode"`
	PortIsolation    bool   `json:"portIsolation"`
	refused

	// Keys of vnet.
	Subnets []string    `json:"subnets"` // a short form of ipam
	Ranges  [][]poolKey `json:"ranges"`  // the same as ipam.ranges
	Isolate bool        `json:"isolate"` // the same as portIsolation
	Routed  *bool       `json:"routed"`

	IPAM    IPAM            `json:"ipam"`
	DNS     DNS             `json:"dns"`
	Args    argsKey         `json:"args"`
	Runtime Runtime         `json:"runtimeConfig"`
	Prev    json.RawMessage `json:"prevResult"`

	// Valid are the attachments that GC keeps. The key may be there with the value null, which is an empty list.
	Valid    json.RawMessage `json:"cni.dev/valid-attachments"`
	ValidOld json.RawMessage `json:"cni.dev/attachments"`
}

// The keys of bridge that vnet refuses, because it would not do what they say.
type refused struct {
	Vlan        int               `json:"vlan"`
	VlanTrunk   []json.RawMessage `json:"vlanTrunk"`
	Promisc     bool              `json:"promiscMode"`
	SpoofCheck  bool              `json:"macspoofchk"`
	EnableDAD   bool              `json:"enabledad"`
	NoInterface bool              `json:"disableContainerInterface"`
	MasqBackend string            `json:"ipMasqBackend"`
}

// A Runtime is what an engine adds for one container.
type Runtime struct {
	Ports     []PortMapping   `json:"portMappings"`
	IPs       []string        `json:"ips"`
	MAC       string          `json:"mac"`
	Ranges    [][]poolKey     `json:"ipRanges"`
	DNS       runtimeDNS      `json:"dns"`
	Bandwidth json.RawMessage `json:"bandwidth"`
}

// A PortMapping publishes a port.
type PortMapping struct {
	HostPort      int    `json:"hostPort"`
	ContainerPort int    `json:"containerPort"`
	Protocol      string `json:"protocol"`
	HostIP        string `json:"hostIP"`
}

type runtimeDNS struct {
	Servers  []string `json:"servers"`
	Searches []string `json:"searches"`
	Options  []string `json:"options"`
}

type argsKey struct {
	CNI struct {
		IPs []string `json:"ips"`
		MAC string   `json:"mac"`
	} `json:"cni"`
}

// DNS is for the container's resolver.
type DNS struct {
	Servers []string `json:"nameservers,omitempty"`
	Domain  string   `json:"domain,omitempty"`
	Search  []string `json:"search,omitempty"`
	Options []string `json:"options,omitempty"`
}

func (d DNS) empty() bool {
	return len(d.Servers) == 0 && d.Domain == "" && len(d.Search) == 0 && len(d.Options) == 0
}

// An Attachment is one link of one container.
type Attachment struct {
	ContainerID string `json:"containerID"`
	Link        string `json:"ifname"`
}

// since is the oldest version of the specification that has a command.
var since = map[string]string{"ADD": "0.3.1", "DEL": "0.3.1", "CHECK": "0.4.0", "STATUS": "1.1.0", "GC": "1.1.0"}

// Parse reads the configuration of one command. A configuration without a version is of version 0.1.0, which is not
// supported.
func Parse(command string, text []byte) (*Config, error) {
	c := &Config{}
	if len(bytes.TrimSpace(text)) == 0 {
		return c, fail(CodeDecode, "%s: standard input has no configuration", command)
	}
	if err := json.Unmarshal(text, c); err != nil {
		return c, decodeError("the configuration", err)
	}
	missing := ""
	if c.Version == "" {
		c.Version, missing = "0.1.0", "cniVersion is missing; "
	}
	if at := slices.Index(versions, c.Version); at < 0 {
		e := fail(CodeVersion, "%scniVersion %q is not supported", missing, c.Version)
		e.Details = "supported: 0.3.1, 0.4.0, 1.0.0, 1.1.0"
		return c, e
	} else if at < slices.Index(versions, since[command]) {
		return c, fail(CodeVersion, "%s needs cniVersion %s, not %s", command, since[command], c.Version)
	}
	if !validName(c.Name) {
		return c, fail(CodeConfig, "name: expected %s, not %q", nameForm, c.Name)
	}
	return c, nil
}

// decodeError names the key with a value of another type in the words of JSON, not of Go.
func decodeError(what string, err error) *Error {
	var wrong *json.UnmarshalTypeError
	if !errors.As(err, &wrong) || wrong.Field == "" {
		return fail(CodeDecode, "read %s: %v", what, err)
	}
	want := map[reflect.Kind]string{reflect.Slice: "a list", reflect.Struct: "an object", reflect.Bool: "true or false",
		reflect.String: "a string"}[wrong.Type.Kind()]
	return fail(CodeDecode, "read %s: %s: expected %s, got %s", what, wrong.Field, cmp.Or(want, "a number"), wrong.Value)
}

// Keep returns the attachments that GC keeps, and whether the engine sent a list at all. Without one, nothing may be
// removed that could be alive.
func (c *Config) Keep() (keep []Attachment, sent bool, err error) {
	for _, list := range []json.RawMessage{c.Valid, c.ValidOld} {
		if list == nil {
			continue
		}
		if err := json.Unmarshal(list, &keep); err != nil {
			return nil, false, fail(CodeDecode, "read cni.dev/valid-attachments: %v", err)
		}
		return keep, true, nil
	}
	return nil, false, nil
}

// Notes are for standard error: keys that have no effect here.
func (c *Config) Notes() (notes []string) {
	if limits := bytes.TrimSpace(c.Runtime.Bandwidth); len(limits) > 0 && !bytes.Equal(limits, []byte("null")) {
		notes = append(notes, "bandwidth is not limited by this plugin; put the plugin bandwidth after it")
	}
	return notes
}
