//go:build linux

package plugin

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/cni"
	"github.com/vnet-lab/vnet/nsfs"
)

// TestMain runs the test binary as the plugin, as a plugin that chooses addresses, or as the tests, by its name.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "vnet", "vnet-cni", "vnet-netavark", "bridge":
		os.Exit(Run(os.Args, "v1", nil))
	case "chooser":
		os.Exit(choose())
	}
	os.Exit(nsfs.Sandbox(m.Run))
}

// An engine calls the plugin as libcni does: with an environment and standard input.
type engine struct {
	*testing.T
	folder string // CNI_PATH
}

func newEngine(t *testing.T) engine {
	t.Helper()
	e := engine{t, t.TempDir()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"vnet", "vnet-cni", "vnet-netavark", "bridge", "chooser"} {
		if err := os.Symlink(self, filepath.Join(e.folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return e
}

// network returns a configuration, and cleans up after the test.
func (e engine) network(name, keys string) string {
	config := fmt.Sprintf(`{"cniVersion":"1.1.0","name":%q,"type":"vnet","bridge":%q,%s}`, name, "br-"+name, keys)
	e.Cleanup(func() {
		all := strings.Replace(config, "{", `{"cni.dev/valid-attachments":[],`, 1)
		if out, code := e.run("vnet", all, "CNI_COMMAND=GC"); code != 0 {
			e.Errorf("GC at the end: %s", out)
		}
		if _, err := net.InterfaceByName("br-" + name); err == nil {
			e.Errorf("the bridge of %s is left", name)
		}
	})
	return config
}

// run runs a plugin, with arguments after its name, and returns its standard output.
func (e engine) run(program, stdin string, env ...string) (out string, code int) {
	e.Helper()
	program, args, _ := strings.Cut(program, " ")
	cmd := exec.Command(filepath.Join(e.folder, program), strings.Fields(args)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "CNI_PATH=" + e.folder}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	err := cmd.Run()
	if stderr.Len() > 0 {
		e.Log(stderr.String())
	}
	if cmd.ProcessState == nil {
		e.Fatal(err)
	}
	return stdout.String(), cmd.ProcessState.ExitCode()
}

// call calls the plugin for one container.
func (e engine) call(command, id, ns, config string, env ...string) (out string, code int) {
	e.Helper()
	return e.run("vnet", config, append([]string{"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + id, "CNI_NETNS=" + ns,
		"CNI_IFNAME=eth0"}, env...)...)
}

// ok calls the plugin; it must succeed.
func (e engine) ok(command, id, ns, config string, env ...string) string {
	e.Helper()
	out, code := e.call(command, id, ns, config, env...)
	if code != 0 {
		e.Fatalf("%s %s: exit code %d: %s", command, id, code, out)
	}
	return out
}

// add attaches a container and returns the result.
func (e engine) add(id, ns, config string, env ...string) (r cni.Result) {
	e.Helper()
	if err := json.Unmarshal([]byte(e.ok("ADD", id, ns, config, env...)), &r); err != nil {
		e.Fatal(err)
	}
	return r
}

// fails calls the plugin; it must answer with one error of this code, and with text that contains words.
func (e engine) fails(code int, words, command, id, ns, config string, env ...string) {
	e.Helper()
	out, exit := e.call(command, id, ns, config, env...)
	var answer cni.Error
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		e.Fatalf("%s: not one JSON object: %s", command, out)
	}
	if exit == 0 || answer.Code != code || !strings.Contains(answer.Error(), words) || answer.Version == "" {
		e.Errorf("%s: exit code %d, answer %s; want code %d and %q", command, exit, out, code, words)
	}
}

// after returns a configuration with the result of ADD, as CHECK needs it.
func after(config, result string) string {
	return strings.TrimSuffix(config, "}") + `,"prevResult":` + result + "}"
}

// with adds keys to a configuration.
func with(config, keys string) string { return strings.TrimSuffix(config, "}") + "," + keys + "}" }

// newNS makes a namespace and returns its path.
func newNS(t *testing.T) string {
	t.Helper()
	ns, err := nsfs.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ns.Close() })
	return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), ns.Fd())
}

