//go:build linux

package ruleset_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/internal/testmain"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nsfs"
)

func TestMain(m *testing.M) { os.Exit(testmain.Run(m)) }

func needNFT(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("nft"); err != nil {
		t.Skip("no nft on this machine to make rules with")
	}
}

// runNFT runs nft in the sandbox's namespace, and returns its output.
func runNFT(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	cmd := exec.Command("nft", args...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("nft %q: %v\n%s\n%s", args, err, out, stdin)
	}
	return string(out)
}

func dial(t *testing.T) *nft.Conn {
	t.Helper()
	c, err := nft.Dial(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// enterNew moves a test into a new namespace. In the sandbox's own, an unprivileged user cannot list the tables of
// iptables-legacy, because the kernel makes that namespace before it knows the ids of the user namespace.
func enterNew(t *testing.T) {
	t.Helper()
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	if err := nsfs.Enter(ns); err != nil {
		t.Fatal(err)
	}
}

// shell runs a shell script in a namespace.
func shell(t *testing.T, ns *os.File, script string) string {
	t.Helper()
	var out []byte
	err := nsfs.Do(ns, func() (err error) {
		out, err = exec.Command("sh", "-ec", script).CombinedOutput()
		return err
	})
	if err != nil {
		t.Fatalf("%s\n%s\n%v", script, out, err)
	}
	return string(out)
}
