package syntax

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/spell"
	"github.com/vnet-lab/vnet/topo"
)

// A Decoder reads a YAML document into the file types. It does not stop at the
// first mistake, but collects all of them.
type Decoder struct {
	MistakeList
	key       string // the current key, for messages
	depth     int    // current depth; limited, because an alias can contain itself
	nodesLeft int    // remaining number of values; limited, because nested aliases multiply

	stopped   bool                // one of the two limits was exceeded
	hasNumber map[*yaml.Node]bool // the results of containsNumber
}

const (
	maxDepth = 64
	maxNodes = 1 << 20
)

// A Reader is a type that decodes itself.
type Reader interface {
	Read(d *Decoder, n *yaml.Node)
}

// NewDecoder returns a decoder that adds places in src to the mistakes.
func NewDecoder(src *Source) *Decoder {
	return &Decoder{MistakeList: MistakeList{Source: src}, nodesLeft: maxNodes}
}

// Document reads a lab file into the struct that p points to. Defaults and repetitions are expanded
// first. It reports whether text has a document.
func (d *Decoder) Document(text []byte, p any) bool {
	root := d.document(text)
	if root == nil {
		return false
	}
	d.expand(root)
	d.key = "the file"
	d.Value(root, p)
	return true
}

// document returns the YAML document in text, nil if there is none.
func (d *Decoder) document(text []byte) *yaml.Node {
	var doc, next yaml.Node
	in := yaml.NewDecoder(bytes.NewReader(text))
	switch err := in.Decode(&doc); {
	case errors.Is(err, io.EOF):
		d.Mistake(Pos{1, 1}, "", "the file is empty", `begin with "networks:" and "hosts:"`)
		return nil
	case err != nil:
		d.syntax(err)
		return nil
	}
	if err := in.Decode(&next); err == nil {
		d.Mistake(Pos{next.Line, 1}, "", "a second document begins here", "a file contains one lab")
	}
	if len(doc.Content) == 0 {
		return nil
	}
	return doc.Content[0]
}

// syntax adds an error of the YAML parser as a mistake. The parser's text has the
// line number, but not for the first line. For "did not find expected", it is one
// too low.
func (d *Decoder) syntax(err error) {
	at, what := Pos{1, 1}, strings.TrimPrefix(err.Error(), "yaml: ")
	if m := regexp.MustCompile(`line (\d+): ?`).FindStringSubmatch(what); m != nil {
		at.Line, _ = strconv.Atoi(m[1])
		what = strings.Replace(what, m[0], "", 1)
		if strings.HasPrefix(what, "did not find expected") {
			at.Line++
		}
	}
	at.Line = min(at.Line, len(d.Source.lines))
	if m := regexp.MustCompile(`unknown anchor '(.*)' referenced`).FindStringSubmatch(what); m != nil {
		at = d.Source.first("*" + m[1])
		d.Mistake(at, "*"+m[1], "there is no anchor &"+m[1], "")
		return
	}
	if missing, ok := strings.CutPrefix(what, "did not find expected "); ok {
		what = missing + " is missing here or in a line above"
	}
	d.Mistake(at, "", "this is not YAML: "+what, "check the indentation, and quote text that contains : # { or [")
}

// Value reads n into what p points to.
func (d *Decoder) Value(n *yaml.Node, p any) {
	n = d.resolve(n)
	if n == nil {
		return
	}
	defer func() { d.depth-- }()
	switch p := p.(type) {
	case Reader:
		p.Read(d, n)
	case *string:
		*p, _ = d.text(n)
	case *bool:
		Scalar(d, n, p, "expected true or false", ParseBool)
	case *int:
		Scalar(d, n, p, "expected an integer", strconv.Atoi)
	case *netip.Addr:
		Scalar(d, n, p, "expected an address such as 192.168.15.1 or fd00::1", ParseAddr)
	case *netip.Prefix:
		Scalar(d, n, p, "expected an address with a prefix length such as 192.168.15.0/24 or fd00::/64", ParsePrefix)
	case *topo.MAC:
		Scalar(d, n, p, "expected an Ethernet address such as 02:00:5e:10:00:01", d.parseMAC)
	case *time.Duration:
		Scalar(d, n, p, "expected a time such as 50ms or 1.5s", parseDuration)
	case *Percent:
		Scalar(d, n, p, "expected a percentage such as 1% or 0.5%", parsePercent)
	case *Bitrate:
		Scalar(d, n, p, "expected a rate such as 10mbit, 1gbit or 512kbit", parseRate)
	default:
		d.compound(n, reflect.ValueOf(p).Elem())
	}
}

