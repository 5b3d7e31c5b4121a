package main

import (
	"strings"
	"testing"
)

// TestDocsFindsMistakes checks that a page with a mistake fails, and one without does not.
func TestDocsFindsMistakes(t *testing.T) {
	const console = "```console\n# "
	for text, want := range map[string]string{
		console + "echo a; echo b >&2\na\nb\n```":                          "",
		console + "echo a; echo b\na\n```":                                 "3: \"echo a; echo b\" prints\na\nb\n\nnot\na",
		console + "echo a\na\nb\n```":                                      `"echo a" prints`,
		console + "echo 1; echo 2; echo 9\n1\n…\n9\n```":                   "",
		console + "echo 1; echo 9\n1\n…\n8\n```":                           `9" prints`,
		console + "echo 'a b  c'\na b    c\n```":                           "",
		console + "echo 'a  b'; echo '  c'\na b\n  c\n```":                 `prints`,
		console + "echo 'a  b'; echo '  c'\na  b\n c\n```":                 `prints`,
		console + "echo it took 3 s\nit took … s\n# true\n…\n```":          "",
		console + "echo 1 \\\n  2\n1 2\n# A=3\n# echo $A\n3\n```":          "",
		console + "false\n```":                                             `3: "false": exit 1`,
		console + "true\n# (exit 3)\n# echo $?\n3\n```":                    "",
		console + "vnet -n red link\nvnet: error: …\n…\n```":               "",
		console + "exit 0\n# true\n```":                                    `"exit 0" ends the shell`,
		console + "if\n```":                                                `"if" ends the shell`,
		"```console\nls\n# true\n```":                                      "3: no command before this line",
		"```console\n```":                                                  "2: no commands",
		"```yaml\nname: web\n```":                                          `2: a block "yaml" without a comment`,
		"```text\na picture\n```":                                          "",
		"    vnet ls\n":                                                    "2: an indented block",
		"1. a\n   ```console\n":                                            "3: an indented block",
		"```text\n":                                                        "2: the block does not end",
		"<!-- not run: -->\n```sh\nreboot\n```":                            `3: a block "sh" without`,
		"<!-- not run: ends the page -->\n```sh\nreboot\n```":              "",
		"<!-- from: go.mod -->\n```\ngo 0.1\n```":                          "3: go.mod does not have these lines",
		"<!-- from: go.mod -->\n```\nodule github.com/vnet-lab/vnet\n```":  "3: go.mod does not have these lines",
		"<!-- from: go.mod -->\n```\nmodule github.com/vnet-lab/vnet\n```": "",
		"<!-- from: none -->\n```\nx\n```":                                 "3: open ",
		"<!-- file: examples/web.yaml -->\n```\nx\n```":                    "3: examples/web.yaml is not in the",
		"<!-- file: a/b -->\n```\n# x\n```\n" + console + "cat a/b >c\n```\n<!-- content: c -->\n```\n# …\n```": "",
		console + "echo 1 >c\n```\n<!-- content: c -->\n```\n2\n```":                                            `"c" prints`,
	} {
		d := newDocRun(t, "# A page\n"+text)
		var got string
		for _, section := range d.sections() {
			if err := d.run(section); err != nil {
				got += err.Error()
			}
		}
		if want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("%q:\n%s\nwant %q", text, got, want)
		}
	}
}

// TestDocsUpdate checks what -update writes: the new output, with the "…" of lines that still match.
func TestDocsUpdate(t *testing.T) {
	d := newDocRun(t, "```console\n# echo 1; echo 2\n1\n# echo it took 3 s; echo done\nit took … s\n# true\n4\n```\n")
	d.update = true
	for _, section := range d.sections() {
		if err := d.run(section); err != nil {
			t.Fatal(err)
		}
	}
	const want = "```console\n# echo 1; echo 2\n1\n2\n# echo it took 3 s; echo done\nit took … s\ndone\n# true\n```\n"
	if got := d.edited(); got != want {
		t.Errorf("%s\nwant\n%s", got, want)
	}
}
