package nft

import (
	"fmt"
	"strings"
)

// Text returns the tables of these rules as nft -s list table prints them: a script that nft -f reads. Without rules,
// it returns "".
func Text(table string, rules ...Rule) (text string) {
	for _, t := range tablesNamed(table) {
		text += textOf(t, t.elementsOf(rules))
	}
	return text
}

func textOf(table table, elements map[element]bool) string {
	names := setNamesFor(elements)
	if len(names) == 0 {
		return ""
	}
	var blocks []string
	bySet := sorted(elements)
	for _, s := range setsNamed(names) {
		blocks = append(blocks, s.block(bySet[s.name]))
	}
	for _, c := range chainsFor(names) {
		blocks = append(blocks, c.block())
	}
	return "table " + table.String() + " {\n" + strings.Join(blocks, "\n") + "}\n"
}

// Script returns an nft script that changes tables with the rules have into ones with the rules want. nft -f runs it in
// one transaction. If nothing changes, it returns "". If the rules need other sets, the script replaces the whole
// table, with counters of zero. So it also works if an older version made the table, with other sets and chains.
func Script(table string, have, want []Rule) (script string) {
	for _, t := range tablesNamed(table) {
		script += t.script(t.elementsOf(have), t.elementsOf(want))
	}
	return script
}

func (t table) script(old, new map[element]bool) string {
	current := content{exists: len(old) > 0, sets: setNamesFor(old), elements: make(map[element]count, len(old))}
	for e := range old {
		current.elements[e] = count{}
	}
	c := change{table: t}
	c.compute(current, new)
	switch {
	case c.createTable:
		return textOf(t, new)
	case c.deleteTable, c.rebuildChains:
		return "delete table " + t.String() + "\n" + textOf(t, new)
	}
	return c.script()
}

// script returns the nft script for a change of elements.
func (c *change) script() string {
	var lines []string
	line := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)+"\n") }
	c.elementLines("delete", c.deleted, line)
	c.elementLines("add", c.added, line)
	return strings.Join(lines, "")
}

func (c *change) elementLines(op string, elements []element, line func(string, ...any)) {
	for _, e := range elements {
		s := setNamed(e.set)
		if s.flowtable { // devices are only added
			line("add flowtable %s %s { %s; devices = { %s }; }", c.table, s.name,
				strings.Join(s.properties(), "; "), s.key[0].text(e.key))
			continue
		}
		line("%s element %s %s { %s }", op, c.table, e.set, e.text(s))
	}
}

// sorted returns the elements by set, sorted.
func sorted(elements map[element]bool) map[string][]element {
	c := change{}
	c.diffElements(content{}, elements, nil)
	bySet := make(map[string][]element)
	for _, e := range c.added {
		bySet[e.set] = append(bySet[e.set], e)
	}
	return bySet
}

// properties returns the lines of a set's declaration.
func (s set) properties() []string {
	if s.flowtable {
		return []string{"hook ingress priority filter"}
	}
	lines := []string{"type " + s.typeText()}
	if text, _ := s.typeOf(); text != "" {
		lines[0] = "typeof " + text
	}
	if s.dynamic {
		lines = append(lines, fmt.Sprintf("size %d", dynamicSize), "flags dynamic")
	}
	if s.interval {
		lines = append(lines, "flags interval")
	}
	if s.counter {
		lines = append(lines, "counter")
	}
	return lines
}

func (s set) block(elements []element) string {
	lines := s.properties()
	if s.flowtable {
		names := make([]string, len(elements))
		for i, e := range elements {
			names[i] = s.key[0].text(e.key)
		}
		lines = append(lines, "devices = { "+strings.Join(names, ", ")+" }")
	} else if len(elements) > 0 {
		texts := make([]string, len(elements))
		for i, e := range elements {
			texts[i] = e.listText(s)
		}
		// nft prints each on a line of its own, aligned with the first.
		between := ",\n" + "\t\t\t     "
		lines = append(lines, "elements = { "+strings.Join(texts, between)+" }")
	}
	return "\t" + s.keyword() + " " + s.name + " {\n\t\t" + strings.Join(lines, "\n\t\t") + "\n\t}\n"
}

// listText returns the element as nft -s list prints it: with the keyword counter.
func (e element) listText(s set) string {
	text := e.text(s)
	if !s.counter {
		return text
	}
	at := len(intervalText(e.key, e.end, s.key))
	return text[:at] + " counter" + text[at:]
}

func (c chain) block() string {
	var lines []string
	if c.hook != "" {
		lines = append(lines, c.hookText())
	}
	for _, r := range c.rules {
		lines = append(lines, r.String())
	}
	return "\tchain " + c.name + " {\n\t\t" + strings.Join(lines, "\n\t\t") + "\n\t}\n"
}

func (c chain) hookText() string {
	return fmt.Sprintf("type %s hook %s priority %s; policy accept;", c.kind, c.hook, c.priorityText)
}
