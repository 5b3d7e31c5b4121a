// Package spell finds the known word that a mistyped word is most similar to.
package spell

import (
	"fmt"
	"slices"
	"strings"
)

// DidYouMean returns a hint: the word of known that is most similar to word,
// or else a list of known.
func DidYouMean(word string, known []string) string {
	if best := Nearest(word, known); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	switch {
	case len(known) == 0:
		return ""
	case len(known) > 12:
		known = append(slices.Clone(known[:12]), "…")
	}
	return "known: " + strings.Join(known, ", ")
}

// maxWordLen is the number of bytes of a word that Nearest compares.
const maxWordLen = 64

// Nearest returns the word of known with the smallest edit distance from word,
// "" if no word is similar enough.
func Nearest(word string, known []string) string {
	word = cut(word, maxWordLen)
	best, least := "", max(1, len(word)/3)+1
	for _, k := range known {
		if d := Distance(strings.ToLower(word), strings.ToLower(k)); d < least {
			best, least = k, d
		}
	}
	return best
}

// Distance returns the optimal string alignment distance: the number of bytes
// to insert, delete, replace or swap with the next one to turn a into b.
func Distance(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], prev2[j-2]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}

// cut returns the first n bytes of s.
func cut(s string, n int) string { return s[:min(n, len(s))] }
