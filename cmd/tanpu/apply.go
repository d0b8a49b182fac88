package main

import (
	"context"
	"flag"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/web/trial"
)

// methodApply applies a draft as it was tried. Killed or stopped, the same command goes on where it was; run again after
// it ended, it tells what it came to.
func methodApply(args []string, stdout, stderr io.Writer) error {
	flags := newFlags("method apply", "REPORT.json --draft DRAFT --name NAME --reason TEXT --db URL [--order FILE] [--log-key FILE] [--json] [--lang zh|en]", stderr)
	url := flags.String("db", "", "the database: sqlite:FILE or postgres://…")
	draft := flags.String("draft", "", "the text that the report tried")
	var o restate.Order
	flags.StringVar(&o.Name, "name", "", "what the restatement is called for good: lower case, digits and hyphens")
	flags.StringVar(&o.Reason, "reason", "", "why, for members and auditors; it stands in the log")
	order := flags.String("order", "", "also write the order, as it is published, to this file: restoring a backup may ask for it")
	key := logKeyFlag(flags)
	asJSON := flags.Bool("json", false, "print what it came to as JSON")
	lang := flags.String("lang", langOfEnvironment(), "zh or en")
	words, err := parseMixed(flags, args)
	if err != nil {
		return flag.ErrHelp
	}
	if len(words) != 1 || *url == "" || *draft == "" || o.Name == "" || o.Reason == "" || *lang != "zh" && *lang != "en" {
		flags.Usage()
		return flag.ErrHelp
	}
	if o.Draft, err = readDocument(*draft); err != nil {
		return err
	}
	if o.Report, err = readReport(words[0]); err != nil {
		return err
	}
	if *order != "" {
		if err := os.WriteFile(*order, o.Document(), 0o666); err != nil {
			return err
		}
	}
	done, err := applyDraft(*url, *key, o, restate.Options{Progress: auditProgress(stderr, "claims")}, stderr)
	if err != nil {
		return err
	}
	if *asJSON {
		err = done.Write(stdout)
	} else {
		err = trial.Applied(stdout, done, *lang)
	}
	if err == nil && !done.Whole() {
		err = errPartial
	}
	return err
}

func applyDraft(url, key string, o restate.Order, opts restate.Options, stderr io.Writer) (*restate.Applied, error) {
	collectLess()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	db, err := store.Open(ctx, url)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := wholeIfKnown(ctx, db, url, key, stderr); err != nil {
		return nil, err
	}
	return restate.Apply(ctx, db, o, opts)
}
