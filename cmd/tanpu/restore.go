package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/tanpu/tanpu/flows/restore"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/mirror"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
)

// A restoreCommand is what “tanpu restore” is asked to do.
type restoreCommand struct {
	url, backup, keys, from string
	keyless, json, drill    bool
	sumless, behind         bool
	logKey                  *string
	documents               []string
}

// runRestore carries out “tanpu restore”: it brings an older database forward to the last signed head of its log.
func runRestore(args []string, stdout, stderr io.Writer) int {
	o := new(restoreCommand)
	flags := newFlags("restore", "--db URL [--backup COPY] [--keys KEYS] [--log-key FILE] [--drill] [--json] FROM [DOCUMENT…]", stderr)
	o.flags(flags, stderr)
	args, err := parseMixed(flags, args)
	if err == nil {
		err = parse(flags, nil, "db")
	} else if !errors.Is(err, flag.ErrHelp) {
		err = errUsage // it has said what is wrong
	}
	if err != nil {
		return status(err, stderr)
	}
	if len(args) == 0 {
		fmt.Fprintln(stderr, "tanpu restore needs what to restore from")
		flags.Usage()
		return 2
	}
	o.from, o.documents = args[0], args[1:]
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	report, err := o.run(ctx, stderr)
	if err != nil {
		return status(err, stderr)
	}
	if o.json {
		return status(json.NewEncoder(stdout).Encode(report), stderr)
	}
	return status(report.tell(stdout, o.drill), stderr)
}

func (o *restoreCommand) flags(flags *flag.FlagSet, stderr io.Writer) {
	usage := flags.Usage
	flags.Usage = func() {
		usage()
		fmt.Fprint(stderr, `
FROM has the log: its address (https://…), a folder with a copy (tanpu audit --log --mirror makes them), or another
database of which the log can be read. DOCUMENTs are texts that were published after the backup was made: the log has
only their hashes; those that the other database still has are found there. All servers of the database are stopped
meanwhile. See docs/runbook.md.
`)
	}
	flags.StringVar(&o.url, "db", "", "the older database: sqlite:FILE or postgres://…")
	flags.StringVar(&o.backup, "backup", "", "put this copy in the place of the SQLite database first, which must not be there any more")
	flags.StringVar(&o.keys, "keys", "", "bring the accounts' keys back from this file, which tanpu backup wrote")
	flags.BoolVar(&o.keyless, "without-keys", false, "go on without the accounts' keys, if they are lost: nothing can be proved or corrected of what the database has of them")
	flags.BoolVar(&o.sumless, "without-sums", false, "go on without the texts of what restatements came to, where nobody has them: tanpu method apply adds up what stands, and publishes that")
	flags.BoolVar(&o.behind, "behind", false, "go on as far as FROM goes, where nobody has all that was signed: then another log has to begin (tanpu log follow --though-older)")
	flags.BoolVar(&o.drill, "drill", false, "sign nothing, and mark the database as one that is never served: to prove a backup in another place, beside the server of the real database; --log-key is that one's")
	flags.BoolVar(&o.json, "json", false, "print the report as JSON")
	o.logKey = logKeyFlag(flags)
}

// restored is what came of it.
type restored struct {
	*restore.Report
	Keyless int64 `json:"keyless"` // accounts, but for those erased, whose key is not there
}

func (o *restoreCommand) run(ctx context.Context, stderr io.Writer) (*restored, error) {
	documents, err := o.texts()
	if err != nil {
		return nil, err
	}
	open := store.OpenRestore
	if o.drill {
		if err := o.elsewhere(); err != nil {
			return nil, err
		}
		open = store.OpenDrill
	}
	if o.backup != "" {
		if err := store.PutBack(o.url, o.backup); err != nil {
			return nil, err
		}
	}
	db, err := open(ctx, o.url)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	if err := o.bringKeys(ctx, db); err != nil {
		return nil, err
	}
	signer, err := openSigner(*o.logKey, o.url, db)
	if err != nil {
		return nil, err
	}
	from, done, err := openSource(ctx, o.from)
	if err != nil {
		return nil, err
	}
	defer done()
	report := new(restored)
	report.Report, err = restore.Run(ctx, restore.Config{DB: db, Signer: signer, Source: from, Documents: documents, WithoutSums: o.sumless, Behind: o.behind, Progress: auditProgress(stderr, "entries")}, time.Now())
	if err != nil {
		return nil, err
	}
	if _, report.Keyless, err = db.Keyless(ctx); err != nil || o.drill || report.Followed || report.Beyond > 0 {
		return report, err
	}
	// What was lost is in the log before anything new is judged.
	s, err := seal.New(ctx, seal.Config{DB: db, Signer: signer, Log: slog.New(slog.NewJSONHandler(stderr, nil))})
	for more := true; err == nil && more; {
		more, err = s.Step(ctx, time.Now())
	}
	return report, err
}

