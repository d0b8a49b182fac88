package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"flag"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	client "github.com/tanpu/tanpu/partner"
	"github.com/tanpu/tanpu/rules/signature"
	"github.com/tanpu/tanpu/store"
)

const partnerKeyUsage = `usage: tanpu partner-key new FILE
       tanpu partner-key register --db URL --partner ID [--label TEXT] [--log-key FILE] PUBLIC
       tanpu partner-key revoke --db URL [--log-key FILE] KEYID
       tanpu partner-key list --db URL

A partner makes a key pair and sends the public key to the operator, who registers it. To change keys, register another:
both are good until one is revoked. What a revoked key signed before can still be shown to be the partner's.
`

// runPartnerKey carries out “tanpu partner-key”: the keys by which partners sign.
func runPartnerKey(args []string, stdout, stderr io.Writer) int {
	run := map[string]func(args []string, stdout, stderr io.Writer) error{
		"new": newPartnerKey, "register": registerPartnerKey, "revoke": revokePartnerKey, "list": listPartnerKeys,
	}
	if len(args) == 0 || run[args[0]] == nil {
		fmt.Fprint(stderr, partnerKeyUsage)
		if len(args) > 0 && (args[0] == "-h" || args[0] == "--help") {
			return 0
		}
		return 2
	}
	return status(run[args[0]](args[1:], stdout, stderr), stderr)
}

// onePartnerKey reads the arguments of a subcommand that takes one beside its flags.
func onePartnerKey(command, arguments string, args []string, stderr io.Writer, needed ...string) (one string, given map[string]*string, err error) {
	flags := newFlags("partner-key "+command, arguments, stderr)
	given = map[string]*string{}
	for name, help := range map[string]string{"db": "the database", "partner": "whose key it is", "label": "what it is for, for your own lists"} {
		if strings.Contains(arguments, "--"+name) {
			given[name] = flags.String(name, "", help)
		}
	}
	if given["db"] != nil {
		given["log-key"] = logKeyFlag(flags)
	}
	one, err = oneWord(flags, args, needed...)
	return one, given, err
}

// oneWord parses flags and the one word that stands before, between or after them; the flags named must not be empty.
func oneWord(flags *flag.FlagSet, args []string, needed ...string) (string, error) {
	words, err := parseMixed(flags, args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return "", err
	case err != nil:
		return "", errUsage // the flags have said what is wrong
	}
	if err := parse(flags, nil, needed...); err != nil {
		return "", err
	}
	if len(words) != 1 {
		flags.Usage()
		return "", errUsage
	}
	return words[0], nil
}

func newPartnerKey(args []string, stdout, stderr io.Writer) error {
	file, _, err := onePartnerKey("new", "FILE", args, stderr)
	if err != nil {
		return err
	}
	key, err := client.CreateKey(file)
	if err != nil {
		return err
	}
	public := key.Public().(ed25519.PublicKey)
	_, err = fmt.Fprintf(stdout, "keyid   %s\npublic  %s\n", signature.KeyID(public), signature.FormatPublic(public))
	return err
}

func registerPartnerKey(args []string, stdout, stderr io.Writer) error {
	named, given, err := onePartnerKey("register", "--db URL --partner ID [--label TEXT] [--log-key FILE] PUBLIC", args, stderr, "db", "partner")
	if err != nil {
		return err
	}
	text := named
	if file, err := readDocument(named); err == nil {
		text = string(file)
	}
	public, err := signature.ParsePublic(text)
	if err != nil {
		return err
	}
	return withKeys(*given["db"], *given["log-key"], stderr, func(ctx context.Context, db *store.DB) error {
		k := store.PartnerKey{Partner: *given["partner"], Public: public, Label: *given["label"], Created: time.Now().UnixMicro()}
		if err := db.AddPartnerKey(ctx, k); err != nil {
			return err
		}
		_, err := fmt.Fprintln(stdout, signature.KeyID(public))
		return err
	})
}

func revokePartnerKey(args []string, stdout, stderr io.Writer) error {
	id, given, err := onePartnerKey("revoke", "--db URL [--log-key FILE] KEYID", args, stderr, "db")
	if err != nil {
		return err
	}
	return withKeys(*given["db"], *given["log-key"], stderr, func(ctx context.Context, db *store.DB) error {
		return db.RevokePartnerKey(ctx, id, time.Now().UnixMicro())
	})
}

func listPartnerKeys(args []string, stdout, stderr io.Writer) error {
	flags := newFlags("partner-key list", "--db URL", stderr)
	url := flags.String("db", "", "the database")
	if err := parse(flags, args, "db"); err != nil {
		return err
	}
	ctx := context.Background()
	db, err := store.OpenRead(ctx, *url)
	if err != nil {
		return err
	}
	defer db.Close()
	keys, err := db.PartnerKeys(ctx)
	if err != nil {
		return err
	}
	t := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	for _, k := range keys {
		state := "in force"
		if k.Revoked != 0 {
			state = "revoked " + instant(k.Revoked)
		}
		fmt.Fprintf(t, "%s\t%s\tsince %s\t%s\t%s\n", k.Partner, k.ID, instant(k.Created), state, k.Label)
	}
	return t.Flush()
}

// withKeys opens a database to change keys, also beside a server: they decide nothing that is kept. What an older database
// is given is lost with it.
func withKeys(url, logKey string, stderr io.Writer, f func(context.Context, *store.DB) error) error {
	ctx := context.Background()
	db, err := store.OpenKeys(ctx, url)
	if err != nil {
		return err
	}
	defer db.Close()
	if err := wholeIfKnown(ctx, db, url, logKey, stderr); err != nil {
		return err
	}
	return f(ctx, db)
}
