package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"golang.org/x/term"

	"github.com/tanpu/tanpu/flows/importing"
	"github.com/tanpu/tanpu/rules/document"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
)

// statusUnread is the exit status when the report lists rows that could not be read.
const statusUnread = 3

// runImport carries out “tanpu import”: it brings partner's files into a database. Killed or stopped, the
// same command goes on where it was; run again after it ended, it adds nothing twice.
func runImport(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	o, err := importOptions(args, stderr)
	if err != nil {
		return status(err, stderr)
	}
	o.Done = func(s importing.Summary) error {
		if o.json {
			return json.NewEncoder(stdout).Encode(s)
		}
		return o.tell(stdout, s)
	}
	s, err := o.run(ctx, stderr)
	if err == nil && s.Unread > 0 {
		return statusUnread
	}
	return status(err, stderr)
}

type importCommand struct {
	importing.Config
	db, mapFile string
	logKey      *string
	json        bool
}

func importOptions(args []string, stderr io.Writer) (*importCommand, error) {
	o := new(importCommand)
	flags := newFlags("import", "--db URL --programme ID --partner ID --map FILE --subs FILE [--enrol] [--backfill] FILE…", stderr)
	flags.StringVar(&o.db, "db", "", "the database: sqlite:FILE or postgres://…")
	flags.StringVar(&o.Programme, "programme", "", "the programme's id")
	flags.StringVar(&o.Partner, "partner", "", "the partner who reports")
	flags.StringVar(&o.mapFile, "map", "", "how a row becomes a claim: a *.map.yaml")
	flags.StringVar(&o.Subs, "subs", "", "the partner's table from its ids of members to their subs; it stays here, and is begun if there is none")
	flags.BoolVar(&o.Enrol, "enrol", false, "open accounts for members not yet known, linked for all purposes")
	flags.BoolVar(&o.Backfill, "backfill", false, "judge neither lateness nor the time from which a link is in force; recorded with the claims")
	flags.BoolVar(&o.json, "json", false, "print the summary as JSON")
	flags.StringVar(&o.Report, "report", "", "where to list what was not accepted (default the first file's name and .report.csv, here)")
	flags.IntVar(&o.Window, "batch", importing.UsualWindow, "claims sent at a time")
	o.logKey = logKeyFlag(flags)
	files, err := parseMixed(flags, args)
	if err == nil {
		err = parse(flags, nil, "db", "programme", "partner", "map", "subs")
	}
	if err != nil {
		return nil, errUsage // it has said what is wrong
	}
	o.Files = files
	if len(o.Files) == 0 {
		fmt.Fprintln(stderr, "tanpu import needs a CSV or Parquet file to read")
		flags.Usage()
		return nil, errUsage
	}
	if o.Report == "" {
		o.Report = filepath.Base(o.Files[0]) + ".report.csv"
	}
	if langOfEnvironment() == "en" {
		o.Lang = reason.EN
	}
	return o, nil
}

func (o *importCommand) run(ctx context.Context, stderr io.Writer) (s importing.Summary, err error) {
	text, err := readDocument(o.mapFile)
	if err != nil {
		return s, err
	}
	if o.Map, err = importing.ParseMap(o.mapFile, text); err != nil {
		return s, err
	}
	db, err := store.Open(ctx, o.db)
	if err != nil {
		return s, err
	}
	defer db.Close()
	if err := whole(ctx, db, o.db, *o.logKey); err != nil {
		return s, err
	}
	if f, ok := stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		o.Progress = progressOn(f)
	}
	return importing.Run(ctx, db, o.Config)
}

// readDocument reads a text no larger than a document may be.
func readDocument(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, document.MaxSize+1))
}

// progressOn draws how far an import is, over itself.
func progressOn(f *os.File) func(importing.Progress) {
	began, last := time.Now(), time.Time{}
	return func(p importing.Progress) {
		if p.Share >= 1 {
			fmt.Fprint(f, "\r\x1b[K")
			return
		}
		if time.Since(last) < 100*time.Millisecond {
			return
		}
		last = time.Now()
		rate := float64(p.Rows) / time.Since(began).Seconds()
		fmt.Fprintf(f, "\r\x1b[K%3.0f %%  %s rows  %s/s", p.Share*100, thousands(p.Rows), thousands(int64(rate)))
	}
}

// tell prints a summary for a person.
func (o *importCommand) tell(w io.Writer, s importing.Summary) error {
	if s.Resumed {
		fmt.Fprintln(w, "went on where a run before this one was stopped; counting both:")
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(t, "%s\t rows\n%s\t read, of %s members\n", thousands(s.Rows), thousands(s.Read), thousands(s.Members))
	if s.Unread > 0 {
		fmt.Fprintf(t, "%s\t could not be read\n", thousands(s.Unread))
	}
	for _, kind := range []reason.Kind{reason.Accepted, reason.Duplicate, reason.Refused} {
		for i := len(reason.All) - 1; i >= 0; i-- {
			code := reason.All[i]
			if n := s.Verdicts[code]; n > 0 && code.Kind() == kind {
				fmt.Fprintf(t, "%s\t %s (%s)\n", thousands(n), reason.Label(code, reason.EN, false), code)
			}
		}
	}
	fmt.Fprintf(t, "%s\t mg CO2e credited to %s members\n", thousands(s.Milligrams), thousands(s.Credited))
	fmt.Fprintf(t, "%s\t thousandths of a point\n", thousands(s.Points))
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "in %.1f s; what was not accepted is in %s\n", s.Seconds, o.Report)
	return err
}

// thousands writes a number with its thousands apart: 37,349,751,088.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	digits := strings.TrimPrefix(s, "-")
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(c)
	}
	return s[:len(s)-len(digits)] + b.String()
}
