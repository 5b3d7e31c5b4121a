package topo

import _ "embed"

//go:embed lab.schema.json
var schema string

// Schema is the JSON Schema of the lab file, for editors: it completes keys,
// shows what they mean, and marks what cannot be. Tell yours in the file's first
// line,
//
//	# yaml-language-server: $schema=lab.schema.json
//
// It knows less than Parse: what is wrong between two entries only Parse sees.
// It is made of the file types and their comments, by
//
//	go test ./topo -run Schema -update
func Schema() string { return schema }
