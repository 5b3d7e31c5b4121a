package main

import (
	"bytes"
	"cmp"
	"fmt"
	"go/ast"
	"go/token"
	"go/types"
	"math"
	"path/filepath"
	"slices"
	"strings"
)

// A mutant is a change of one place.
type mutant struct {
	number int // from 1
	place  string
	change string
}

func (m mutant) String() string { return m.place + ": " + m.change }

// A mutator writes changes into the files of a package.
type mutator struct {
	fset    *token.FileSet
	pkg     *types.Package
	info    *types.Info
	refused map[string]bool // places, file:line, where the compiler refused a change
	found   []mutant
	edits   []edit // of the current file
	results *types.Tuple
}

// An edit inserts text into a file. Edits at one place are sorted: ends of expressions and statements come before
// beginnings, and the text of the outer expression is outside that of the inner one.
type edit struct {
	at, deleted int
	text        string
	isEnd       bool
	other       int // the other end of the expression or statement
}

func (m *mutator) offset(p token.Pos) int { return m.fset.Position(p).Offset }

func (m *mutator) placeOf(n ast.Node) string {
	p := m.fset.Position(n.Pos())
	return fmt.Sprintf("%s:%d", filepath.Base(p.Filename), p.Line)
}

// add adds a mutant at a node and returns its number.
func (m *mutator) add(n ast.Node, change string) int {
	m.found = append(m.found, mutant{len(m.found) + 1, m.placeOf(n), change})
	return len(m.found)
}

// wrap puts a node between two texts.
func (m *mutator) wrap(n ast.Node, before, after string) {
	from, to := m.offset(n.Pos()), m.offset(n.End())
	m.edits = append(m.edits, edit{at: from, text: before, other: to}, edit{at: to, text: after, isEnd: true, other: from})
}

// replace replaces an operator.
func (m *mutator) replace(at token.Pos, operator token.Token, text string) {
	m.edits = append(m.edits, edit{at: m.offset(at), deleted: len(operator.String()), text: text, other: math.MaxInt})
}

// file returns a file with all changes.
func (m *mutator) file(f *ast.File, source []byte) []byte {
	m.edits = nil
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Body != nil {
				m.function(d.Body, m.info.Defs[d.Name].Type().(*types.Signature).Results())
			}
		case *ast.GenDecl:
			if d.Tok == token.VAR {
				ast.Inspect(d, m.visit)
			}
		}
	}
	slices.SortStableFunc(m.edits, func(a, b edit) int {
		switch {
		case a.at != b.at:
			return cmp.Compare(a.at, b.at)
		case a.isEnd != b.isEnd && a.isEnd:
			return -1
		case a.isEnd != b.isEnd:
			return 1
		}
		return cmp.Compare(b.other, a.other)
	})
	var out bytes.Buffer
	at := 0
	for _, e := range m.edits {
		out.Write(source[at:e.at])
		out.WriteString(e.text)
		at = e.at + e.deleted
	}
	out.Write(source[at:])
	return out.Bytes()
}

// function changes the body of a function.
func (m *mutator) function(body *ast.BlockStmt, results *types.Tuple) {
	outer := m.results
	m.results = results
	ast.Inspect(body, m.visit)
	m.results = outer
}

func (m *mutator) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncLit:
		m.function(n.Body, m.info.TypeOf(n).(*types.Signature).Results())
		return false
	case *ast.ArrayType:
		return false
	case *ast.GenDecl:
		return n.Tok == token.VAR
	case *ast.BinaryExpr:
		m.operator(n)
	case *ast.IfStmt:
		m.condition(n.Cond)
	case *ast.BlockStmt:
		m.statements(n.List)
	case *ast.CommClause:
		m.statements(n.Body)
	case *ast.CaseClause:
		m.statements(n.Body)
		for _, e := range n.List {
			m.condition(e)
		}
	}
	return true
}

// condition negates a condition. A comparison is negated by its operator.
func (m *mutator) condition(e ast.Expr) {
	if p, ok := e.(*ast.ParenExpr); ok {
		m.condition(p.X)
		return
	}
	_, isOperator := e.(*ast.BinaryExpr)
	if isOperator || m.isConstant(e) || m.kindOf(e)&types.IsBoolean == 0 || m.refused[m.placeOf(e)] {
		return
	}
	m.wrap(e, "((", fmt.Sprintf(") != mutated(%d))", m.add(e, "negated")))
}

func (m *mutator) isConstant(e ast.Expr) bool { return m.info.Types[e].Value != nil }

