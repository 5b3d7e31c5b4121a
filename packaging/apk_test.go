// Package packaging makes the packages of vnet; see build. It has no code, only a test of packages whose own tools are
// not in Debian.
package packaging

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// one returns the content of the package in the folder $PACKAGES that the pattern fits.
func one(t *testing.T, pattern string) []byte {
	t.Helper()
	folder := os.Getenv("PACKAGES")
	if folder == "" {
		t.Skip("PACKAGES does not name a folder of packages")
	}
	found, err := filepath.Glob(filepath.Join(folder, pattern))
	if err != nil || len(found) != 1 {
		t.Fatal(found, err)
	}
	text, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// TestAPK checks the structure that apk expects: two compressed archives behind each other, without a signature. The
// first describes the package, and has the checksum of the second.
func TestAPK(t *testing.T) {
	text := one(t, "*_x86_64.apk")
	in := bytes.NewReader(text)
	z, err := gzip.NewReader(in)
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false)
	first, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	control := files(t, bytes.NewReader(first))
	for _, name := range []string{".PKGINFO", ".post-install", ".pre-deinstall", ".post-deinstall"} {
		if control[name] == "" {
			t.Errorf("no %s: %q", name, slices.Sorted(maps.Keys(control)))
		}
	}
	data := text[len(text)-in.Len():]
	sum := sha256.Sum256(data)
	info := control[".PKGINFO"]
	for _, line := range []string{"pkgname = vnet", "arch = x86_64", "license = Apache-2.0",
		"datahash = " + hex.EncodeToString(sum[:])} {
		if !strings.Contains("\n"+info, "\n"+line+"\n") {
			t.Errorf("no %q in\n%s", line, info)
		}
	}
	if z, err = gzip.NewReader(bytes.NewReader(data)); err != nil {
		t.Fatal(err)
	}
	if files(t, z)["usr/bin/vnet"] == "" {
		t.Error("no usr/bin/vnet")
	}
}

// TestIPK checks the structure that opkg expects: a compressed archive of debian-binary and two compressed archives.
func TestIPK(t *testing.T) {
	unzip := func(text string) io.Reader {
		z, err := gzip.NewReader(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	outer := files(t, unzip(string(one(t, "*_mipsel_24kc.ipk"))))
	if outer["./debian-binary"] != "2.0\n" {
		t.Errorf("debian-binary: %q", outer["./debian-binary"])
	}
	control := files(t, unzip(outer["./control.tar.gz"]))["./control"]
	for _, line := range []string{"Package: vnet", "Architecture: mipsel_24kc"} {
		if !strings.Contains("\n"+control, "\n"+line+"\n") {
			t.Errorf("no %q in\n%s", line, control)
		}
	}
	if files(t, unzip(outer["./data.tar.gz"]))["./usr/bin/vnet"] == "" {
		t.Error("no usr/bin/vnet")
	}
}

// TestModules checks that the list of modules has those that vnet needs.
func TestModules(t *testing.T) {
	var list struct {
		BOMFormat  string
		Components []struct{ Name, PURL string }
	}
	if err := json.Unmarshal(one(t, "*-amd64.cdx.json"), &list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, c := range list.Components {
		names = append(names, c.Name)
		if !strings.HasPrefix(c.PURL, "pkg:golang/") {
			t.Errorf("%s: %q", c.Name, c.PURL)
		}
	}
	for _, name := range []string{"golang.org/x/sys", "github.com/mdlayher/netlink", "go.yaml.in/yaml/v3"} {
		if !slices.Contains(names, name) || list.BOMFormat != "CycloneDX" {
			t.Errorf("no %s in %s %q", name, list.BOMFormat, names)
		}
	}
}

// files returns the files of an archive.
func files(t *testing.T, in io.Reader) map[string]string {
	t.Helper()
	found := map[string]string{}
	for archive := tar.NewReader(in); ; {
		header, err := archive.Next()
		if err != nil {
			return found // apk's first archive has no end mark
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		found[header.Name] = string(text)
	}
}