// sh runs a script in a namespace; "" is the machine.
func sh(t *testing.T, ns, script string) (out string) {
	t.Helper()
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil && strings.Contains(script, tool+" ") {
			t.Skipf("no %s on this machine", tool)
		}
	}
	err := in(ns, func() error {
		b, err := exec.Command("sh", "-ec", script).CombinedOutput()
		out = string(b)
		return err
	})
	if err != nil {
		t.Fatalf("%s\n%s%v", script, out, err)
	}
	return out
}

func in(ns string, fn func() error) error {
	if ns == "" {
		return fn()
	}
	file, err := nsfs.OpenPath(ns)
	if err != nil {
		return err
	}
	defer file.Close()
	return nsfs.Do(file, fn)
}

// serve answers each connection and each datagram to a port of a namespace with a name.
func serve(t *testing.T, ns, name string, port int) {
	t.Helper()
	for _, family := range []string{"4", "6"} {
		var l net.Listener
		var p net.PacketConn
		err := in(ns, func() (err error) {
			if l, err = net.Listen("tcp"+family, fmt.Sprint(":", port)); err == nil {
				p, err = net.ListenPacket("udp"+family, fmt.Sprint(":", port))
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close(); p.Close() })
		go answerConnections(l, name)
		go answerDatagrams(p, name)
	}
}

func answerConnections(l net.Listener, name string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, name)
		c.Close()
	}
}

func answerDatagrams(p net.PacketConn, name string) {
	var buffer [64]byte
	for {
		_, from, err := p.ReadFrom(buffer[:])
		if err != nil {
			return
		}
		_, _ = p.WriteTo([]byte(name), from)
	}
}

// ask returns the answer of a server that a namespace reaches at an address.
func ask(ns, network, address string) (answer string, err error) {
	err = in(ns, func() error {
		c, err := net.DialTimeout(network, address, 2*time.Second)
		if err != nil {
			return err
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(2 * time.Second)); err != nil {
			return err
		}
		if network == "udp" {
			_, err = io.WriteString(c, "?")
		}
		buffer := make([]byte, 64)
		n, readErr := c.Read(buffer)
		answer = string(buffer[:n])
		if err == nil && n == 0 {
			err = readErr
		}
		return err
	})
	return answer, err
}

// reaches checks what answers at an address. It asks again if nothing does: a busy machine loses packets.
func reaches(t *testing.T, ns, network, address, name string) {
	t.Helper()
	got, err := ask(ns, network, address)
	for tries := 1; err != nil && tries < 15; tries++ {
		got, err = ask(ns, network, address)
	}
	if err != nil || got != name {
		t.Errorf("%s %s: got %q, %v; want %q", network, address, got, err, name)
	}
}

// outside makes a namespace beside the machine, with the addresses 192.0.2.2 and 2001:db8::2.
func outside(t *testing.T) string {
	t.Helper()
	ns := newNS(t)
	sh(t, "", `ip link set lo up; ip link add out0 type veth peer name eth0 netns `+ns+`
		ip addr add 192.0.2.1/24 dev out0; ip addr add 2001:db8::1/64 dev out0 nodad; ip link set out0 up`)
	sh(t, ns, `ip link set lo up; ip link set eth0 up
		ip addr add 192.0.2.2/24 dev eth0; ip addr add 2001:db8::2/64 dev eth0 nodad`)
	t.Cleanup(func() { sh(t, "", "ip link del out0") })
	return ns
}

// TestInputLimit: a plugin does not read without end.
func TestInputLimit(t *testing.T) {
	e, text := newEngine(t), strings.Repeat(" ", maxInput+1)
	e.fails(cni.CodeIO, "more than 16777216 bytes", "ADD", "c1", "/proc/self/ns/net", text)
	for _, words := range []string{"create", "setup /x", "teardown /x"} {
		if out, code := e.run("vnet-netavark "+words, text); code != 1 || !strings.Contains(out, "more than") {
			t.Errorf("%s: %d, %s", words, code, out)
		}
	}
}
