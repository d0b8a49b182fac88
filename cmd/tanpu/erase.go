package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tanpu/tanpu/flows/erase"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
)

// runErase carries out “tanpu erase”: it forgets people, and ends what broke off of that before.
func runErase(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("erase", "--db URL [--log-key FILE] [ACCOUNT…]", stderr)
	url := flags.String("db", "", "the database; a SQLite database must not be served meanwhile: use POST /v1/erasures there")
	key := logKeyFlag(flags)
	if err := parse(flags, args, "db"); err != nil {
		return status(err, stderr)
	}
	return status(eraseAccounts(context.Background(), *url, *key, flags.Args(), stdout, stderr), stderr)
}

func eraseAccounts(ctx context.Context, url, key string, names []string, stdout, stderr io.Writer) error {
	var ids []store.AccountID
	for _, name := range names {
		id, ok := store.ParseAccountID(name)
		if !ok {
			return fault.New(fault.NotFound, "there is no account %q", name)
		}
		ids = append(ids, id)
	}
	db, err := store.Open(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := wholeIfKnown(ctx, db, url, key, stderr); err != nil {
		return err
	}
	flow := erase.New(db)
	n, unfinished := flow.Finish(ctx, time.Now()) // what cannot be ended keeps nobody else from being erased
	if n > 0 {
		fmt.Fprintln(stdout, n, "erasures that had broken off are done")
	}
	for _, id := range ids {
		e, err := flow.Account(ctx, id, time.Now())
		if err != nil {
			return errors.Join(unfinished, err)
		}
		fmt.Fprintf(stdout, "account %s was erased at %s: erasure %d.%d\n", id, time.UnixMicro(e.At).UTC().Format(time.RFC3339), e.Part, e.Number)
	}
	return errors.Join(unfinished, db.Compact(ctx))
}
