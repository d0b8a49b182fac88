package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
)

// logKeyFlag is how commands are told where the log's signing key is.
func logKeyFlag(flags *flag.FlagSet) *string {
	return flags.String("log-key", "", "the file with the log's signing key; by default beside a SQLite database, or for PostgreSQL in your configuration folder; "+
		"the key itself can come from "+seal.KeyVariable)
}

// keyFile is where a database's signing key is, unless said otherwise: found by whoever names the same database,
// from whatever folder.
func keyFile(named, url string, db *store.DB) (string, error) {
	if named != "" {
		return named, nil
	}
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		return strings.TrimPrefix(path, "//") + ".log-key", nil
	}
	folder, err := os.UserConfigDir()
	if err != nil {
		return "", fault.New(fault.Invalid, "say where the log's key is, with --log-key: %v", err)
	}
	folder = filepath.Join(folder, "tanpu")
	return filepath.Join(folder, db.ID+".log-key"), os.MkdirAll(folder, 0o700)
}

// openSigner loads the signer of a database's log.
func openSigner(named, url string, db *store.DB) (*seal.Signer, error) {
	file, err := keyFile(named, url, db)
	if err != nil {
		return nil, err
	}
	return seal.LoadSigner(file, os.Getenv(seal.KeyVariable))
}

// whole returns an error unless the database holds all that was ever signed of its log: whoever writes to an older one gives
// the same numbers to something else. Without a log there is nothing to hold it against.
func whole(ctx context.Context, db *store.DB, url, named string) error {
	if _, begun, err := db.Log(ctx); err != nil || !begun {
		return err
	}
	signer, err := openSigner(named, url, db)
	if err != nil {
		return err
	}
	return seal.Check(ctx, db, signer)
}

// beginLog begins a new database's log: it makes the key, unless there is one, and says what it is.
func beginLog(ctx context.Context, db *store.DB, url, named, origin string, stdout io.Writer) error {
	l, begun, err := db.Log(ctx)
	if err != nil {
		return err
	}
	if begun {
		fmt.Fprintf(stdout, "log %s, %d entries\n", l.Origin, l.Size)
		return nil
	}
	file, err := keyFile(named, url, db)
	if err != nil {
		return err
	}
	if origin == "" {
		origin = "tanpu/" + db.ID
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) && os.Getenv(seal.KeyVariable) == "" {
		if _, err := seal.CreateKey(file, origin); err != nil {
			return err
		}
	}
	signer, err := seal.LoadSigner(file, os.Getenv(seal.KeyVariable))
	if err != nil {
		return err
	}
	if err := seal.Begin(ctx, db, signer, time.Now()); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "log %s, signed by the key in %s\n  %s\n", signer.Origin(), file, strings.Join(signer.Keys(), "\n  "))
	return nil
}

// runLog carries out “tanpu log”.
func runLog(args []string, stdout, stderr io.Writer) int {
	const use = "usage: tanpu log show | trust --db URL [--log-key FILE]\n"
	if len(args) == 0 || args[0] != "show" && args[0] != "trust" {
		fmt.Fprint(stderr, use)
		return 2
	}
	flags := newFlags("log "+args[0], "--db URL [--log-key FILE]", stderr)
	url := flags.String("db", "", "the database")
	key := logKeyFlag(flags)
	if err := parse(flags, args[1:], "db"); err != nil {
		return status(err, stderr)
	}
	ctx := context.Background()
	db, err := store.OpenRead(ctx, *url)
	if err != nil {
		return status(err, stderr)
	}
	defer db.Close()
	if args[0] == "trust" {
		return status(trustLog(ctx, db, *url, *key, stdout), stderr)
	}
	return status(showLog(ctx, db, *url, *key, stdout), stderr)
}

// showLog prints where the log stands: what a client needs to check it by.
func showLog(ctx context.Context, db *store.DB, url, key string, stdout io.Writer) error {
	l, found, err := db.Log(ctx)
	if err != nil {
		return err
	}
	if !found {
		return fault.New(fault.NotFound, "no log was begun; run: tanpu init --db URL")
	}
	fmt.Fprintf(stdout, "log %s, %d entries, %d of them published\n", l.Origin, l.Size, l.Signed)
	signer, err := openSigner(key, url, db)
	if err != nil {
		return err
	}
	for _, k := range signer.Keys() {
		fmt.Fprintln(stdout, k)
	}
	fmt.Fprint(stdout, "\n", l.Checkpoint)
	return nil
}

// trustLog takes the published checkpoint as the one that was signed last.
func trustLog(ctx context.Context, db *store.DB, url, key string, stdout io.Writer) error {
	l, found, err := db.Log(ctx)
	if err != nil {
		return err
	}
	if !found || l.Checkpoint == "" {
		return fault.New(fault.NotFound, "nothing of the log was published yet")
	}
	file, err := keyFile(key, url, db)
	if err != nil {
		return err
	}
	if err := seal.Trust(file, os.Getenv(seal.KeyVariable), []byte(l.Checkpoint)); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "from now on this server signs nothing that does not extend the log of %d entries\n", l.Signed)
	return nil
}
