// Package draw makes pictures of labs: as text, as SVG, and for Mermaid and Graphviz.
//
//	lab.Topology ──▶ Layout ──▶ nodes and edges ──┬─ ascii     a tree for the terminal
//	                                              ├─ svg       boxes and lines
//	                                              ├─ mermaid   for Markdown
//	                                              └─ dot       for Graphviz
//
// [Graph] also accepts a topology with mistakes. It never panics.
package draw