// resolve follows aliases and counts values and depth. It returns nil if the
// document is too large.
func (d *Decoder) resolve(n *yaml.Node) *yaml.Node {
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

// tooLarge adds a mistake, only once, and stops the Decoder.
func (d *Decoder) tooLarge(n *yaml.Node) {
	if !d.stopped {
		d.Mistake(PosOf(n), "", "the file expands to too many values", "use fewer nested aliases or smaller repeats")
	}
	d.stopped = true
}

func (d *Decoder) compound(n *yaml.Node, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.Value(n, v.Interface())
	case reflect.Slice:
		if IsNull(n) {
			return
		}
		if n.Kind != yaml.SequenceNode {
			hint := "begin each entry with a dash"
			if n.Kind == yaml.ScalarNode {
				hint = "put it in brackets: [" + n.Value + "]"
			}
			d.Mistake(PosOf(n), n.Value, d.key+": expected a list", hint)
			return
		}
		for _, item := range n.Content {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
			d.Value(item, v.Index(v.Len()-1).Addr().Interface())
		}
	case reflect.Struct:
		d.structure(n, v)
	}
}

// structure reads a mapping into the struct v. The keys are its fields.
func (d *Decoder) structure(n *yaml.Node, v reflect.Value) {
	if f := v.FieldByName("At"); f.IsValid() {
		f.Set(reflect.ValueOf(PosOf(n)))
	}
	if IsNull(n) {
		return // "red:" alone is a host without keys
	}
	if n.Kind != yaml.MappingNode {
		d.Mistake(PosOf(n), n.Value, fmt.Sprintf("%s: expected a mapping, not %s", d.key, ShapeOf(n)),
			"known keys: "+strings.Join(keysOf(v.Type()), ", "))
		return
	}
	for _, kv := range d.Pairs(n) {
		if strings.HasPrefix(kv.Key.Value, "x-") {
			continue // for anchors, and for other programs
		}
		f := fieldOf(v, kv.Key.Value)
		if !f.IsValid() {
			d.Mistake(PosOf(kv.Key), kv.Key.Value, fmt.Sprintf("unknown key %q", kv.Key.Value),
				spell.DidYouMean(kv.Key.Value, keysOf(v.Type())))
			continue
		}
		outer := d.key
		d.key = kv.Key.Value
		d.Value(kv.Value, f.Addr().Interface())
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

// A Pair is an entry of a mapping.
type Pair struct{ Key, Value *yaml.Node }

// Pairs returns the entries of a mapping in their order, including those that
// merge keys (<<) add. A repeated key is a mistake.
func (d *Decoder) Pairs(n *yaml.Node) []Pair {
	var own, merged []Pair
	first := make(map[string]int, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind != yaml.ScalarNode {
			d.Mistake(PosOf(k), "", "a key must be a single word", "")
			continue
		}
		if k.Tag == "!!merge" {
			merged = append(merged, d.merge(v)...)
			continue
		}
		if line, twice := first[k.Value]; twice {
			d.Mistake(PosOf(k), k.Value, fmt.Sprintf("repeated key %q", k.Value),
				fmt.Sprintf("it is already in line %d", line))
			continue
		}
		first[k.Value] = k.Line
		own = append(own, Pair{k, v})
	}
	for _, kv := range merged {
		if _, has := first[kv.Key.Value]; !has {
			first[kv.Key.Value] = kv.Key.Line
			own = append(own, kv)
		}
	}
	return own
}

// merge returns the entries that the value of a merge key adds.
func (d *Decoder) merge(v *yaml.Node) []Pair {
	v = d.resolve(v)
	if v == nil {
		return nil
	}
	defer func() { d.depth-- }()
	switch v.Kind {
	case yaml.MappingNode:
		return d.Pairs(v)
	case yaml.SequenceNode:
		var all []Pair
		for _, item := range v.Content {
			all = append(all, d.merge(item)...)
		}
		return all
	}
	d.Mistake(PosOf(v), v.Value, "<< can merge only mappings", "")
	return nil
}

// text returns the text of a single value.
func (d *Decoder) text(n *yaml.Node) (string, bool) {
	switch {
	case IsNull(n):
		d.Mistake(PosOf(n), "", d.key+": the value is missing", "")
	case n.Kind != yaml.ScalarNode:
		d.Mistake(PosOf(n), "", fmt.Sprintf("%s: expected a single value, not %s", d.key, ShapeOf(n)), "")
	default:
		return n.Value, true
	}
	return "", false
}

// PosOf returns the position of a node.
func PosOf(n *yaml.Node) Pos { return Pos{n.Line, n.Column} }

// IsNull reports whether a node has no value.
func IsNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// ShapeOf describes a value in a message.
func ShapeOf(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case IsNull(n):
		return "nothing"
	}
	return strconv.Quote(n.Value)
}
