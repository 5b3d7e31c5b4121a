package display

import (
	"strings"
	"unicode/utf8"
)

// XMLHeader begins each document.
const XMLHeader = `<?xml version="1.0" encoding="UTF-8"?>` + "\n"

// xmlText escapes characters for XML text and attributes.
var xmlText = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&#34;", "'", "&#39;",
	"\t", "&#x9;", "\n", "&#xA;", "\r", "&#xD;")

// EscapeXML escapes text for XML. Characters that XML cannot hold become U+FFFD. It replaces
// encoding/xml, whose initialisation would slow down every start of vnet.
func EscapeXML(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return utf8.RuneError
		}
		return r
	}, s)
	return xmlText.Replace(s)
}
