// Report reads what go test -json said in the machines of test/vm, judges it, and
// keeps the table of kernels in the README.
//
//	report -skips skips.txt RUN.json...                 judge: exit 1 if anything failed, or was skipped without leave
//	report -features features.txt -into README.md RUN.json...   write the table between its markers
//
// A run's file is named after its kernel, 6.1.json, and after what that lacked,
// 6.1-without-nat.json, which belongs in the same column.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

func main() {
	skips := flag.String("skips", "", "judge the runs; `file` of the skips that may happen")
	features := flag.String("features", "", "make the table; `file` of features and the tests that show them")
	into := flag.String("into", "", "the `file` to write the table into, between its markers; else standard output")
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
		if err := judgeFile(skips, runs); err != nil {
			return err
		}
	}
	if features != "" {
		return tableFile(features, into, runs)
	}
	return nil
}

func judgeFile(skips string, runs []run) error {
	text, err := os.ReadFile(skips)
	if err != nil {
		return err
	}
	allowed, err := parseLeaves(string(text))
	if err != nil {
		return fmt.Errorf("%s: %w", skips, err)
	}
	bad := 0
	for _, r := range runs {
		complaints := judge(r, allowed)
		for _, c := range complaints {
			fmt.Println(c)
		}
		fmt.Println(r.summary())
		bad += len(complaints)
	}
	if bad > 0 {
		return fmt.Errorf("%d complaints", bad)
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
