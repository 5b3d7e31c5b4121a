package main

import "os"

// colors says whether a lab command colours: on a terminal, and never if NO_COLOR
// is set; see no-color.org. The words of ip(8) do so only when asked.
func (s *session) colors() bool {
	return os.Getenv("NO_COLOR") == "" && (s.Color == "always" || isTerminal(os.Stdout))
}

// onTerminal says whether somebody sees what goes to standard error.
func (s *session) onTerminal() bool { return isTerminal(os.Stderr) }

// bold makes text stand out.
func (s *session) bold(text string) string {
	if !s.colors() {
		return text
	}
	return "\x1b[1m" + text + "\x1b[0m"
}
