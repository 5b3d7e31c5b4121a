package topo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A decoder reads a YAML document into the file types and notes every mistake
// on the way instead of stopping at the first.
type decoder struct {
	critic
	key   string // the key being read, for messages
	depth int    // how deep in the document, against aliases that contain themselves
	left  int    // how many values may still be read, against aliases that multiply

	stopped  bool                // one of the two was met
	mentions map[*yaml.Node]bool // what mentions the number of a repetition
}

const (
	deepest = 64
	most    = 1 << 20
)

// A reader is a file type with a way of its own to be written.
type reader interface {
	read(d *decoder, n *yaml.Node)
}

// document returns the one document of text, or nil.
func (d *decoder) document(text []byte) *yaml.Node {
	var doc, next yaml.Node
	in := yaml.NewDecoder(bytes.NewReader(text))
	switch err := in.Decode(&doc); {
	case errors.Is(err, io.EOF):
		d.bad(pos{1, 1}, "", "the file is empty", `begin with "networks:" and "hosts:"`)
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}
	if err := in.Decode(&next); err == nil {
		d.bad(pos{next.Line, 1}, "", "a second document begins here", "a file holds one lab")
	}
	if len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

// syntax notes what the YAML parser says. It tells the line in its text, and
// not always: none for the first line, one too few where its grammar, not its
// scanner, is at a loss.
func (d *decoder) syntax(err error) {
	at, what := pos{1, 1}, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := regexp.MustCompile(`line (\d+): ?`).FindStringSubmatch(what); m != nil {
		at.line, _ = strconv.Atoi(m[1])
		what = strings.Replace(what, m[0], "", 1)
		if strings.HasPrefix(what, "did not find expected") {
			at.line++
		}
	}
	at.line = min(at.line, len(d.src.lines))
	if m := regexp.MustCompile(`unknown anchor '(.*)' referenced`).FindStringSubmatch(what); m != nil {
		at = d.src.first("*" + m[1])
		d.bad(at, "*"+m[1], "there is no anchor &"+m[1], "")
		return
	}
	if missing, ok := strings.CutPrefix(what, "did not find expected "); ok {
		what = missing + " is missing here, or in a line above"
	}
	d.bad(at, "", "this is not YAML: "+what, "look at the indentation, and quote texts that hold : # { or [")
}

// value reads n into what p points to.
func (d *decoder) value(n *yaml.Node, p any) {
	n = d.enter(n)
	if n == nil {
		return
	}
	defer func() { d.depth-- }()
	switch p := p.(type) {
	case reader:
		p.read(d, n)
	case *string:
		*p, _ = d.text(n)
	case *bool:
		scalar(d, n, p, "true or false is wanted", parseBool)
	case *int:
		scalar(d, n, p, "a whole number is wanted", strconv.Atoi)
	case *mtuChoice:
		scalar(d, n, p, "a whole number, or auto, is wanted", parseMTU)
	case *offloadChoice:
		scalar(d, n, p, "on or off is wanted", parseOffload)
	case *netip.Addr:
		scalar(d, n, p, "an address such as 192.168.15.1 or fd00::1 is wanted", parseAddr)
	case *netip.Prefix:
		scalar(d, n, p, "an address with its prefix length such as 192.168.15.0/24 or fd00::/64 is wanted", parsePrefix)
	case *MAC:
		scalar(d, n, p, "an Ethernet address such as 02:00:5e:10:00:01 is wanted", ParseMAC)
	case *time.Duration:
		scalar(d, n, p, "a time such as 50ms or 1.5s is wanted", parseDuration)
	case *percent:
		scalar(d, n, p, "a share such as 1% or 0.5% is wanted", parsePercent)
	case *bitrate:
		scalar(d, n, p, "a rate such as 10mbit, 1gbit or 512kbit is wanted", parseRate)
	default:
		d.compound(n, reflect.ValueOf(p).Elem())
	}
}

// enter resolves aliases and guards against documents without end; it returns
// nil where reading must stop.
func (d *decoder) enter(n *yaml.Node) *yaml.Node {
	for hops := 0; n.Kind == yaml.AliasNode; hops++ {
		if n = n.Alias; n == nil || hops > deepest {
			return nil
		}
	}
	if d.left--; d.left < 0 || d.depth >= deepest {
		d.endless(n)
		return nil
	}
	d.depth++
	return n
}

// endless notes, once, that reading had to stop.
func (d *decoder) endless(n *yaml.Node) {
	if !d.stopped {
		d.bad(place(n), "", "the file unfolds without end", "write the entries out instead of nesting aliases")
	}
	d.stopped = true
}

func (d *decoder) compound(n *yaml.Node, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Interface())
	case reflect.Slice:
		if isNull(n) {
			return
		}
		if n.Kind != yaml.SequenceNode {
			do := "begin each entry with a dash"
			if n.Kind == yaml.ScalarNode {
				do = "put it in brackets: [" + n.Value + "]"
			}
			d.bad(place(n), n.Value, d.key+": a list is wanted", do)
			return
		}
		for _, item := range n.Content {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			d.value(item, v.Index(v.Len()-1).Addr().Interface())
		}
	case reflect.Struct:
		d.structure(n, v)
	}
}

