package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/store"
)

// runAudit carries out “tanpu audit”: it proves a database from its rows, beside a server if there is
// one. The exit status is 1 when something was found.
func runAudit(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("audit", "--db URL [--json]", stderr)
	url := flags.String("db", "", "the database")
	asJSON := flags.Bool("json", false, "print the report as JSON")
	if err := parse(flags, args, "db"); err != nil {
		return status(err, stderr)
	}
	collectLess()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	db, err := store.OpenRead(ctx, *url)
	if err != nil {
		return status(err, stderr)
	}
	defer db.Close()
	report, err := audit.Run(ctx, db, audit.Options{Progress: auditProgress(stderr)})
	if err != nil {
		return status(err, stderr)
	}
	if *asJSON {
		err = json.NewEncoder(stdout).Encode(report)
	} else {
		err = tellAudit(stdout, report)
	}
	if err == nil && !report.Clean() {
		err = errors.New("the audit found what should not be")
	}
	return status(err, stderr)
}

// auditProgress draws how far the audit is, where stderr is a terminal.
func auditProgress(stderr io.Writer) func(share float64, claims int64) {
	f, ok := stderr.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil
	}
	began := time.Now()
	return func(share float64, claims int64) {
		fmt.Fprintf(f, "\r\x1b[K%3.0f %%  %s claims  %s/s", share*100, thousands(claims), thousands(int64(float64(claims)/time.Since(began).Seconds())))
		if share >= 1 {
			fmt.Fprint(f, "\r\x1b[K")
		}
	}
}

// tellAudit prints a report for a person.
func tellAudit(w io.Writer, r *audit.Report) error {
	fmt.Fprintf(w, "database %s (%s): %s claims in %s batches of %s accounts derived again in %.1f s, %s claims/s\n", r.Database, r.Engine,
		thousands(r.Claims), thousands(r.Batches), thousands(r.Accounts), r.Seconds, thousands(int64(float64(r.Claims)/max(r.Seconds, 1e-9))))
	if r.Entries > 0 {
		fmt.Fprintf(w, "its transparency log: %s entries held against it\n", thousands(r.Entries))
	}
	for _, f := range r.Findings {
		fmt.Fprintln(w, f)
	}
	for kind, n := range r.Found {
		fmt.Fprintf(w, "%s of %s\n", thousands(n), kind)
	}
	for _, note := range r.Notes {
		fmt.Fprintln(w, note)
	}
	if r.Clean() {
		_, err := fmt.Fprintln(w, "nothing was found that should not be")
		return err
	}
	return nil
}
