package lab

import _ "embed"

//go:embed lab.schema.json
var schema string

// Schema returns the JSON Schema of the lab file. With it, editors complete keys,
// show their descriptions and mark mistakes. Name it in the first line of a lab
// file:
//
//	# yaml-language-server: $schema=lab.schema.json
//
// It finds fewer mistakes than Parse, which also compares entries with each
// other. It is generated from the file types and their comments by
//
//	go test ./topo/lab -run Schema -update
func Schema() string { return schema }
