package doctor

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/vnet-lab/vnet/internal/labtest"
)

// TestNoNamespaces: what is in the directory of namespaces and is none has a remedy that works.
func TestNoNamespaces(t *testing.T) {
	const dir = "/run/netns/"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ make, text, remedy string }{
		{"mkdir /run/netns/a", dir + "a is an empty directory, not a namespace", "rmdir /run/netns/a"},
		{"mkdir '/run/netns/a b'", dir + "a b is an empty directory, not a namespace", "rmdir '/run/netns/a b'"},
		{"mkdir /run/netns/a; touch /run/netns/a/x", "is a directory with files, not a namespace",
			"mv /run/netns/a /run/netns-a"},
		{"rm -r /run/netns-a; mkdir /run/netns-a /run/netns/a; touch /run/netns/a/x", "a directory with files",
			"mv /run/netns/a /run/netns-a-2"},
		{"mkdir /run/netns/a; mount -t tmpfs none /run/netns/a", "is a mounted file system, not a namespace",
			"umount /run/netns/a; rmdir /run/netns/a"},
		{"mkfifo /run/netns/a", dir + "a is a FIFO, not a namespace", "rm /run/netns/a"},
		{"ln -s nowhere /run/netns/a", dir + "a is a symbolic link to nothing, not a namespace", "rm /run/netns/a"},
		{"ln -s /etc/passwd /run/netns/a", dir + "a is a symbolic link to something else, not a namespace",
			"rm /run/netns/a"},
		{"socket", dir + "a is a socket, not a namespace", "rm /run/netns/a"},
		{"touch /run/netns/-a", "the name -a has no namespace any more", "rm /run/netns/-a"},
		{"mkfifo \"$(printf '/run/netns/a\\033b')\"", " is a FIFO, not a namespace", `rm "$(printf '\057`},
		{"mkfifo \"/run/netns/it's\"", " is a FIFO, not a namespace", `rm '/run/netns/it'\''s'`},
	} {
		if tt.make == "socket" {
			fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := unix.Bind(fd, &unix.SockaddrUnix{Name: dir + "a"}); err != nil {
				t.Fatal(err)
			}
			unix.Close(fd)
		} else {
			shell(t, tt.make)
		}
		found := topics(t, Examination{}, "left-over")
		if len(found) != 1 || !strings.Contains(found[0].Text, tt.text) ||
			!strings.HasPrefix(strings.Join(found[0].Remedy, "; "), tt.remedy) {
			t.Fatalf("%s: %v", tt.make, found)
		}
		mend(t, "", found[0])
		if got := topics(t, Examination{}, "left-over"); len(got) > 0 {
			t.Fatalf("%s: after the remedy: %v", tt.make, got)
		}
	}
}

// TestNoMarks: aliases and alternative names of lo that others made are no findings.
func TestNoMarks(t *testing.T) {
	labtest.NeedIP(t)
	for _, tt := range [][2]string{
		{"link set lo alias vnet:ghost", "link set lo alias ''"},
		{"link property add dev lo altname vnet:ghost", "link property del dev lo altname vnet:ghost"},
		{"link property add dev lo altname vnet:ghost:x=1", "link property del dev lo altname vnet:ghost:x=1"},
	} {
		shell(t, "ip "+tt[0])
		if got := topics(t, Examination{}, "left-over"); len(got) > 0 {
			t.Errorf("%s: %v", tt[0], got)
		}
		shell(t, "ip "+tt[1])
	}
}

// TestTraceTables: the remedy deletes those tables of a killed vnet verify that exist.
func TestTraceTables(t *testing.T) {
	for _, tables := range []string{"inet", "bridge", "bridge inet"} {
		for family := range strings.FieldsSeq(tables) {
			shell(t, "nft add table "+family+" vnettrace")
		}
		found := topics(t, Examination{}, "left-over")
		if len(found) != 1 {
			t.Fatalf("%s: %v", tables, found)
		}
		mend(t, "", found[0])
		if got := topics(t, Examination{}, "left-over"); len(got) > 0 {
			t.Errorf("%s: after the remedy: %v", tables, got)
		}
	}
}
