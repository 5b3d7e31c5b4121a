package lab

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

	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
)

// A decoder reads a YAML document into the file types. It does not stop at the
// first mistake, but collects all of them.
type decoder struct {
	mistakeList
	key       string // the current key, for messages
	depth     int    // current depth; limited, because an alias can contain itself
	nodesLeft int    // remaining number of values; limited, because nested aliases multiply

	stopped   bool                // one of the two limits was exceeded
	hasNumber map[*yaml.Node]bool // nodes that contain "(n"
}

const (
	maxDepth = 64
	maxNodes = 1 << 20
)

// A reader is a file type that decodes itself.
type reader interface {
	read(d *decoder, n *yaml.Node)
}

// document returns the document of text, nil if there is none.
func (d *decoder) document(text []byte) *yaml.Node {
	var doc, next yaml.Node
	in := yaml.NewDecoder(bytes.NewReader(text))
	switch err := in.Decode(&doc); {
	case errors.Is(err, io.EOF):
		d.mistake(pos{1, 1}, "", "the file is empty", `begin with "networks:" and "hosts:"`)
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}
	if err := in.Decode(&next); err == nil {
		d.mistake(pos{next.Line, 1}, "", "a second document begins here", "a file contains one lab")
	}
	if len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

// syntax adds an error of the YAML parser as a mistake. The line number is part
// of the parser's text. It is missing for the first line, and one too low for
// an error of the grammar (not of the scanner).
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
		d.mistake(at, "*"+m[1], "there is no anchor &"+m[1], "")
		return
	}
	if missing, ok := strings.CutPrefix(what, "did not find expected "); ok {
		what = missing + " is missing here or in a line above"
	}
	d.mistake(at, "", "this is not YAML: "+what, "check the indentation, and quote text that contains : # { or [")
}

// value reads n into what p points to.
func (d *decoder) value(n *yaml.Node, p any) {
	n = d.resolve(n)
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
		scalar(d, n, p, "expected true or false", parseBool)
	case *int:
		scalar(d, n, p, "expected an integer", strconv.Atoi)
	case *mtuChoice:
		scalar(d, n, p, "expected an integer or auto", parseMTU)
	case *offloadChoice:
		scalar(d, n, p, "expected on or off", parseOffload)
	case *netip.Addr:
		scalar(d, n, p, "expected an address such as 192.168.15.1 or fd00::1", parseAddr)
	case *netip.Prefix:
		scalar(d, n, p, "expected an address with a prefix length such as 192.168.15.0/24 or fd00::/64", parsePrefix)
	case *topo.MAC:
		scalar(d, n, p, "expected an Ethernet address such as 02:00:5e:10:00:01", topo.ParseMAC)
	case *time.Duration:
		scalar(d, n, p, "expected a time such as 50ms or 1.5s", parseDuration)
	case *percent:
		scalar(d, n, p, "expected a percentage such as 1% or 0.5%", parsePercent)
	case *bitrate:
		scalar(d, n, p, "expected a rate such as 10mbit, 1gbit or 512kbit", parseRate)
	default:
		d.compound(n, reflect.ValueOf(p).Elem())
	}
}

// resolve follows aliases and counts values and depth. It returns nil if the
// document is too large.
func (d *decoder) resolve(n *yaml.Node) *yaml.Node {
	for hops := 0; n.Kind == yaml.AliasNode; hops++ {
		if n = n.Alias; n == nil || hops > maxDepth {
			return nil
		}
	}
	if d.nodesLeft--; d.nodesLeft < 0 || d.depth >= maxDepth {
		d.tooLarge(n)
		return nil
	}
	d.depth++
	return n
}