// kindOf returns the properties of a basic type; 0 for other types.
func (m *mutator) kindOf(e ast.Expr) types.BasicInfo {
	if t := m.info.TypeOf(e); t != nil {
		if b, ok := t.Underlying().(*types.Basic); ok {
			return b.Info()
		}
	}
	return 0
}

// functions are those of helper.go.tmpl, by operator.
var functions = map[token.Token]string{
	token.LSS: "mutateLess", token.LEQ: "mutateLessOrEqual", token.GTR: "mutateGreater", token.GEQ: "mutateGreaterOrEqual",
	token.ADD: "mutateAdd", token.SUB: "mutateSub", token.MUL: "mutateMul", token.QUO: "mutateQuo", token.REM: "mutateRem",
	token.LAND: "mutateAnd", token.LOR: "mutateOr",
}

// operator changes an operator.
func (m *mutator) operator(b *ast.BinaryExpr) {
	if m.isConstant(b) || m.refused[m.placeOf(b)] {
		return
	}
	call := func(n int, between, after string) {
		m.wrap(b, fmt.Sprintf("%s(%d, ", functions[b.Op], n), after)
		m.replace(b.OpPos, b.Op, between)
	}
	switch b.Op {
	case token.EQL, token.NEQ:
		m.wrap(b, "((", fmt.Sprintf(") != mutated(%d))", m.add(b, b.Op.String()+" negated")))
	case token.LSS, token.LEQ, token.GTR, token.GEQ:
		if m.kindOf(b.X)&types.IsOrdered != 0 {
			call(m.add(b, b.Op.String()+" at its boundary"), ",", ")")
			m.add(b, b.Op.String()+" negated")
		}
	case token.ADD, token.SUB, token.MUL, token.QUO, token.REM:
		if m.kindOf(b)&types.IsInteger != 0 {
			call(m.add(b, b.Op.String()+" is another operator"), ",", ")")
		}
	case token.LAND, token.LOR:
		call(m.add(b, b.Op.String()+" is the other one"), ", func() bool { return (", ")})")
		m.condition(b.X)
		m.condition(b.Y)
	}
}

// statements leaves out statements, and returns zero values.
func (m *mutator) statements(list []ast.Stmt) {
	for _, s := range list {
		change := ""
		switch s := s.(type) {
		case *ast.ExprStmt:
			if call, ok := s.X.(*ast.CallExpr); ok && !isPanic(call) {
				change = "call left out"
			}
		case *ast.AssignStmt:
			if s.Tok != token.DEFINE {
				change = "assignment left out"
			}
		case *ast.IncDecStmt:
			change = s.Tok.String() + " left out"
		case *ast.BranchStmt:
			if s.Tok == token.CONTINUE || s.Tok == token.BREAK {
				change = s.Tok.String() + " left out"
			}
		case *ast.ReturnStmt:
			m.zeroReturn(s)
		}
		if change != "" && !m.refused[m.placeOf(s)] {
			m.wrap(s, fmt.Sprintf("if !mutated(%d) { ", m.add(s, change)), " }")
		}
	}
}

func isPanic(call *ast.CallExpr) bool {
	f, ok := call.Fun.(*ast.Ident)
	return ok && f.Name == "panic"
}

// zeroReturn returns zero values instead of others.
func (m *mutator) zeroReturn(s *ast.ReturnStmt) {
	if m.refused[m.placeOf(s)] || !slices.ContainsFunc(s.Results, func(e ast.Expr) bool { return !m.isZero(e) }) {
		return
	}
	var zeros []string
	for v := range m.results.Variables() {
		zeros = append(zeros, "*new("+types.TypeString(v.Type(), m.qualifier)+")")
	}
	n := m.add(s, "returns zero values")
	m.wrap(s, fmt.Sprintf("if mutated(%d) { return %s }; ", n, strings.Join(zeros, ", ")), "")
}

func (m *mutator) qualifier(p *types.Package) string {
	if p == m.pkg {
		return ""
	}
	return p.Name()
}

func (m *mutator) isZero(e ast.Expr) bool {
	v := m.info.Types[e]
	if v.Value != nil {
		return slices.Contains([]string{"0", `""`, "false"}, v.Value.ExactString())
	}
	literal, ok := e.(*ast.CompositeLit)
	_, isStruct := v.Type.Underlying().(*types.Struct)
	return v.IsNil() || ok && isStruct && len(literal.Elts) == 0
}
