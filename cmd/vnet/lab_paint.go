package main

import "os"

// colors reports whether a lab command prints colours: on a terminal, unless NO_COLOR is set (no-color.org).
// The commands of ip(8) print colours only with -color.
func (s *session) colors() bool {
	return os.Getenv("NO_COLOR") == "" && (s.Color == "always" || isTerminal(os.Stdout))
}

// onTerminal reports whether standard error is a terminal.
func (s *session) onTerminal() bool { return isTerminal(os.Stderr) }

// bold makes text bold if colours are on.
func (s *session) bold(text string) string {
	if !s.colors() {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}
