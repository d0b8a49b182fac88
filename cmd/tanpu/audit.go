package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/mirror"
	"github.com/tanpu/tanpu/store"
)

// runAudit carries out “tanpu audit”: it proves a database from its rows, beside a server if there is
// one, or a log from what it publishes. The exit status is 1 when something was found.
func runAudit(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("audit", "--db URL [--json]\n       tanpu audit --log URL [--key KEY]… [--mirror DIR] [--json]", stderr)
	url := flags.String("db", "", "the database")
	var log mirror.Config
	flags.StringVar(&log.URL, "log", "", "the address of a transparency log, such as https://tanpu.example/log")
	flags.Func("key", "a public `KEY` of the log, or of a witness that must have cosigned; can be given several times. Without one "+
		"the copy's is taken, or at first the one that the log names itself", func(text string) error {
		log.Keys = append(log.Keys, text)
		return nil
	})
	flags.StringVar(&log.Dir, "mirror", "", "a folder for a copy of the log: the next time only what is new is fetched, and must extend it")
	asJSON := flags.Bool("json", false, "print the report as JSON")
	if err := parse(flags, args); err != nil {
		return status(err, stderr)
	}
	if (*url == "") == (log.URL == "") || flags.NArg() > 0 || *url != "" && (len(log.Keys) > 0 || log.Dir != "") {
		fmt.Fprintln(stderr, "tanpu audit needs --db or --log; --key and --mirror go with --log")
		flags.Usage()
		return 2
	}
	collectLess()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var report audited
	var err error
	if *url != "" {
		report, err = auditDatabase(ctx, *url, stderr)
	} else {
		report, err = auditLog(ctx, log, stderr)
	}
	if err != nil {
		return status(err, stderr)
	}
	if *asJSON {
		err = json.NewEncoder(stdout).Encode(report)
	} else {
		err = report.tell(stdout)
	}
	if err == nil && !report.Clean() {
		err = errors.New("the audit found what should not be")
	}
	return status(err, stderr)
}

// An audited database or log is a report that can be told to a person, or to a program as JSON.
type audited interface {
	Clean() bool
	tell(io.Writer) error
}

type auditedDatabase struct{ *audit.Report }

func auditDatabase(ctx context.Context, url string, stderr io.Writer) (audited, error) {
	db, err := store.OpenRead(ctx, url)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	report, err := audit.Run(ctx, db, audit.Options{Progress: auditProgress(stderr, "claims")})
	return auditedDatabase{report}, err
}

type auditedLog struct{ *mirror.Report }

func auditLog(ctx context.Context, c mirror.Config, stderr io.Writer) (audited, error) {
	c.Progress = auditProgress(stderr, "entries")
	report, err := mirror.Run(ctx, c)
	return auditedLog{report}, err
}

// auditProgress draws how far the audit is, where stderr is a terminal.
func auditProgress(stderr io.Writer, what string) func(share float64, n int64) {
	f, ok := stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	began := time.Now()
	return func(share float64, n int64) {
		fmt.Fprintf(f, "\r\x1b[K%3.0f %%  %s %s  %s/s", share*100, thousands(n), what, thousands(int64(float64(n)/time.Since(began).Seconds())))
		if share >= 1 {
			fmt.Fprint(f, "\r\x1b[K")
		}
	}
}

// tell prints the report for a person.
func (r auditedDatabase) tell(w io.Writer) error {
	fmt.Fprintf(w, "database %s (%s): %s claims in %s batches of %s accounts derived again in %.1f s, %s claims/s\n", r.Database, r.Engine,
		thousands(r.Claims), thousands(r.Batches), thousands(r.Accounts), r.Seconds, thousands(int64(float64(r.Claims)/max(r.Seconds, 1e-9))))
	if r.Entries > 0 {
		fmt.Fprintf(w, "its transparency log: %s entries held against it\n", thousands(r.Entries))
	}
	for _, f := range r.Findings {
		fmt.Fprintln(w, f)
	}
	return tellFound(w, r.Found, r.Notes)
}

// tell prints what was checked, by whose word, and what the log's totals come to.
func (r auditedLog) tell(w io.Writer) error {
	if r.Log != "" {
		fmt.Fprintf(w, "log %s: %s entries, %s of them checked in %.1f s, %s known before; %s bytes fetched, %s from the copy\n", r.Log, thousands(r.Entries),
			thousands(r.Checked), r.Seconds, thousands(r.Known), thousands(r.Fetched), thousands(r.Copied))
		fmt.Fprintf(w, "root %s\n", r.Root)
		for _, kind := range slices.Sorted(maps.Keys(r.Types)) {
			fmt.Fprintf(w, "  %s %s\n", thousands(r.Types[kind]), kind)
		}
	}
	for _, c := range r.Cosigned {
		fmt.Fprintf(w, "cosigned by %s at %s\n", c.Witness, c.At.Format(time.RFC3339))
	}
	for _, s := range r.Totals {
		fmt.Fprintf(w, "%q %q %q, %s to %s: %s claims, %s g CO2e, %s points\n", s.Programme, s.Method, s.Vintage, s.From, s.To, thousands(s.Claims), thousandths(s.Reduction), thousandths(s.Points))
	}
	for _, f := range r.Findings {
		fmt.Fprintln(w, f)
	}
	for i, head := range r.Evidence {
		fmt.Fprintf(w, "evidence %d of %d:\n%s", i+1, len(r.Evidence), head)
	}
	return tellFound(w, r.Found, r.Notes)
}

// tellFound prints how much was found, or that nothing was, and what else a person should know.
func tellFound[K ~string](w io.Writer, found map[K]int64, notes []string) error {
	for _, kind := range slices.Sorted(maps.Keys(found)) {
		fmt.Fprintf(w, "%s of %s\n", thousands(found[kind]), kind)
	}
	for _, note := range notes {
		fmt.Fprintln(w, note)
	}
	if len(found) == 0 {
		_, err := fmt.Fprintln(w, "nothing was found that should not be")
		return err
	}
	return nil
}
