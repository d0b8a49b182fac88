package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/web/trial"
)

// errPartial says that a report is there, and that it leaves something out, as the report itself says.
var errPartial = errors.New("some claims could not be judged again")

// methodTry tries a draft on what is recorded. It changes nothing.
func methodTry(args []string, stdout, stderr io.Writer) error {
	flags := newFlags("method try", "DRAFT --db URL [--from DAY] [--to DAY] [--upto REPORT.json] [--json] [--html FILE] [--lang zh|en]", stderr)
	url := flags.String("db", "", "the database: sqlite:FILE or postgres://…")
	var d restate.Draft
	flags.StringVar(&d.From, "from", "", "the first local day on which acts began (default: as the draft is valid)")
	flags.StringVar(&d.To, "to", "", "the first local day after them (default: as the draft is valid)")
	upto := flags.String("upto", "", "a former report's JSON: go by exactly the claims that it went by")
	asJSON := flags.Bool("json", false, "print the report as JSON")
	html := flags.String("html", "", "also write the report as a page, to this file")
	lang := flags.String("lang", langOfEnvironment(), "zh or en")
	words, err := parseMixed(flags, args)
	if err != nil {
		return flag.ErrHelp
	}
	if len(words) != 1 || *url == "" || *lang != "zh" && *lang != "en" {
		flags.Usage()
		return flag.ErrHelp
	}
	d.File = words[0]
	if d.Text, err = readDocument(d.File); err != nil {
		return err
	}
	o := restate.Options{Progress: auditProgress(stderr, "claims")}
	if o.Upto, err = readWatermark(*upto); err != nil {
		return err
	}
	r, err := tryDraft(*url, d, o)
	if err != nil {
		return err
	}
	if *html != "" {
		var b bytes.Buffer
		if err := trial.Page(&b, r, *lang); err != nil {
			return err
		}
		if err := os.WriteFile(*html, b.Bytes(), 0o666); err != nil {
			return err
		}
	}
	if *asJSON {
		err = r.Write(stdout)
	} else {
		err = trial.Text(stdout, r, *lang)
	}
	if err == nil && !r.Whole() {
		err = errPartial
	}
	return err
}

func tryDraft(url string, d restate.Draft, o restate.Options) (*restate.Report, error) {
	collectLess()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	db, err := store.OpenRead(ctx, url)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	return restate.Try(ctx, db, d, o)
}

// maxReport bounds a report that is read.
const maxReport = 64 << 20

// readWatermark reads up to where a former report went; nil where none is named.
func readWatermark(name string) (*restate.Watermark, error) {
	if name == "" {
		return nil, nil
	}
	r, err := readReport(name)
	if err != nil {
		return nil, err
	}
	return &r.Watermark, nil
}

func readReport(name string) (*restate.Report, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var r restate.Report
	if err := json.NewDecoder(io.LimitReader(f, maxReport)).Decode(&r); err != nil || r.Form != restate.ReportForm {
		return nil, fault.New(fault.Invalid, "%s is not a report that tanpu method try --json wrote", name)
	}
	return &r, nil
}
