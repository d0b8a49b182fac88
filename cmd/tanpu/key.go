package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/tanpu/tanpu/api"
	"github.com/tanpu/tanpu/store"
)

// runKey carries out “tanpu key”: it makes an API key and shows it once.
func runKey(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("key", "--db URL --partner ID | --operator [--label TEXT] [--end-others DURATION] [--log-key FILE]", stderr)
	url := flags.String("db", "", "the database")
	partner := flags.String("partner", "", "the partner that the key is for; servers with --sandbox take it")
	operator := flags.Bool("operator", false, "make a key for the operator")
	label := flags.String("label", "", "what the key is for, for your own lists")
	others := flags.Duration("end-others", 0, "let the older keys of the same holder end after so long, such as 24h")
	logKey := logKeyFlag(flags)
	if err := parse(flags, args, "db"); err != nil {
		return status(err, stderr)
	}
	if (*partner == "") == !*operator {
		fmt.Fprintln(stderr, "a key is for a --partner or for the --operator")
		return 2
	}
	end := false
	flags.Visit(func(f *flag.Flag) { end = end || f.Name == "end-others" })
	if *others < 0 {
		fmt.Fprintln(stderr, "--end-others is a time from now on, such as 24h, or 0 for at once")
		return 2
	}
	role := api.Partner
	if *operator {
		role = api.Operator
	}
	err := withKeys(*url, *logKey, stderr, func(ctx context.Context, db *store.DB) error {
		return makeKey(ctx, db, role, *partner, *label, end, *others, stdout)
	})
	return status(err, stderr)
}

func makeKey(ctx context.Context, db *store.DB, role, partner, label string, end bool, others time.Duration, stdout io.Writer) error {
	key, now := api.NewKey(), time.Now()
	hash := store.HashKey(key)
	err := db.AddKey(ctx, store.Key{Hash: hash, Role: role, Partner: partner, Label: label, Created: now.UnixMicro()})
	if err != nil {
		return err
	}
	if end {
		if _, err := db.ExpireKeys(ctx, role, partner, hash, now.Add(others)); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintln(stdout, key)
	return err
}
