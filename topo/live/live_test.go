package live

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
	"github.com/vnet-lab/vnet/topo"
)

// example compiles a file of examples/.
func example(t testing.TB, name string) (lab string, want topo.State) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "examples", name))
	if err != nil {
		t.Fatal(err)
	}
	return labtest.Compiled(t, string(text))
}

// openKernel opens a lab and takes it down after the test.
func openKernel(t testing.TB, lab string) *Kernel {
	t.Helper()
	k := openWithoutCleanup(t, lab)
	t.Cleanup(func() {
		withoutFaults(k)
		if _, err := k.Down(context.Background(), nil); err != nil {
			t.Error(err)
		}
		k.Close()
	})
	return k
}

// openWithoutCleanup is like openKernel, but the caller closes the Kernel and takes the lab down.
func openWithoutCleanup(t testing.TB, lab string) *Kernel {
	t.Helper()
	k, err := OpenKernel(context.Background(), lab, nil)
	if err != nil {
		t.Fatal(err)
	}
	k.table.Etc = "/run/etc-netns"
	return k
}

// prepareExample creates the namespace that an example adopts.
func prepareExample(t testing.TB, name string) {
	if name != "container.yaml" {
		return
	}
	labtest.IP(t, "netns add box")
	t.Cleanup(func() { labtest.IP(t, "netns del box") })
}

// volatileFields are the timers of a bridge, and the carrier states that the kernel updates
// with a delay.
var volatileFields = regexp.MustCompile(
	`("[a-z_]+_timer":|"operstate":) *(?:[0-9.]+|"[A-Z]+")|"(?:NO-CARRIER|LOWER_UP)",?`,
)

// machineState returns what the real tools print about the machine's namespace, without
// counters and volatileFields.
func machineState(t testing.TB) string {
	t.Helper()
	var b strings.Builder
	for _, cmd := range []string{
		"ip -j -d link", "ip -j addr", "ip -j route show table all", "ip -j -6 route show table all",
		"ip -j neigh show nud permanent", "ip -j rule", "ip -j -6 rule", "ls /run/netns", "nft list ruleset",
		"sysctl -a --pattern ^net\\.(ipv4|ipv6)\\.(conf|ip_|ping)", "find /run/etc-netns /etc/netns -type f",
	} {
		words := strings.Fields(cmd)
		out, _ := exec.Command(words[0], words[1:]...).Output()
		out = volatileFields.ReplaceAll(out, []byte(`$1`))
		fmt.Fprintf(&b, "## %s\n%s\n", cmd, strings.ReplaceAll(string(out), "},{", "},\n{"))
	}
	return b.String()
}

func examples(t testing.TB) []string {
	files, err := filepath.Glob("../../examples/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no examples", err)
	}
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	return files
}

// eachExample runs a test on each example that this kernel supports.
func eachExample(t *testing.T, test func(t *testing.T, k *Kernel, want topo.State)) {
	eachSupportedExample(t, func(t *testing.T, name string) {
		lab, want := example(t, name)
		test(t, openKernel(t, lab), want)
	})
}

// eachSupportedExample runs a test with the name of each example that this kernel supports.
func eachSupportedExample(t *testing.T, test func(t *testing.T, name string)) {
	unix.Mkdir("/run/etc-netns", 0o755)
	for _, name := range examples(t) {
		t.Run(name, func(t *testing.T) {
			if name == "thousand.yaml" && testing.Short() {
				t.Skip("a thousand hosts take a while: -short")
			}
			prepareExample(t, name)
			_, want := example(t, name)
			if err := missingFeatures(topo.Diff(nil, want)); errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err)
			}
			test(t, name)
		})
	}
}

func TestLaw6_SnapshotAfterUpIsWhatWasCompiled(t *testing.T) {
	eachExample(t, func(t *testing.T, k *Kernel, want topo.State) {
		before := machineState(t)
		if _, err := k.Up(t.Context(), want, nil); err != nil {
			t.Fatal(err)
		}
		have, err := k.Snapshot(want)
		if err != nil {
			t.Fatal(err)
		}
		if !have.Equal(want) {
			t.Errorf("-want +got:\n%s", cmp.Diff(want.String(), have.String()))
		}
		if again, err := k.Up(t.Context(), want, nil); err != nil || len(again) != 0 {
			t.Errorf("the second up has steps: %v\n%s", err, again)
		}
		if _, err := k.Down(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if left, err := k.Snapshot(nil); err != nil || len(left) != 0 {
			t.Errorf("left after down: %v\n%s", err, left)
		}
		if diff := cmp.Diff(before, machineState(t)); diff != "" {
			t.Errorf("the machine is not as before (-before +after):\n%s", diff)
		}
	})
}
