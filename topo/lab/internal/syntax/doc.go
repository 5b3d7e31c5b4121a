// Package syntax reads and writes the text of a lab file. It knows what is the same for every key: positions, YAML,
// defaults and repetitions, lists and single values. Package lab knows the keys, and what they mean.
//
//	text ──NewSource──▶ Source ──NewDecoder──▶ Decoder ──Document──▶ a struct with the keys as fields
//	                                              └─────Sorted─────▶ mistakes, with their positions
//
//	Mapping ──Document──▶ text
//
// A field may have a type that reads itself (Reader), because its value has several forms or a grammar of its own.
// Scalar reads a single value, and Words the words of one, such as a route.
package syntax
