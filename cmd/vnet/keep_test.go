package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestKeepCommand runs vnet keep as systemd does: it tells when the lab is up, and that it reads the file again and
// stops, and it repairs the lab meanwhile. A file with mistakes changes nothing. Only signals end it.
func TestKeepCommand(t *testing.T) {
	w := newWorld(t)
	dir := t.TempDir()
	file, log := filepath.Join(dir, "kept.yaml"), filepath.Join(dir, "log")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const lab = "name: kept\nnetworks: {n: {subnets: [10.0.0.0/24]}}\nhosts: {red: {networks: [n]}}\n"
	write(lab)
	told := listenNotify(t, filepath.Join(dir, "notify"))
	pid := strings.TrimSpace(w.must("sh", "-c", fmt.Sprintf(
		"NOTIFY_SOCKET=%s/notify WATCHDOG_USEC=100000 vnet keep --json %s 2>%s >/dev/null & echo $!", dir, file, log)))
	told.wait("READY=1")
	told.wait("WATCHDOG=1")
	w.must("vnet", "link", "del", "red-eth0")
	w.must("sh", "-c", "i=0; until vnet status "+file+" >/dev/null || [ $i = 3000 ]; do i=$((i + 1)); sleep 0.02; done")

	write(lab + "wrong: 1\n")
	w.must("sh", "-c", "kill -HUP "+pid)
	told.wait("RELOADING=1\nMONOTONIC_USEC=")
	told.wait("READY=1")
	write(strings.ReplaceAll(lab, "red", "blue"))
	w.must("sh", "-c", "kill -HUP "+pid)
	told.wait("RELOADING=1")
	told.wait("READY=1")
	if out := w.must("vnet", "status", file); !strings.Contains(out, "no drift") || !strings.Contains(out, "blue") {
		t.Errorf("after the file changed:\n%s", out)
	}
	w.must("sh", "-c", "kill "+pid)
	told.wait("STOPPING=1")
	w.must("vnet", "status", file) // the lab stays up
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"msg":"the lab is up"`, `"msg":"repaired","lab":"kept","step":"+ link red-eth0`,
		`"level":"ERROR","msg":"cannot use the file`, `unknown key \"wrong\"`, `"step":"+ netns blue"`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the log has no %s:\n%s", part, text)
		}
	}
}

// A notifySocket receives what a service tells systemd.
type notifySocket struct {
	*testing.T
	conn *net.UnixConn
}

func listenNotify(t *testing.T, path string) notifySocket {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	return notifySocket{t, conn}
}

// wait waits for a message that begins with text.
func (n notifySocket) wait(text string) {
	n.Helper()
	var buf [1024]byte
	for {
		length, err := n.conn.Read(buf[:])
		if err != nil {
			n.Fatalf("not told %q: %v", text, err)
		}
		if strings.HasPrefix(string(buf[:length]), text) {
			return
		}
	}
}

// TestNotifyNobody sends more messages for the watchdog than the socket's queue holds, and nobody reads them.
func TestNotifyNobody(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	listenNotify(t, path)
	t.Setenv("NOTIFY_SOCKET", path)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2000 {
			notify(stillAlive)
		}
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		t.Fatal("notify waits for a reader")
	}
}
