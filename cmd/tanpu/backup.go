package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/tanpu/tanpu/store"
)

// runBackup carries out “tanpu backup”: it copies a SQLite database, also beside a server.
func runBackup(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("backup", "--db sqlite:FILE COPY KEYS", stderr)
	flags.Usage = func() {
		fmt.Fprint(stderr, `usage: tanpu backup --db sqlite:FILE COPY KEYS

COPY is a new file: the database but for its accounts' keys. KEYS takes those, in the place of the file that is there:
keep one, and that one well, for with it goes what is known of the persons who are forgotten. Put both back with
tanpu restore. The log's key (FILE.log-key, and its .head) is in neither.
`)
		flags.PrintDefaults()
	}
	url := flags.String("db", "", "the database")
	if err := parse(flags, args, "db"); err != nil {
		return status(err, stderr)
	}
	if flags.NArg() != 2 {
		flags.Usage()
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := store.Backup(ctx, *url, flags.Arg(0), flags.Arg(1)); err != nil {
		return status(err, stderr)
	}
	_, err := fmt.Fprintf(stdout, "%s is a copy of the database without its accounts' keys; they are in %s\n", flags.Arg(0), flags.Arg(1))
	return status(err, stderr)
}
