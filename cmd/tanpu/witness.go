package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/tanpu/tanpu/witness"
)

const witnessUsage = `usage:
  tanpu witness init --dir DIR --name NAME
        make a witness: a folder with its secret key; prints the public key, for all who will rely on it
  tanpu witness serve --dir DIR [--listen ADDR] --log KEY [--log KEY]...
        sign the heads of these logs as long as each extends the one before
`

// runWitness carries out “tanpu witness …”.
func runWitness(args []string, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, witnessUsage)
		return 2
	}
	switch args[0] {
	case "init":
		return status(witnessInit(args[1:], stdout, stderr), stderr)
	case "serve":
		return status(witnessServe(args[1:], stderr), stderr)
	case "help", "-h", "--help":
		fmt.Fprint(stdout, witnessUsage)
		return 0
	}
	fmt.Fprint(stderr, witnessUsage)
	return 2
}

func witnessInit(args []string, stdout, stderr io.Writer) error {
	flags := newFlags("witness init", "--dir DIR --name NAME", stderr)
	dir := flags.String("dir", "", "a folder of its own, which will hold the secret key and what the witness must not forget")
	name := flags.String("name", "", "what the witness is called in its signatures, such as witness.example.gov/carbon")
	if err := parse(flags, args, "dir", "name"); err != nil {
		return err
	}
	vkey, err := witness.Create(*dir, *name, rand.Reader)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintln(stdout, vkey)
	return err
}

// witnessServe answers until it is told to end, and then what it took.
func witnessServe(args []string, stderr io.Writer) error {
	flags := newFlags("witness serve", "--dir DIR [--listen ADDR] --log KEY [--log KEY]...", stderr)
	config := witness.Config{Journal: slog.New(slog.NewJSONHandler(stderr, nil))}
	flags.StringVar(&config.Dir, "dir", "", "the witness's folder, which tanpu witness init made")
	listen := flags.String("listen", "localhost:8081", "where to answer: HOST:PORT")
	flags.Func("log", "the public `KEY` of a log to watch, as name+hash+base64, the name being the log's origin; "+
		"two of one name are two keys of that log", func(vkey string) error {
		config.Logs = withKey(config.Logs, vkey)
		return nil
	})
	if err := parse(flags, args, "dir"); err != nil {
		return err
	}
	if len(config.Logs) == 0 {
		fmt.Fprintln(stderr, "tanpu witness serve needs --log")
		flags.Usage()
		return errUsage
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // told twice, it ends at once
	w, err := witness.Open(config)
	if err != nil {
		return err
	}
	defer w.Close()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("cannot answer at %s: %w", *listen, err)
	}
	config.Journal.Info("answering", "at", listener.Addr().String(), "witness", w.VerifierKey())
	if err := answerUntil(ctx, w.Server(), listener, func(context.Context) {}); err != nil {
		return err
	}
	config.Journal.Info("ended")
	return nil
}

// withKey adds a key to the log that it names.
func withKey(logs []witness.Log, vkey string) []witness.Log {
	origin, _, _ := strings.Cut(vkey, "+")
	i := slices.IndexFunc(logs, func(l witness.Log) bool { return l.Origin == origin })
	if i < 0 {
		return append(logs, witness.Log{Origin: origin, Keys: []string{vkey}})
	}
	logs[i].Keys = append(logs[i].Keys, vkey)
	return logs
}