// elsewhere refuses a drill in the place of the real database, which could not be served any more. That one has its log's key or last
// head beside it, where it is a file.
func (o *restoreCommand) elsewhere() error {
	path, ok := strings.CutPrefix(o.url, "sqlite:")
	if !ok {
		return nil
	}
	for _, suffix := range []string{".log-key", ".log-key.head"} {
		if file := strings.TrimPrefix(path, "//") + suffix; fileExists(file) {
			return fault.New(fault.Conflict, "a drill is made in another place than the real database, and this seems to be that one's, for %s is there; name the real one's key with --log-key", file)
		}
	}
	return nil
}

func fileExists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

// bringKeys makes sure of the accounts' keys, which backups leave out.
func (o *restoreCommand) bringKeys(ctx context.Context, db *store.DB) error {
	if err := db.Unserved(ctx); err != nil {
		return err
	}
	if o.keys != "" {
		if _, err := db.AddKeys(ctx, o.keys); err != nil {
			return err
		}
	}
	accounts, keyless, err := db.Keyless(ctx)
	if err == nil && accounts > 0 && keyless == accounts && !o.keyless {
		err = fault.New(fault.NotFound, "the database has %d accounts and the key of none: name the file that has them with --keys, or say --without-keys", accounts)
	}
	return err
}

// texts are all that may have been published: the documents named, and those that ship with tanpu.
func (o *restoreCommand) texts() (list [][]byte, err error) {
	files, err := readDocuments(o.documents, true)
	for _, f := range files {
		list = append(list, f.Text)
	}
	return list, err
}

// openSource opens what to restore from.
func openSource(ctx context.Context, from string) (restore.Source, func(), error) {
	scheme, _, _ := strings.Cut(from, ":")
	switch scheme {
	case "http", "https":
		r, err := mirror.NewReader(mirror.Config{URL: from})
		return r, func() {}, err
	case "sqlite", "postgres", "postgresql":
		db, err := store.OpenRead(ctx, from)
		if err != nil {
			return nil, nil, err
		}
		return restore.Database(db), func() { db.Close() }, nil
	}
	r, err := mirror.OpenReader(from)
	if err != nil {
		return nil, nil, err
	}
	return r, r.Close, nil
}

// tell tells a person what was brought back, what is lost, and what is left to do.
func (r *restored) tell(w io.Writer, drill bool) error {
	if r.From == r.To {
		_, err := fmt.Fprintf(w, "log %s: the database has all %s entries that were signed\n", r.Log, thousands(r.To))
		if err == nil && r.Followed {
			err = tellNext(w)
		}
		return errors.Join(err, r.tellKeyless(w))
	}
	fmt.Fprintf(w, "log %s: from %s entries to %s\n", r.Log, thousands(r.From), thousands(r.To))
	fmt.Fprintf(w, "  %s batches hold their numbers without their claims, %s of them corrections\n", thousands(r.Batches), thousands(r.Corrections))
	fmt.Fprintf(w, "  %s consents hold their numbers without their links; %s ended links that are here, which have ended\n", thousands(r.Links), thousands(r.Ended))
	fmt.Fprintf(w, "  %s documents and %s sums are back\n", thousands(r.Documents), thousands(r.Totals))
	if r.Textless > 0 {
		fmt.Fprintf(w, "  %s of these documents hold their numbers without their texts, which nobody has: what a restatement came to is told anew by tanpu method apply\n", thousands(r.Textless))
	}
	if r.Erased > 0 {
		fmt.Fprintf(w, "  %s accounts had been erased since the backup, and are again\n", thousands(r.Erased))
	}
	if err := r.tellKeyless(w); err != nil {
		return err
	}
	if r.Followed {
		return tellNext(w)
	}
	if r.Beyond > 0 && !drill {
		_, err := fmt.Fprintf(w, "%s more entries were signed, and nobody has them: this log cannot go on. Begin another one next: tanpu log follow --though-older\n", thousands(r.Beyond))
		return err
	}
	if drill {
		_, err := fmt.Fprint(w, "This was a drill: prove the database with tanpu audit, and remove it.\n")
		return err
	}
	_, err := fmt.Fprint(w, `What is to be done now, in this order:
  1. Prove the database: tanpu audit.
  2. Revoke again the partners' keys that were revoked since the backup, which are in force again: tanpu partner-key revoke.
  3. Link again the members who joined since the backup, with the consent's own "since"; their partners must use the new subs.
  4. Then tell partners to report again what they reported since the backup, and to take back again what they took back: each
     claim counts once.
`)
	return err
}

func (r *restored) tellKeyless(w io.Writer) error {
	if r.Keyless == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "  %s accounts have no key here: nothing can be proved or corrected of what the database has of them; if a file has their keys: tanpu restore --keys\n", thousands(r.Keyless))
	return err
}

func tellNext(w io.Writer) error {
	_, err := fmt.Fprint(w, "Another log goes on from this one, which stays as it is. Restore that one next, from a copy of it and with its key: it will say what was lost of both.\n")
	return err
}
