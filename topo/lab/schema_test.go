package lab

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"go.yaml.in/yaml/v3"

	"github.com/vnet-lab/vnet/internal/golden"
	"github.com/vnet-lab/vnet/topo"
	"github.com/vnet-lab/vnet/topo/lab/internal/syntax"
)

// lab.schema.json is generated from the file types.
func TestSchemaMatchesFileTypes(t *testing.T) {
	golden.File(t, "lab.schema.json", makeSchema(t))
}

// Every key has a description.
func TestSchemaExplainsEveryKey(t *testing.T) {
	comments := fileComments(t)
	for _, v := range []any{
		fileLab{}, fileDefaults{}, fileNetwork{}, fileHost{}, fileAttachment{},
		fileDNS{}, fileRouter{}, fileDevice{}, fileLink{}, fileImpair{},
	} {
		typ := reflect.TypeOf(v)
		if comments[typ.Name()] == "" {
			t.Errorf("%s has no comment", typ.Name())
		}
		for i := range typ.NumField() {
			if f := typ.Field(i); f.Name != "At" && comments[typ.Name()+"."+f.Name] == "" {
				t.Errorf("%s.%s has no comment", typ.Name(), f.Name)
			}
		}
	}
}

// The schema accepts each lab that Parse accepts.
func TestSchemaAcceptsEveryLab(t *testing.T) {
	s := compiledSchema(t)
	for name, text := range golden.Examples(t) {
		if err := s.Validate(asJSON(t, text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The schema rejects mistakes that an editor should mark.
func TestSchemaRejects(t *testing.T) {
	s := compiledSchema(t)
	for what, text := range map[string]string{
		"an unknown key":            "networkz: {}",
		"an unknown key in a host":  "hosts: {red: {network: a}}",
		"a list of networks":        "networks: [a]",
		"a subnet without a length": "networks: {a: {subnets: [192.168.15.0]}}",
		"a boolean as a string":     "networks: {a: {stp: 'on'}}",
		"an unknown device type":    "hosts: {red: {devices: {v: {type: vln}}}}",
		"three endpoints":           "links: [{endpoints: [a, b, c]}]",
		"an invalid MAC":            "networks: {a: {mac: 02-00}}",
		"a time without a unit":     "links: [{endpoints: [a, b], impair: {delay: 50}}]",
		"an invalid port":           "hosts: {red: {ports: ['http']}}",
	} {
		if s.Validate(asJSON(t, []byte(text))) == nil {
			t.Errorf("the schema accepts %s: %s", what, text)
		}
	}
}

func compiledSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(makeSchema(t)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("lab.schema.json", doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile("lab.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func asJSON(t *testing.T, text []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	out, err := jsonschema.UnmarshalJSON(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// An object is a JSON object that keeps the order of its members, for a readable schema.
type object []member

type member struct {
	key   string
	value any
}

func (o object) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, m := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		key, err := json.Marshal(m.key)
		if err != nil {
			return nil, err
		}
		var value bytes.Buffer
		enc := json.NewEncoder(&value)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(m.value); err != nil {
			return nil, err
		}
		b.Write(key)
		b.WriteByte(':')
		b.Write(bytes.TrimSpace(value.Bytes()))
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// A schemaMaker generates a schema from Go types.
type schemaMaker struct {
	comments map[string]string
	defs     object
	seen     map[string]bool
}

func makeSchema(t *testing.T) []byte {
	t.Helper()
	m := &schemaMaker{comments: fileComments(t), seen: map[string]bool{}}
	root := m.structure(reflect.TypeOf(fileLab{}))
	doc := append(object{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", "vnet lab"},
	}, root...)
	doc = append(doc, member{"$defs", m.defs})
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(doc); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// n matches the place of a number in a repeated entry.
const n = `\(n([+-][0-9]+)?\)`

func text(pattern string) object {
	return object{{"type", "string"}, {"pattern", pattern}}
}

func between(kind string, lowest, highest int) object {
	return object{{"type", kind}, {"minimum", lowest}, {"maximum", highest}}
}

// publishedPort matches [[LISTEN:]PORT:]PORT[/PROTO].
const publishedPort = `^([0-9.]+:|\[[0-9a-fA-F:.]+\]:)?([0-9(n+)-]+:)?[0-9(n+)-]+(/(tcp|udp|sctp))?$`

func anyOf(list ...any) object { return object{{"anyOf", list}} }

var (
	boolean = object{{"type", "boolean"}}
	null    = object{{"type", "null"}}
	word    = object{{"type", []string{"string", "number", "boolean"}}}
	integer = anyOf(object{{"type", "integer"}, {"minimum", 0}}, text(`^.*`+n+`.*$`))
)

// leaves are the schemas of single values.
var leaves = map[reflect.Type]object{
	reflect.TypeFor[string]():         word,
	reflect.TypeFor[bool]():           boolean,
	reflect.TypeFor[int]():            integer,
	reflect.TypeFor[offloadChoice]():  anyOf(boolean, object{{"enum", []any{"on", "off"}}}),
	reflect.TypeFor[mtuChoice]():      anyOf(integer, object{{"const", "auto"}}),
	reflect.TypeFor[groupMask]():      anyOf(between("integer", 0, 65535), text(`^(lldp|eapol|0x[0-9a-fA-F]+)$|`+n)),
	reflect.TypeFor[netip.Addr]():     text(`^[0-9a-fA-F.:(n+)-]+$`),
	reflect.TypeFor[netip.Prefix]():   text(`^[0-9a-fA-F.:(n+)-]+/[0-9(n+)-]+$`),
	reflect.TypeFor[topo.MAC]():       text(`^([0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}$|` + n),
	reflect.TypeFor[time.Duration]():  text(`^([0-9.]+(ns|us|µs|ms|s|m|h))+$|` + n),
	reflect.TypeFor[syntax.Percent](): anyOf(between("number", 0, 100), text(`^[0-9.]+ ?%?$|`+n)),
	reflect.TypeFor[syntax.Bitrate](): text(`^[0-9.]+ ?([kmgtKMGT]?[bB][iI][tT])$|` + n),
	reflect.TypeFor[syntax.Repeat]():  anyOf(object{{"type", "integer"}, {"minimum", 1}}, text(`^[0-9]+ ?- ?[0-9]+$`)),
	reflect.TypeFor[hostForward]():    anyOf(between("integer", 1, 65535), text(publishedPort)),
	reflect.TypeFor[routerForward]():  text(`^[^/]+:[^/]+(/(tcp|udp|sctp))?$`),
	reflect.TypeFor[fileRoute]():      text(`^\S+( \S+)+$`),
	reflect.TypeFor[fileNeigh]():      text(`^\S+( \S+)+$`),
	reflect.TypeFor[fileRule]():       text(`^\S+( \S+)*$`),
	reflect.TypeFor[expectation](): anyOf(
		text(`->`),
		object{
			{"type", "object"}, {"minProperties", 1}, {"propertyNames", text(`->`)},
			{"additionalProperties", anyOf(word, null, object{{"type", "array"}, {"items", word}})},
		},
	),
}

func (m *schemaMaker) of(t reflect.Type) object {
	if leaf, ok := leaves[t]; ok {
		return leaf
	}
	switch t {
	case reflect.TypeFor[natChoice]():
		return anyOf(boolean, m.of(reflect.TypeFor[syntax.Many[netip.Addr]]()))
	case reflect.TypeFor[routedChoice]():
		return anyOf(boolean, m.of(reflect.TypeFor[syntax.Many[netip.Prefix]]()))
	case reflect.TypeFor[isolateChoice]():
		return anyOf(boolean, m.of(reflect.TypeFor[syntax.Many[string]]()))
	case reflect.TypeFor[router]():
		return anyOf(boolean, m.of(reflect.TypeFor[fileRouter]()))
	case reflect.TypeFor[attachments]():
		return anyOf(m.of(reflect.TypeFor[syntax.Many[string]]()), m.of(reflect.TypeFor[syntax.Table[fileAttachment]]()))
	}
	switch {
	case t.Kind() == reflect.Pointer:
		return m.of(t.Elem())
	case strings.HasPrefix(t.Name(), "Table["):
		value, _ := t.Elem().FieldByName("Value")
		return object{{"type", []string{"object", "null"}}, {"additionalProperties", m.of(value.Type)}}
	case strings.HasPrefix(t.Name(), "Many["):
		item := m.of(t.Elem())
		return anyOf(item, object{{"type", "array"}, {"items", item}}, null)
	case t.Kind() == reflect.Slice:
		return object{{"type", []string{"array", "null"}}, {"items", m.of(t.Elem())}}
	}
	name := strings.ToLower(strings.TrimPrefix(t.Name(), "file"))
	if !m.seen[name] {
		m.seen[name] = true
		m.defs = append(m.defs, member{name, m.structure(t)})
	}
	return object{{"$ref", "#/$defs/" + name}}
}

func (m *schemaMaker) structure(t reflect.Type) object {
	var properties object
	for i := range t.NumField() {
		f := t.Field(i)
		key := f.Tag.Get("yaml")
		if key == "-" || key == "" {
			continue
		}
		described := object{{"description", m.comments[t.Name()+"."+f.Name]}}
		switch enum := f.Tag.Get("enum"); {
		case enum != "":
			described = append(described, member{"enum", strings.Split(enum, ",")})
		case key == "endpoints":
			described = append(described, m.of(f.Type)...)
			described = append(described, member{"minItems", 2}, member{"maxItems", 2})
		default:
			described = append(described, m.of(f.Type)...)
		}
		properties = append(properties, member{key, described})
	}
	return object{
		{"description", m.comments[t.Name()]},
		{"type", []string{"object", "null"}},
		{"properties", properties},
		{"patternProperties", object{{"^x-", object{}}}},
		{"additionalProperties", false},
	}
}

// fileComments returns the comments of the file types and their fields. It cuts
// off a type's name at the beginning.
func fileComments(t *testing.T) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "file.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	comments := map[string]string{}
	for _, d := range f.Decls {
		gen, ok := d.(*ast.GenDecl)
		if !ok || gen.Tok != token.TYPE {
			continue
		}
		spec := gen.Specs[0].(*ast.TypeSpec)
		comments[spec.Name.Name] = sentence(gen.Doc.Text(), spec.Name.Name+" is ", spec.Name.Name+" are ", spec.Name.Name+" ")
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, field := range s.Fields.List {
				for _, name := range field.Names {
					comments[spec.Name.Name+"."+name.Name] = sentence(field.Doc.Text())
				}
			}
		}
	}
	return comments
}

func sentence(s string, starts ...string) string {
	s = strings.Join(strings.Fields(s), " ")
	for _, start := range starts {
		if rest, ok := strings.CutPrefix(s, start); ok {
			s = rest
			break
		}
	}
	if s == "" {
		return ""
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
