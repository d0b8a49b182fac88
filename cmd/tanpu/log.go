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

// wholeIfKnown is whole where the log's key is. Where it is not, nothing tells, and a person hears so.
func wholeIfKnown(ctx context.Context, db *store.DB, url, named string, stderr io.Writer) error {
	err := whole(ctx, db, url, named)
	if fault.KindOf(err) == fault.NotFound {
		fmt.Fprintln(stderr, "tanpu: without the log's key nothing here tells whether the database is the one whose log was signed last:", err)
		return nil
	}
	return err
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
	const use = `usage: tanpu log show | trust | rotate | retire | follow --db URL [--log-key FILE]

  show    where the log stands, and by which keys to check it
  trust   take the published head as the last one that was signed
  rotate  make the log's next key; both sign until the first one is retired
  retire  end the first of two keys
  follow  begin another log that goes on from this one, when its key was lost or somebody else has it
`
	if len(args) > 0 && args[0] == "follow" {
		return runFollow(args[1:], stdout, stderr)
	}
	run, ok := map[string]func(context.Context, *store.DB, string, string, io.Writer) error{
		"show": showLog, "trust": trustLog, "rotate": rotateLog, "retire": retireLog,
	}[strings.Join(args[:min(len(args), 1)], "")]
	if !ok {
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
	open := store.OpenKeys // which no drill's database is opened by, though trust only reads it
	if args[0] == "show" {
		open = store.OpenRead
	}
	db, err := open(ctx, *url)
	if err != nil {
		return status(err, stderr)
	}
	defer db.Close()
	return status(run(ctx, db, *url, *key, stdout), stderr)
}

// runFollow carries out “tanpu log follow”.
func runFollow(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("log follow", "--db URL --origin NAME [--log-key FILE] [--though-older]", stderr)
	url := flags.String("db", "", "the database, which no server has open")
	origin := flags.String("origin", "", "the name of the new log")
	older := flags.Bool("though-older", false, "go on although the log's key is gone, or the database lacks some of what was signed and no copy of the log has it")
	key := logKeyFlag(flags)
	if err := parse(flags, args, "db", "origin"); err != nil {
		return status(err, stderr)
	}
	ctx := context.Background()
	db, err := store.OpenRestore(ctx, *url)
	if err != nil {
		return status(err, stderr)
	}
	defer db.Close()
	return status(followLog(ctx, db, *url, *key, *origin, *older, stdout), stderr)
}

func followLog(ctx context.Context, db *store.DB, url, key, origin string, older bool, stdout io.Writer) error {
	if err := db.Unserved(ctx); err != nil {
		return err
	}
	file, err := keysInFile(key, url, db)
	if err != nil {
		return err
	}
	vkey, err := seal.Follow(ctx, db, file, origin, older, time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, `the log goes on as %s, signed by the key in %s:
  %s
Publish it, and give it to the witnesses as a log of its own. What was before stays under /logs/N/, and is proved by the new one.
`, origin, file, vkey)
	return err
}

// rotateLog makes the log's next key.
func rotateLog(ctx context.Context, db *store.DB, url, key string, stdout io.Writer) error {
	file, err := keysInFile(key, url, db)
	if err != nil {
		return err
	}
	if err := whole(ctx, db, url, key); err != nil {
		return err
	}
	vkey, err := seal.Rotate(ctx, db, file, time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, `from now on heads are signed by this key as well:
  %s
Publish it, and give it to the log's witnesses. Copy %s to the other servers. Once everybody who checks the
log has seen it there, end the first key with: tanpu log retire
`, vkey, file)
	return err
}

// retireLog ends the first of two keys.
func retireLog(ctx context.Context, db *store.DB, url, key string, stdout io.Writer) error {
	file, err := keysInFile(key, url, db)
	if err != nil {
		return err
	}
	if err := whole(ctx, db, url, key); err != nil {
		return err
	}
	vkey, err := seal.Retire(ctx, db, file, time.Now())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(stdout, "ended, as the log will say: %s\nCopy %s to the other servers.\n", vkey, file)
	return err
}

// keysInFile is the file with the log's keys, where they can be changed.
func keysInFile(named, url string, db *store.DB) (string, error) {
	if os.Getenv(seal.KeyVariable) != "" {
		return "", fault.New(fault.Invalid, "the log's key comes from %s, where it cannot be changed: unset it, and put the key into a file first", seal.KeyVariable)
	}
	return keyFile(named, url, db)
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
