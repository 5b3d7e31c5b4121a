package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/vnet-lab/vnet/internal/display"
	"github.com/vnet-lab/vnet/nft"
	"github.com/vnet-lab/vnet/nft/ruleset"
	"github.com/vnet-lab/vnet/nsfs"
	"github.com/vnet-lab/vnet/topo/live"
)

// leftovers finds parts of labs that are left after a crash, or after another program deleted the rest.
func leftovers(Examination) (list []Finding, err error) {
	empty, labsErr := live.EmptyLabs()
	for _, lab := range empty {
		list = append(list, Finding{"left-over", "lab " + lab +
			" has neither hosts nor links any more, but objects are left of it",
			[]string{"vnet down " + lab}})
	}
	stale, namesErr := live.StaleNames(empty)
	for _, name := range stale {
		if f, ok := staleName(name); ok {
			list = append(list, f)
		}
	}
	conn, err := nft.Dial(nil)
	if err != nil {
		return list, err
	}
	defer conn.Close()
	tracing, err := ruleset.TraceTables(conn)
	if len(tracing) > 0 {
		f := Finding{Topic: "left-over", Text: "a vnet verify that was killed left the table " + ruleset.TraceTable +
			", which traces packets"}
		for _, family := range tracing {
			f.Remedy = append(f.Remedy, "nft delete table "+family+" "+ruleset.TraceTable)
		}
		list = append(list, f)
	}
	return list, errors.Join(labsErr, namesErr, err)
}

// staleName returns what to do about a name in [nsfs.Dir] without a namespace; false if it was deleted meanwhile.
func staleName(name string) (f Finding, ok bool) {
	path := filepath.Join(nsfs.Dir, name)
	file, err := os.Lstat(path)
	if err != nil {
		return f, false
	}
	what, remedy := "a device", []string{"rm " + quoted(path)}
	switch file.Mode().Type() {
	case 0:
		return Finding{"left-over", "the name " + name + " has no namespace any more", removeName(name)}, true
	case fs.ModeDir:
		what, remedy = directory(path)
	case fs.ModeSymlink:
		what = "a symbolic link to something else"
		if _, err := os.Stat(path); err != nil {
			what = "a symbolic link to nothing"
		}
	case fs.ModeSocket:
		what = "a socket"
	case fs.ModeNamedPipe:
		what = "a FIFO"
	}
	return Finding{"left-over", path + " is " + what + ", not a namespace", remedy}, true
}

// removeName returns the commands that delete a name. vnet netns would take a name with a dash for an option.
func removeName(name string) []string {
	path := filepath.Join(nsfs.Dir, name)
	switch {
	case !strings.HasPrefix(name, "-"):
		return []string{"vnet netns delete " + quoted(name)}
	case mountOf(path).path == path:
		return []string{"umount " + quoted(path), "rm " + quoted(path)}
	}
	return []string{"rm " + quoted(path)}
}

// directory returns what a directory is, and the commands that remove it. Files in it may be of use to somebody.
func directory(path string) (what string, remedy []string) {
	if mountOf(path).path == path {
		return "a mounted file system", []string{"umount " + quoted(path), "rmdir " + quoted(path)}
	}
	if files, err := os.ReadDir(path); err == nil && len(files) == 0 {
		return "an empty directory", []string{"rmdir " + quoted(path)}
	}
	free := nsfs.Dir + "-" + filepath.Base(path)
	for i := 2; ; i++ {
		if _, err := os.Lstat(free); err != nil {
			return "a directory with files", []string{"mv " + quoted(path) + " " + quoted(free)}
		}
		free = nsfs.Dir + "-" + filepath.Base(path) + "-" + strconv.Itoa(i)
	}
}

// A mount is a place of a file system.
type mount struct {
	path     string
	readOnly bool // the file system itself is read-only, not only this place
}

// mountOf returns the mount that contains a file; a zero value if it is not known.
func mountOf(path string) (m mount) {
	text, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 10 {
			continue
		}
		at := mountEscapes.Replace(fields[4])
		inside := at == "/" || path == at || strings.HasPrefix(path, at+"/")
		if inside && len(at) >= len(m.path) {
			options := strings.Split(fields[len(fields)-1], ",")
			m = mount{at, slices.Contains(options, "ro")}
		}
	}
	return m
}

// writable returns the command that makes the mount writable.
func (m mount) writable() string {
	if m.readOnly {
		return "mount -o remount,rw " + quoted(m.path)
	}
	return "mount -o remount,bind,rw " + quoted(m.path)
}

// mountEscapes decodes paths in mountinfo; see proc(5).
var mountEscapes = strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)

// quoted returns a name as one word of a shell command. Other programs chose the name, so it may contain anything.
func quoted(name string) string {
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-/") == "" {
		return name
	}
	if display.Printable(name) {
		return "'" + strings.ReplaceAll(name, "'", `'\''`) + "'"
	}
	octal := "" // a terminal does not show such characters
	for _, b := range []byte(name) {
		octal += fmt.Sprintf(`\%03o`, b)
	}
	return `"$(printf '` + octal + `')"`
}