// structure reads a mapping whose keys are v's fields.
func (d *decoder) structure(n *yaml.Node, v reflect.Value) {
	if f := v.FieldByName("At"); f.IsValid() {
		f.Set(reflect.ValueOf(place(n)))
	}
	if isNull(n) {
		return // "red:" alone is a host with nothing particular
	}
	if n.Kind != yaml.MappingNode {
		d.bad(place(n), n.Value, fmt.Sprintf("%s: keys are wanted, not %s", d.key, shown(n)), "there are "+strings.Join(keysOf(v.Type()), ", "))
		return
	}
	for _, kv := range d.pairs(n) {
		f := fieldOf(v, kv.key.Value)
		if !f.IsValid() {
			d.bad(place(kv.key), kv.key.Value, fmt.Sprintf("unknown key %q", kv.key.Value), didYouMean(kv.key.Value, keysOf(v.Type())))
			continue
		}
		outer := d.key
		d.key = kv.key.Value
		d.value(kv.value, f.Addr().Interface())
		d.key = outer
	}
}

// fieldOf returns the field of the struct v that the key stands for, those of
// embedded structs included.
func fieldOf(v reflect.Value, key string) reflect.Value {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag == key && tag != "-" {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

// keysOf lists the keys of a struct type in the order of its fields.
func keysOf(t reflect.Type) []string {
	var keys []string
	for i := range t.NumField() {
		if key := t.Field(i).Tag.Get("yaml"); key != "" && key != "-" {
			keys = append(keys, key)
		}
	}
	return keys
}

type pair struct{ key, value *yaml.Node }

// pairs returns the entries of a mapping in their order, merge keys (<<)
// worked in; a repeated key is a mistake.
func (d *decoder) pairs(n *yaml.Node) []pair {
	var own, merged []pair
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			d.bad(place(k), "", "a key must be a single word", "")
			continue
		}
		if k.Tag == "!!merge" {
			merged = append(merged, d.merge(v)...)
			continue
		}
		if line, twice := first[k.Value]; twice {
			d.bad(place(k), k.Value, fmt.Sprintf("key %q is here twice", k.Value), fmt.Sprintf("it stands in line %d already", line))
			continue
		}
		first[k.Value] = k.Line
		own = append(own, pair{k, v})
	}
	for _, kv := range merged {
		if _, has := first[kv.key.Value]; !has {
			first[kv.key.Value] = kv.key.Line
			own = append(own, kv)
		}
	}
	return own
}

// merge returns the entries that a merge key's value brings in.
func (d *decoder) merge(v *yaml.Node) []pair {
	v = d.enter(v)
	if v == nil {
		return nil
	}
	defer func() { d.depth-- }()
	switch v.Kind {
	case yaml.MappingNode:
		return d.pairs(v)
	case yaml.SequenceNode:
		var all []pair
		for _, item := range v.Content {
			all = append(all, d.merge(item)...)
		}
		return all
	}
	d.bad(place(v), v.Value, "<< merges mappings", "")
	return nil
}

// text returns a single value as it is written.
func (d *decoder) text(n *yaml.Node) (string, bool) {
	switch {
	case isNull(n):
		d.bad(place(n), "", d.key+": the value is missing", "")
	case n.Kind != yaml.ScalarNode:
		d.bad(place(n), "", fmt.Sprintf("%s: a single value is wanted, not %s", d.key, shown(n)), "")
	default:
		return n.Value, true
	}
	return "", false
}

// scalar reads a single value with parse; want says what is wanted where
// parse's error is not a slip of its own.
func scalar[T any](d *decoder, n *yaml.Node, p *T, want string, parse func(string) (T, error)) {
	s, ok := d.text(n)
	if !ok {
		return
	}
	v, err := parse(s)
	if err == nil {
		*p = v
		return
	}
	if sl := (slip{}); errors.As(err, &sl) {
		d.bad(place(n), sl.text, sl.what, sl.do)
		return
	}
	d.bad(place(n), s, fmt.Sprintf("%s: %q: %s", d.key, s, want), "")
}

// A slip is a mistake inside one value: which words, what is wrong, what to do.
type slip struct{ text, what, do string }

// Error says what is wrong; the decoder adds where.
func (s slip) Error() string { return s.what }

func (t *table[T]) read(d *decoder, n *yaml.Node) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.bad(place(n), n.Value, fmt.Sprintf("%s: names and what each is are wanted, not %s", d.key, shown(n)), "write \"name:\" and indent what belongs to it")
		return
	}
	pairs := d.pairs(n)
	*t = make(table[T], 0, len(pairs))
	outer := d.key
	for _, kv := range pairs {
		d.key = kv.key.Value
		*t = append(*t, entry[T]{Key: kv.key.Value, at: place(kv.key)})
		d.value(kv.value, &(*t)[len(*t)-1].Value)
	}
	d.key = outer
}

func (m *many[T]) read(d *decoder, n *yaml.Node) {
	items := []*yaml.Node{n}
	switch {
	case n.Kind == yaml.SequenceNode:
		items = n.Content
	case isNull(n):
		return
	}
	*m = slices.Grow(*m, len(items))
	for _, item := range items {
		before := d.made
		*m = append(*m, *new(T))
		d.value(item, &(*m)[len(*m)-1])
		if d.made > before {
			*m = (*m)[:len(*m)-1] // what could not be read is not there
		}
	}
}

func place(n *yaml.Node) pos { return pos{n.Line, n.Column} }

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// shown names a value's shape for a message.
func shown(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "keys"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	}
	return strconv.Quote(n.Value)
}
