package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// testedElsewhere are the pages that TestDocs does not run, with the reason.
var testedElsewhere = map[string]string{
	"vm.md": "test/vm/vagrant.sh and examples/vagrant/test.sh run its commands in virtual machines",
}

// TestDocs runs each page of docs/ in a world and a working folder of its own. A page shows only what was run: each of
// its code blocks is fenced and is one of
//
//	```console            Lines that begin with "# " are commands, typed by root; a \ at the end continues one on the
//	                      next line. One shell runs all commands of the block. The lines after a command are all that
//	                      it prints: "…" in a line stands for any text, a line "…" for any number of lines, and two
//	                      spaces or more between words for any width. A command must succeed, unless it prints
//	                      "vnet: error: …" or the next command is "echo $?".
//	```text               A picture, never run.
//	<!-- file: NAME -->   On the line before: the block is written to this file of the working folder.
//	<!-- content: NAME --> The block is the content of this file of the working folder, with "…" as above.
//	<!-- from: NAME -->   The block is a part of this file of the repository.
//	<!-- not run: WHY --> The block is not run.
//
// The working folder has the folder examples of the repository. Each section "## …" is a subtest. If the kernel lacks a
// feature, the rest of the section is skipped. A section may need those before it, so run whole pages. After the last
// block, no lab may be up. With -update, it writes what was
// printed into the pages, where that differs.
func TestDocs(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the pages run hundreds of commands")
	}
	pages, err := docPages()
	if err != nil || len(pages) == 0 {
		t.Fatal("no pages", err)
	}
	for _, page := range pages {
		if testedElsewhere[page] != "" {
			continue
		}
		t.Run(page, func(t *testing.T) {
			t.Parallel() // most of the time, they wait for packets that are lost
			path := filepath.Join(root, "docs", page)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			d := newDocRun(t, string(text))
			d.update = *update
			for _, section := range d.sections() {
				t.Run(section.title, func(t *testing.T) {
					if err := d.run(section); errors.As(err, new(docMissing)) {
						t.Skip(err)
					} else if err != nil {
						t.Error(err)
					}
				})
			}
			if left := d.w.must("vnet", "ls"); left != "" {
				t.Errorf("labs are up at the end:\n%s", left)
			}
			if text := d.edited(); len(d.edits) > 0 {
				if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// docPages lists the pages, relative to docs/.
func docPages() (pages []string, err error) {
	err = fs.WalkDir(os.DirFS(filepath.Join(root, "docs")), ".", func(path string, _ fs.DirEntry, err error) error {
		if strings.HasSuffix(path, ".md") {
			pages = append(pages, path)
		}
		return err
	})
	return pages, err
}

// A docRun runs a page.
type docRun struct {
	w      *world
	folder string
	lines  []string // of the page
	update bool
	edits  []docEdit
}

// A docEdit replaces lines of the page: what was expected by what was printed.
type docEdit struct {
	first, count int
	lines        []string
}

// A docBlock is a fenced block, or a mistake in the place of one.
type docBlock struct {
	line        int // index of the fence, from 0
	language    string
	role, value string // of the comment before it
	text        []string
	mistake     string
}

type docSection struct {
	title  string
	blocks []docBlock
}

func newDocRun(t *testing.T, text string) *docRun {
	t.Helper()
	run := &docRun{w: newWorld(t), folder: t.TempDir(), lines: strings.Split(text, "\n")}
	run.w.must("sh", "-c", "vnet link set lo up") // as on every machine
	examples, err := filepath.Abs(filepath.Join(root, "examples"))
	if err == nil {
		err = os.Symlink(examples, filepath.Join(run.folder, "examples"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return run
}

var docComment = regexp.MustCompile(`^<!-- (file|from|content|not run): (.*\S) -->$`)

// sections finds the sections of the page and their blocks.
func (d *docRun) sections() []docSection {
	sections := []docSection{{title: "top"}}
	for i := 0; i < len(d.lines); i++ {
		line, last := d.lines[i], &sections[len(sections)-1]
		if title, ok := strings.CutPrefix(line, "## "); ok {
			sections = append(sections, docSection{title: title})
			continue
		}
		language, fenced := strings.CutPrefix(line, "```")
		if !fenced {
			if strings.HasPrefix(line, "    ") || strings.HasPrefix(strings.TrimLeft(line, " "), "```") {
				last.blocks = append(last.blocks, docBlock{line: i, mistake: "an indented block; write a fenced one"})
			}
			continue
		}
		b := docBlock{line: i, language: language}
		if i > 0 {
			if m := docComment.FindStringSubmatch(d.lines[i-1]); m != nil {
				b.role, b.value = m[1], m[2]
			}
		}
		size := slices.Index(d.lines[i+1:], "```")
		if size < 0 {
			size, b.mistake = len(d.lines)-i-1, "the block does not end"
		}
		b.text = d.lines[i+1 : i+1+size]
		last.blocks = append(last.blocks, b)
		i += 1 + size
	}
	return sections
}

// A docMissing is an error of vnet: the kernel lacks a feature.
type docMissing string

func (m docMissing) Error() string { return string(m) }

// run runs the blocks of a section until the first that is wrong.
func (d *docRun) run(s docSection) error {
	for _, b := range s.blocks {
		if err := d.block(b); err != nil {
			return err
		}
	}
	return nil
}

func (d *docRun) block(b docBlock) error {
	switch {
	case b.mistake != "":
		return fmt.Errorf("%d: %s", b.line+1, b.mistake)
	case b.role == "not run", b.role == "" && b.language == "text":
		return nil
	case b.role == "file":
		return d.write(b)
	case b.role == "from":
		return partOf(filepath.Join(root, b.value), b)
	case b.role == "content":
		text, err := os.ReadFile(filepath.Join(d.folder, b.value))
		if err != nil {
			return fmt.Errorf("%d: %w", b.line+1, err)
		}
		return d.compare(b.value, b.line+1, b.text, string(text))
	case b.language == "console":
		return d.console(b)
	}
	return fmt.Errorf("%d: a block %q without a comment that says how it is tested", b.line+1, b.language)
}

// write writes a file of the working folder, but never one of the repository.
func (d *docRun) write(b docBlock) error {
	if !filepath.IsLocal(b.value) || strings.HasPrefix(b.value, "examples/") {
		return fmt.Errorf("%d: %s is not in the working folder", b.line+1, b.value)
	}
	path := filepath.Join(d.folder, b.value)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(strings.Join(b.text, "\n")+"\n"), 0o755)
}

// partOf checks that the lines of a block follow each other in a file.
func partOf(path string, b docBlock) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%d: %w", b.line+1, err)
	}
	if !strings.Contains("\n"+string(text), "\n"+strings.Join(b.text, "\n")+"\n") {
		return fmt.Errorf("%d: %s does not have these lines", b.line+1, b.value)
	}
	return nil
}

// A docCommand is a command with the output that the page shows.
type docCommand struct {
	text  string
	first int // index of the first line of its output
	want  []string
}

func (b docBlock) commands() (all []docCommand, err error) {
	continued := false
	for i, line := range b.text {
		text, begins := strings.CutPrefix(line, "# ")
		switch {
		case continued:
			last := &all[len(all)-1]
			last.text += "\n" + line
			last.first++
		case begins:
			line = text
			all = append(all, docCommand{text: text, first: b.line + i + 2})
		case len(all) == 0:
			return nil, fmt.Errorf("%d: no command before this line", b.line+i+2)
		default:
			last := &all[len(all)-1]
			last.want = append(last.want, line)
		}
		continued = (continued || begins) && strings.HasSuffix(line, `\`)
	}
	if len(all) == 0 {
		err = fmt.Errorf("%d: no commands", b.line+1)
	}
	return all, err
}

// docMark is printed after each command, before its exit status.
const docMark = "\036"

// console runs the commands of a block in one shell, and compares what each of them prints.
func (d *docRun) console(b docBlock) error {
	commands, err := b.commands()
	if err != nil {
		return err
	}
	script := "exec 2>&1; cd '" + d.folder + "'\n"
	for _, c := range commands {
		script += c.text + "\n_status=$?; printf '" + docMark + "%d\\n' $_status; (exit $_status)\n"
	}
	outputs := strings.Split(d.w.run("timeout", "300", "sh", "-c", script).Stdout, docMark)
	for i, c := range commands {
		got := outputs[i]
		if i > 0 {
			_, got, _ = strings.Cut(got, "\n") // without the status of the command before
		}
		if i+1 == len(outputs) {
			return fmt.Errorf("%d: %q ends the shell: %s", c.first, c.text, got)
		}
		status, _, _ := strings.Cut(outputs[i+1], "\n")
		if err := d.compare(c.text, c.first, c.want, got); err != nil {
			return err
		}
		shown := i+1 < len(commands) && commands[i+1].text == "echo $?"
		if status != "0" && !shown && !strings.Contains("\n"+got, "\nvnet: error: ") {
			return fmt.Errorf("%d: %q: exit %s: %s", c.first, c.text, status, got)
		}
	}
	return nil
}

// compare compares what was printed with the lines of the page. With -update, it has them replaced.
func (d *docRun) compare(what string, first int, want []string, got string) error {
	if outputPattern(want).MatchString(trimLines(got)) {
		return nil
	}
	if strings.Contains(got, "this kernel") {
		return docMissing(strings.TrimSpace(got))
	}
	if !d.update {
		return fmt.Errorf("%d: %q prints\n%s\nnot\n%s", first, what, got, strings.Join(want, "\n"))
	}
	lines := slices.Collect(strings.Lines(trimLines(got)))
	for i, line := range lines {
		lines[i] = strings.TrimSuffix(line, "\n") // keep what stands for text that varies
		for _, old := range want {
			if old != "…" && strings.Contains(old, "…") && outputPattern([]string{old}).MatchString(line) {
				lines[i] = old
			}
		}
	}
	d.edits = append(d.edits, docEdit{first, len(want), lines})
	return nil
}

// edited returns the page with its edits.
func (d *docRun) edited() string {
	lines := slices.Clone(d.lines)
	for _, e := range slices.Backward(d.edits) {
		lines = slices.Replace(lines, e.first, e.first+e.count, e.lines...)
	}
	return strings.Join(lines, "\n")
}

// columnGap is the space between two columns of a table. Its width depends on values that vary.
var columnGap = regexp.MustCompile(`(\S) {2,}`)

// outputPattern returns the expression for the output that the lines of a page show.
func outputPattern(lines []string) *regexp.Regexp {
	var b strings.Builder
	for _, line := range lines {
		if line == "…" {
			b.WriteString(`(.*\n)*`)
			continue
		}
		text := columnGap.ReplaceAllString(regexp.QuoteMeta(strings.TrimRight(line, " ")), "$1 +")
		b.WriteString(strings.ReplaceAll(text, "…", ".*") + `\n`)
	}
	return regexp.MustCompile("^" + b.String() + "$")
}

// trimLines returns text without spaces at the ends of lines. Its last line ends.
func trimLines(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}
