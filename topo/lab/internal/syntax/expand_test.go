package syntax

import "testing"

// A number replaces (n), (n+K) and (n-K), and nothing else.
func TestRepetitionsAreNumbered(t *testing.T) {
	for in, want := range map[string]string{
		"h(n)": "h7", "10.(n).(n+1).(n-1)": "10.7.8.6", "(n": "(n",
		"f(now)": "f(now)", "(n*2)": "(n*2)", "()": "()", "": "",
		"(n)(n)": "77", "(n+100)": "107", "(n-)": "(n-)", "(n+1": "(n+1",
	} {
		if got := replaceNumber(in, 7); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}
