package nft

import (
	"fmt"
	"strings"
)

// Text returns a table of these rules as nft -s list table prints it: a script that nft -f reads. Without rules, it
// returns "".
func Text(table string, rules ...Rule) string {
	return textOf(table, elementsOf(rules))
}

func textOf(table string, elements map[element]bool) string {
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
	return "table inet " + table + " {\n" + strings.Join(blocks, "\n") + "}\n"
}

// Script returns an nft script that changes a table with the rules have into one with the rules want. nft -f runs it in
// one transaction. If nothing changes, it returns "".
func Script(table string, have, want []Rule) string {
	old, new := elementsOf(have), elementsOf(want)
	current := content{exists: len(old) > 0, sets: setNamesFor(old), elements: make(map[element]count, len(old))}
	for e := range old {
		current.elements[e] = count{}
	}
	c := change{table: table}
	c.compute(current, new)
	if c.createTable {
		return Text(table, want...)
	}
	return c.script()
}

// script returns the nft script for a change of an existing table.
func (c *change) script() string {
	var lines []string
	line := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if c.deleteTable {
		line("delete table inet %s", c.table)
	}
	if c.rebuildChains {
		line("flush table inet %s", c.table)
	}
	for _, ch := range c.deleteChains {
		line("delete chain inet %s %s", c.table, ch.name)
	}
	c.elementLines("delete", c.deleted, line)
	for _, s := range c.deleteSets {
		line("delete %s inet %s %s", s.keyword(), c.table, s.name)
	}
	for _, s := range c.createSets {
		line("add %s inet %s %s { %s; }", s.keyword(), c.table, s.name, strings.Join(s.properties(), "; "))
	}
	for _, ch := range c.createChains {
		line("add chain inet %s %s%s", c.table, ch.name, ch.hookBlock())
	}
	for _, ch := range c.createChains {
		for _, r := range ch.rules {
			line("add rule inet %s %s %s", c.table, ch.name, r)
		}
	}
	c.elementLines("add", c.added, line)
	if len(lines) == 0 {
		return ""
	}
	return strings.Join(lines, "\n") + "\n"
}

func (c *change) elementLines(op string, elements []element, line func(string, ...any)) {
	sets := setsByName()
	for _, e := range elements {
		if s := sets[e.set]; s.flowtable { // devices are only added
			line("add flowtable inet %s %s { %s; devices = { %s }; }", c.table, s.name,
				strings.Join(s.properties(), "; "), s.key[0].text(e.key))
			continue
		}
		line("%s element inet %s %s { %s }", op, c.table, e.set, e.text(sets[e.set]))
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

func (c chain) hookBlock() string {
	if c.hook == "" {
		return ""
	}
	return " { " + c.hookText() + " }"
}
