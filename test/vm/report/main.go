// Report reads the output of go test -json from the machines of test/vm, checks it, and
// writes the kernel table of the README.
//
//	report -skips skips.txt RUN.json...
//		exit with 1 if a test failed, or skipped and is not allowed to
//	report -features features.txt -into README.md RUN.json...
//		write the table between its markers
//
// The name of a file is that of its kernel, 6.1.json, with a suffix if the kernel lacked
// something: 6.1-without-nat.json. Both belong to the same column.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	skips := flag.String("skips", "", "check the runs; `file` of the allowed skips")
	features := flag.String("features", "", "make the table; `file` of features and their tests")
	into := flag.String("into", "", "the `file` to write the table into, between its markers; default standard output")
	flag.Parse()
	if err := report(*skips, *features, *into, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "report: error:", err)
		os.Exit(1)
	}
}

func report(skips, features, into string, files []string) error {
	var runs []run
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		r, err := readRun(strings.TrimSuffix(filepath.Base(file), ".json"), f)
		f.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		runs = append(runs, r)
	}
	if skips != "" {
		if err := checkFile(skips, runs); err != nil {
			return err
		}
	}
	if features != "" {
		return tableFile(features, into, runs)
	}
	return nil
}

func checkFile(skips string, runs []run) error {
	text, err := os.ReadFile(skips)
	if err != nil {
		return err
	}
	allowed, err := parseAllowedSkips(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", skips, err)
	}
	bad := 0
	for _, r := range runs {
		problems := check(r, allowed)
		for _, c := range problems {
			fmt.Println(c)
		}
		fmt.Println(r.summary())
		bad += len(problems)
	}
	if bad > 0 {
		return fmt.Errorf("%d problems", bad)
	}
	return nil
}

func tableFile(features, into string, runs []run) error {
	text, err := os.ReadFile(features)
	if err != nil {
		return err
	}
	rows, err := parseFeatures(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", features, err)
	}
	made, err := table(rows, runs)
	if err != nil {
		return fmt.Errorf("%s: %w", features, err)
	}
	if into == "" {
		fmt.Print(made)
		return nil
	}
	page, err := os.ReadFile(into)
	if err != nil {
		return err
	}
	page, err = replace(page, made)
	if err != nil {
		return fmt.Errorf("%s: %w", into, err)
	}
	return os.WriteFile(into, page, 0o644)
}
