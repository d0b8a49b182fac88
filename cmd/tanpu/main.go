// Command tanpu is the whole platform in one binary.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	_ "time/tzdata" // zones are part of what a methodology means, whatever the machine has installed
)

const usage = `usage: tanpu COMMAND

to see it run
  demo     import real trips into a database of its own, audit it, and serve it
to run it
  init     make or migrate a database and publish documents
  key      make API keys for operators, and for partners of a sandbox
  partner-key
           make, register and revoke the keys by which partners sign
  serve    answer requests
  import   bring a partner's file into a database
  audit    prove a database from its rows, and its transparency log
  backup   copy a SQLite database beside the server that writes to it
  erase    forget people, but for sums that belong to nobody
  restore  bring an older database forward to the last head of its log
  log      show where the transparency log stands
for partners
  report   sign claims, send them, and print the verdicts
to hold it to its word
  audit    with --log: check a transparency log from what it publishes, and keep a copy
  verify   check a receipt, without network or server
  witness  sign the heads of transparency logs that others run, while they keep to one history
to know it
  method   check, explain, list and try methodologies
  bench    measure intake on this machine
  simulate run all of it in worlds drawn from seeds, in which everything goes wrong
  version  say what this is

tanpu COMMAND -h tells more. A database is sqlite:FILE or postgres://….
`

// commands by name; each returns the exit status: 0 done, 1 failed, 2 called the wrong way.
var commands = map[string]func(args []string, stdout, stderr io.Writer) int{
	"audit":   runAudit,
	"backup":  runBackup,
	"bench":   runBench,
	"demo":    runDemo,
	"erase":   runErase,
	"import":  runImport,
	"init":    runInit,
	"key":     runKey,
	"log":     runLog,
	"method":  runMethod,
	"report":  runReport,
	"restore": runRestore,
	"serve":   runServe,
	"verify":  runVerify,

	"simulate": runSimulate,

	"partner-key": runPartnerKey,

	"version": runVersion,
	"witness": runWitness,
}

// runVersion carries out “tanpu version”: what was built, from which commit, with which Go.
func runVersion(_ []string, stdout, stderr io.Writer) int {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return status(errors.New("this binary does not say how it was built"), stderr)
	}
	_, err := fmt.Fprintf(stdout, "tanpu %s, %s, %s\n", info.Main.Version, commit(), info.GoVersion)
	return status(err, stderr)
}

// commit is what this was built from.
func commit() string {
	commit := "an unknown commit"
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return commit
	}
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			commit = "commit " + s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			commit += " with changes"
		}
	}
	return commit
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	run, ok := commands[os.Args[1]]
	if !ok {
		if h := os.Args[1]; h == "help" || h == "-h" || h == "--help" {
			fmt.Print(usage)
			return
		}
		fmt.Fprintf(os.Stderr, "tanpu: there is no command %q\n\n%s", os.Args[1], usage)
		os.Exit(2)
	}
	os.Exit(run(os.Args[2:], os.Stdout, os.Stderr))
}

// collectLess has garbage collected less often, unless the environment says how often: what we keep is small,
// and what we throw away plentiful.
func collectLess() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// status reports an error to a person and turns it into an exit status.
func status(err error, stderr io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	fmt.Fprintln(stderr, "tanpu:", err)
	return 1
}

// errUsage says that a command was called the wrong way, and that the person has been told.
var errUsage = errors.New("called the wrong way")

// newFlags are a command's flags; what they say goes to stderr.
func newFlags(name, arguments string, stderr io.Writer) *flag.FlagSet {
	flags := flag.NewFlagSet("tanpu "+name, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintf(stderr, "usage: tanpu %s %s\n", name, arguments)
		flags.PrintDefaults()
	}
	return flags
}

// parse reads arguments; the flags named must not be empty.
func parse(flags *flag.FlagSet, args []string, needed ...string) error {
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return err
		}
		return errUsage
	}
	for _, name := range needed {
		if flags.Lookup(name).Value.String() == "" {
			fmt.Fprintf(flags.Output(), "%s needs --%s\n", flags.Name(), name)
			flags.Usage()
			return errUsage
		}
	}
	return nil
}
