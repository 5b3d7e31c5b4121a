package words_test

import (
	"bufio"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vnet-lab/vnet/cmd/vnet/internal/words"
)

// FuzzGrammar parses any line as options and as each object's words. Parsing must end without a panic, and each error
// must be one line.
func FuzzGrammar(f *testing.F) {
	files, err := filepath.Glob("../../testdata/same/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatal("no seed lines", err)
	}
	for _, file := range append(files, "../../testdata/bad/words.txt") {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			f.Add(strings.TrimPrefix(strings.TrimSpace(line), "$ vnet "))
		}
	}
	f.Fuzz(func(t *testing.T, line string) {
		args, _, err := words.BatchLine(bufio.NewReader(strings.NewReader(line)))
		if err != nil {
			return
		}
		opts, rest, err := words.ParseOptions(args)
		oneLine(t, err)
		if err != nil || len(rest) == 0 {
			return
		}
		for _, read := range readers(opts.Family) {
			w := words.Of(rest[1:])
			read(w)
			oneLine(t, w.Err)
		}
	})
}

// readers parse the words after each object.
func readers(family int) []func(*words.Words) {
	return []func(*words.Words){
		func(w *words.Words) { w.LinkChange(w.LinkVerb()) },
		func(w *words.Words) { w.LinkVerb(); w.LinkSelection() },
		func(w *words.Words) { w.LinkVerb(); w.LinkProperty() },
		func(w *words.Words) { w.AddrChange(w.AddrVerb(), family) },
		func(w *words.Words) { w.AddrVerb(); w.AddrSelection(family) },
		func(w *words.Words) { w.RouteChange(w.RouteVerb(), family) },
		func(w *words.Words) { w.RouteVerb(); w.RouteGet(family) },
		func(w *words.Words) { w.RouteVerb(); w.RouteSelection(family) },
		func(w *words.Words) { w.RuleVerb(); w.RuleChange(family) },
		func(w *words.Words) { w.RuleVerb(); w.RuleSelection(family) },
		func(w *words.Words) { w.NeighChange(w.NeighVerb(), family) },
		func(w *words.Words) { w.NeighVerb(); w.NeighSelection(family, false) },
		func(w *words.Words) { w.NATVerb(); w.NATRules(family) },
		func(w *words.Words) { w.Netns(false) },
	}
}

// oneLine checks that an error is one line.
func oneLine(t *testing.T, err error) {
	t.Helper()
	if err != nil && (err.Error() == "" || strings.Contains(strings.TrimSpace(err.Error()), "\n")) {
		t.Errorf("not one line: %q", err)
	}
}
