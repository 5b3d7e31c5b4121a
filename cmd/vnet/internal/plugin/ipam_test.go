//go:build linux

package plugin

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/cni"
)

// TestDelegate lets another plugin choose the addresses.
func TestDelegate(t *testing.T) {
	e := newEngine(t)
	config, ns := e.network("delegate", `"isDefaultGateway":true,"ipam":{"type":"chooser","log":"`+
		filepath.Join(e.folder, "log")+`"}`), newNS(t)
	log := func() string {
		text, _ := os.ReadFile(filepath.Join(e.folder, "log"))
		_ = os.Remove(filepath.Join(e.folder, "log"))
		return string(text)
	}
	r := e.add("c1", ns, config)
	if len(r.IPs) != 1 || r.IPs[0].Address != "10.94.0.7/24" || r.IPs[0].Gateway != "10.94.0.1" ||
		r.DNS == nil || r.DNS.Domain != "chosen" || len(r.Routes) != 2 {
		t.Errorf("%+v", r)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	e.fails(cni.CodeInternal, "already attached", "ADD", "c1", ns, config) // who is attached keeps the address
	e.ok("CHECK", "c1", ns, after(config, string(text)))
	e.ok("STATUS", "", "", config)
	e.ok("GC", "", "", config)
	e.ok("DEL", "c1", "", config)
	if got := log(); got != "ADD c1\nADD c1\nCHECK c1\nSTATUS \nGC \nDEL c1\n" {
		t.Errorf("the other plugin was called: %s", got)
	}
	sh(t, ns, "ip link add eth0 type bridge")
	e.fails(cni.CodeInternal, "eth0", "ADD", "c2", ns, config)
	if got := log(); got != "ADD c2\nDEL c2\n" {
		t.Errorf("after an error, the other plugin was called: %s", got)
	}
	e.fails(103, "no address for refused", "ADD", "refused", ns, config)
	missing := strings.Replace(config, "chooser", "absent", 1)
	e.fails(cni.CodeConfig, "absent", "ADD", "c1", ns, missing)
	e.fails(cni.CodeConfig, "absent", "STATUS", "", "", missing)
	for _, name := range []string{"vnet", "vnet-cni", "bridge"} { // each would call itself without end
		for _, command := range []string{"ADD", "DEL", "GC", "STATUS"} {
			e.fails(cni.CodeConfig, "does not choose addresses", command, "c1", ns, strings.Replace(config, "chooser", name, 1))
		}
	}
	e.fails(cni.CodeConfig, "../x", "ADD", "c1", ns, strings.Replace(config, "chooser", "../x", 1))
}

// choose is a plugin that chooses addresses. It writes to a log how it was called.
func choose() int {
	var config struct {
		IPAM struct{ Log string } `json:"ipam"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&config); err != nil {
		return 1
	}
	f, err := os.OpenFile(config.IPAM.Log, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	defer f.Close()
	id := os.Getenv("CNI_CONTAINERID")
	fmt.Fprintln(f, os.Getenv("CNI_COMMAND"), id)
	switch {
	case id == "refused":
		fmt.Println(`{"cniVersion":"1.1.0","code":103,"msg":"no address for refused"}`)
		return 1
	case os.Getenv("CNI_COMMAND") == "ADD":
		fmt.Println(`{"cniVersion":"1.1.0","ips":[{"address":"10.94.0.7/24","gateway":"10.94.0.1"}],` +
			`"routes":[{"dst":"10.99.0.0/16"}],"dns":{"domain":"chosen"}}`)
	}
	return 0
}