// tooLarge adds a mistake, only once, and stops the decoder.
func (d *decoder) tooLarge(n *yaml.Node) {
	if !d.stopped {
		d.mistake(posOf(n), "", "the file expands to too many values", "use fewer nested aliases or smaller repeats")
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
			hint := "begin each entry with a dash"
			if n.Kind == yaml.ScalarNode {
				hint = "put it in brackets: [" + n.Value + "]"
			}
			d.mistake(posOf(n), n.Value, d.key+": expected a list", hint)
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

// structure reads a mapping into the struct v. The keys are its fields.
func (d *decoder) structure(n *yaml.Node, v reflect.Value) {
	if f := v.FieldByName("At"); f.IsValid() {
		f.Set(reflect.ValueOf(posOf(n)))
	}
	if isNull(n) {
		return // "red:" alone is a host without keys
	}
	if n.Kind != yaml.MappingNode {
		d.mistake(posOf(n), n.Value, fmt.Sprintf("%s: expected a mapping, not %s", d.key, shapeOf(n)),
			"known keys: "+strings.Join(keysOf(v.Type()), ", "))
		return
	}
	for _, kv := range d.pairs(n) {
		f := fieldOf(v, kv.key.Value)
		if !f.IsValid() {
			d.mistake(posOf(kv.key), kv.key.Value, fmt.Sprintf("unknown key %q", kv.key.Value),
				spell.DidYouMean(kv.key.Value, keysOf(v.Type())))
			continue
		}
		outer := d.key
		d.key = kv.key.Value
		d.value(kv.value, f.Addr().Interface())
		d.key = outer
	}
}

// fieldOf returns the field of the struct v with this key. The result is
// invalid if there is none.
func fieldOf(v reflect.Value, key string) reflect.Value {
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("yaml"); tag == key && tag != "-" {
			return v.Field(i)
		}
	}
	return reflect.Value{}
}

// keysOf returns the keys of a struct type in the order of its fields.
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

// pairs returns the entries of a mapping in their order, including those that
// merge keys (<<) add. A repeated key is a mistake.
func (d *decoder) pairs(n *yaml.Node) []pair {
	var own, merged []pair
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			d.mistake(posOf(k), "", "a key must be a single word", "")
			continue
		}
		if k.Tag == "!!merge" {
			merged = append(merged, d.merge(v)...)
			continue
		}
		if line, twice := first[k.Value]; twice {
			d.mistake(posOf(k), k.Value, fmt.Sprintf("repeated key %q", k.Value),
				fmt.Sprintf("it is already in line %d", line))
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

// merge returns the entries that the value of a merge key adds.
func (d *decoder) merge(v *yaml.Node) []pair {
	v = d.resolve(v)
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
	d.mistake(posOf(v), v.Value, "<< can merge only mappings", "")
	return nil
}

// text returns the text of a single value.
func (d *decoder) text(n *yaml.Node) (string, bool) {
	switch {
	case isNull(n):
		d.mistake(posOf(n), "", d.key+": the value is missing", "")
	case n.Kind != yaml.ScalarNode:
		d.mistake(posOf(n), "", fmt.Sprintf("%s: expected a single value, not %s", d.key, shapeOf(n)), "")
	default:
		return n.Value, true
	}
	return "", false
}

// scalar reads a single value with parse. expected is the message if parse
// returns an error that is not a valueError.
func scalar[T any](d *decoder, n *yaml.Node, p *T, expected string, parse func(string) (T, error)) {
	s, ok := d.text(n)
	if !ok {
		return
	}
	v, err := parse(s)
	if err == nil {
		*p = v
		return
	}
	if e := (valueError{}); errors.As(err, &e) {
		d.mistake(posOf(n), e.text, e.message, e.hint)
		return
	}
	d.mistake(posOf(n), s, fmt.Sprintf("%s: %q: %s", d.key, s, expected), "")
}

// A valueError is a mistake in a value: the wrong text, what is wrong, and what to write instead.
type valueError struct{ text, message, hint string }

// Error returns the message without a place. The decoder adds the place.
func (s valueError) Error() string { return s.message }

func (t *table[T]) read(d *decoder, n *yaml.Node) {
	if isNull(n) {
		return
	}
	if n.Kind != yaml.MappingNode {
		d.mistake(posOf(n), n.Value, fmt.Sprintf("%s: expected a mapping of names, not %s", d.key, shapeOf(n)),
			"write \"name:\" and indent its keys below")
		return
	}
	pairs := d.pairs(n)
	*t = make(table[T], 0, len(pairs))
	outer := d.key
	for _, kv := range pairs {
		d.key = kv.key.Value
		*t = append(*t, entry[T]{Key: kv.key.Value, at: posOf(kv.key)})
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
		before := d.count
		*m = append(*m, *new(T))
		d.value(item, &(*m)[len(*m)-1])
		if d.count > before {
			*m = (*m)[:len(*m)-1] // drop an invalid value
		}
	}
}

func posOf(n *yaml.Node) pos { return pos{n.Line, n.Column} }

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// shapeOf describes a value in a message.
func shapeOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case isNull(n):
		return "nothing"
	}
	return strconv.Quote(n.Value)
}
