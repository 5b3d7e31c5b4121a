package nft

import (
	"fmt"
	"strings"
)

// Text prints a table of these rules as nft -s list table does: a script that
// nft -f reads. No rules are no table, and no text.
func Text(table string, rules ...Rule) string {
	elements := elementsOf(rules)
	shape := shapeOf(elements)
	if len(shape) == 0 {
		return ""
	}
	var blocks []string
	bySet := sorted(elements)
	for _, s := range setsOf(shape) {
		blocks = append(blocks, s.block(bySet[s.name]))
	}
	for _, c := range chainsOf(shape) {
		blocks = append(blocks, c.block())
	}
	return "table inet " + table + " {\n" + strings.Join(blocks, "\n") + "}\n"
}

// Script prints what makes the table of the rules have that of the rules want, in
// one transaction, for nft -f. Nothing to do is no text.
func Script(table string, have, want []Rule) string {
	now, then := elementsOf(have), elementsOf(want)
	current := content{exists: len(now) > 0, sets: shapeOf(now), elements: make(map[element]count, len(now))}
	for e := range now {
		current.elements[e] = count{}
	}
	c := change{table: table}
	c.shape(current, then)
	if c.createTable {
		return Text(table, want...)
	}
	return c.script()
}

// script prints a change of a table that exists.
func (c *change) script() string {
	var lines []string
	line := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	if c.deleteTable {
		line("delete table inet %s", c.table)
	}
	if c.reshape {
		line("flush table inet %s", c.table)
	}
	for _, ch := range c.deleteChains {
		line("delete chain inet %s %s", c.table, ch.name)
	}
	c.elementLines("delete", c.deleted, line)
	for _, s := range c.deleteSets {
		line("delete %s inet %s %s", s.word(), c.table, s.name)
	}
	for _, s := range c.createSets {
		line("add %s inet %s %s { %s; }", s.word(), c.table, s.name, strings.Join(s.properties(), "; "))
	}
	for _, ch := range c.createChains {
		line("add chain inet %s %s%s", c.table, ch.name, ch.inBraces())
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
		if s := sets[e.set]; s.flowtable { // they only come
			line("add flowtable inet %s %s { %s; devices = { %s }; }", c.table, s.name, strings.Join(s.properties(), "; "), s.key[0].text(e.key))
			continue
		}
		line("%s element inet %s %s { %s }", op, c.table, e.set, e.text(sets[e.set]))
	}
}

// sorted are the elements by set, in order.
func sorted(elements map[element]bool) map[string][]element {
	c := change{}
	c.compare(content{}, elements, nil)
	bySet := make(map[string][]element)
	for _, e := range c.added {
		bySet[e.set] = append(bySet[e.set], e)
	}
	return bySet
}

// properties are the lines of a set's declaration.
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
			texts[i] = e.listed(s)
		}
		// nft begins a new line for each, under the first.
		between := ",\n" + "\t\t\t     "
		lines = append(lines, "elements = { "+strings.Join(texts, between)+" }")
	}
	return "\t" + s.word() + " " + s.name + " {\n\t\t" + strings.Join(lines, "\n\t\t") + "\n\t}\n"
}

// listed prints the element as nft -s list does: it says that it counts.
func (e element) listed(s set) string {
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
		lines = append(lines, c.hooked())
	}
	for _, r := range c.rules {
		lines = append(lines, r.String())
	}
	return "\tchain " + c.name + " {\n\t\t" + strings.Join(lines, "\n\t\t") + "\n\t}\n"
}

func (c chain) hooked() string {
	return fmt.Sprintf("type %s hook %s priority %s; policy accept;", c.kind, c.hook, c.prioText)
}

func (c chain) inBraces() string {
	if c.hook == "" {
		return ""
	}
	return " { " + c.hooked() + " }"
}
