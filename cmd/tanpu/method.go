package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/tanpu/tanpu/rules/methodology"
)

const methodUsage = `usage:
  tanpu method check [FILE|DIR]
        compile methodologies, with the groups and factors beside them, and run their examples;
        without an argument, those that ship with tanpu
  tanpu method explain ID[@VERSION]|FILE [--at DATE] [--evidence GRADE] [--region CODE] [--lang zh|en]
        [--history INPUT='VALUE,VALUE'] NAME='VALUE UNIT'... [duration='12 min']
        show the working of a claim line by line
  tanpu method list [--json] [--lang zh|en]
        list the methodologies that ship with tanpu
  tanpu method try DRAFT --db URL [--from DAY] [--to DAY] [--upto REPORT.json] [--json] [--html FILE] [--lang zh|en]
        judge what is recorded again as if DRAFT had been in force, and tell what would change; changes nothing
  tanpu method apply REPORT.json --draft DRAFT --name NAME --reason TEXT --db URL [--order FILE] [--json] [--lang zh|en]
        make what is recorded stand as that report says that it would
`

// runMethod carries out “tanpu method …” and returns the exit status.
func runMethod(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, methodUsage)
		return 2
	}
	var err error
	switch args[0] {
	case "check":
		err = methodCheck(args[1:], stdout, stderr)
	case "explain":
		err = methodExplain(args[1:], stdout, stderr)
	case "list":
		err = methodList(args[1:], stdout, stderr)
	case "try":
		err = methodTry(args[1:], stdout, stderr)
	case "apply":
		err = methodApply(args[1:], stdout, stderr)
	case "help", "-h", "--help":
		fmt.Fprint(stdout, methodUsage)
	default:
		fmt.Fprint(stderr, methodUsage)
		return 2
	}
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 2
	case errors.Is(err, errPartial):
		return statusUnread
	case err != nil:
		fmt.Fprintln(stderr, err)
		return 1
	}
	return 0
}

// methodCheck compiles documents and runs their examples. It prints a line for each that is right and
// every mistake of each that is not.
func methodCheck(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("tanpu method check", flag.ContinueOnError)
	flags.SetOutput(stderr)
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	if flags.NArg() > 1 {
		return errors.New("tanpu method check takes one file or folder")
	}
	checked, beside, err := toCheck(flags.Arg(0))
	if err != nil {
		return err
	}
	wrong, right := 0, 0
	tell := func(p paper, what string, err error) {
		if err != nil {
			wrong++
			fmt.Fprintln(stderr, err)
			return
		}
		right++
		fmt.Fprintf(stdout, "ok  %s  %s\n", p.name, what)
	}
	var s shelf
	s.stock(checked, tell)
	s.stock(beside, func(_ paper, _ string, err error) {
		if err != nil {
			wrong++
			fmt.Fprintln(stderr, err)
		}
	})
	if err := s.fallBack(); err != nil {
		return err
	}
	s.compile(checked, tell)
	switch {
	case wrong > 0:
		return fmt.Errorf("%d of %d documents have mistakes", wrong, wrong+right)
	case right == 0:
		return errors.New("no *.methodology.yaml, *.groups.yaml or *.factors.yaml there")
	}
	return nil
}

// methodList lists what ships with tanpu.
func methodList(args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("tanpu method list", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "print JSON")
	lang := flags.String("lang", langOfEnvironment(), "zh or en")
	if err := flags.Parse(args); err != nil {
		return flag.ErrHelp
	}
	s, err := shipped()
	if err != nil {
		return err
	}
	if *asJSON {
		return listJSON(s.methods, stdout)
	}
	w := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, m := range s.methods {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", m.Name(), validity(m), m.Domain, m.Use, m.Region, m.Title.In(*lang))
	}
	return w.Flush()
}

// A listed methodology is one entry of “tanpu method list --json”.
type listed struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	Title   struct {
		ZH string `json:"zh"`
		EN string `json:"en"`
	} `json:"title"`
	Domain   string `json:"domain"`
	Activity string `json:"activity"`
	Kind     string `json:"kind"`
	Use      string `json:"use"`
	Region   string `json:"region"`
	Group    string `json:"group,omitempty"`
	From     string `json:"from"`
	To       string `json:"to,omitempty"`
	SHA256   string `json:"sha256"`
}

func listJSON(methods []*methodology.Methodology, stdout io.Writer) error {
	all := make([]listed, len(methods))
	for i, m := range methods {
		all[i] = listed{
			ID: m.ID, Version: m.Version, Domain: m.Domain, Activity: m.Activity, Kind: m.Kind, Use: m.Use,
			Region: m.Region, Group: m.Group, From: m.From.Format(time.DateOnly), SHA256: fmt.Sprintf("%x", m.Hash),
		}
		all[i].Title.ZH, all[i].Title.EN = m.Title.ZH, m.Title.EN
		if !m.To.IsZero() {
			all[i].To = m.To.Format(time.DateOnly)
		}
	}
	enc := json.NewEncoder(stdout)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(all)
}

// validity writes from when until when a methodology is in force.
func validity(m *methodology.Methodology) string {
	if m.To.IsZero() {
		return m.From.Format(time.DateOnly) + " on"
	}
	return m.From.Format(time.DateOnly) + " until " + m.To.Format(time.DateOnly)
}
