package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/tanpu/tanpu/api"
	client "github.com/tanpu/tanpu/partner"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/signature"
)

// A reporting is one run of “tanpu report”.
type reporting struct {
	client client.Client
	json   bool
	show   bool
	stdout io.Writer
	told   map[string]int // verdicts by status
}

// runReport carries out “tanpu report”: it signs events with a partner's key, sends them, and prints the verdicts.
func runReport(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("report", "--url URL --key FILE FILE.ndjson|-", stderr)
	r := &reporting{stdout: stdout, told: map[string]int{}}
	flags.StringVar(&r.client.URL, "url", "", "the server, such as https://tanpu.example.org")
	key := flags.String("key", "", "the file with your private key, as tanpu partner-key new makes it")
	flags.BoolVar(&r.json, "json", false, "print the verdicts as JSON, one a line")
	flags.BoolVar(&r.show, "show", false, "send nothing; print what would be signed: the salt and hash of each leaf and its canonical text, then the root")
	flags.IntVar(&r.client.AtOnce, "batch", 1000, "claims sent at a time")
	file, err := oneWord(flags, args)
	if err == nil && !r.show {
		err = parse(flags, nil, "url", "key")
	}
	if err != nil {
		return status(err, stderr)
	}
	if r.client.AtOnce < 1 {
		fmt.Fprintln(stderr, "--batch is at least 1")
		return 2
	}
	if !r.show {
		if r.client.Key, err = client.LoadKey(*key); err != nil {
			return status(err, stderr)
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err = r.run(ctx, file)
	if !r.show {
		r.tell(stderr)
	}
	if n := r.told["retry"]; err == nil && n > 0 {
		err = fmt.Errorf("%d could not be judged; send them again", n)
	}
	return status(err, stderr)
}

func (r *reporting) tell(w io.Writer) {
	fmt.Fprintf(w, "%d accepted, %d duplicates, %d refused\n", r.told["accepted"], r.told["duplicate"], r.told["refused"])
}

// maxLine bounds one event.
const maxLine = 1 << 20

func (r *reporting) run(ctx context.Context, file string) error {
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return err
		}
		defer f.Close()
		in = f
	}
	var claims []claim.Claim
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxLine)
	for line := 1; scanner.Scan(); line++ {
		if len(bytes.TrimSpace(scanner.Bytes())) == 0 {
			continue
		}
		read, err := api.ReadEvents(scanner.Bytes(), 1)
		if err != nil {
			return fmt.Errorf("%s:%d: %w", file, line, problemWithin(err))
		}
		if claims = append(claims, read...); len(claims) == r.client.AtOnce {
			if err := r.send(ctx, claims); err != nil {
				return err
			}
			claims = claims[:0]
		}
	}
	if err := scanner.Err(); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return r.send(ctx, claims)
}

// problemWithin leaves out which event of how many: there is one in a line.
func problemWithin(err error) error {
	var e *api.EventError
	if !errors.As(err, &e) {
		return err
	}
	if e.Pointer == "" {
		return e.Err
	}
	return fmt.Errorf("%s: %w", e.Pointer, e.Err)
}

func (r *reporting) send(ctx context.Context, claims []claim.Claim) error {
	if r.show {
		return r.showSigned(claims)
	}
	verdicts, err := r.client.Report(ctx, claims)
	for i := range verdicts {
		v := &verdicts[i]
		r.told[v.Status]++
		var printed error
		if r.json {
			printed = json.NewEncoder(r.stdout).Encode(v)
		} else {
			_, printed = fmt.Fprintf(r.stdout, "%s\t%s\t%s\t%s\n", v.ID, v.Status, v.Reason, v.Detail)
		}
		err = errors.Join(err, printed)
	}
	return err
}

// showSigned prints what a request with these claims signs, for those who write it in another language.
func (r *reporting) showSigned(claims []claim.Claim) error {
	salt := client.NewSalt()
	leaves := claim.SaidLeaves(claims, salt)
	out := bufio.NewWriter(r.stdout)
	for i := range claims {
		fmt.Fprintf(out, "%x %x %s\n", claim.SaidSalt(salt, i), leaves[i], claim.Said(nil, &claims[i]))
	}
	fmt.Fprintf(out, "%s: %s\n%s: %s\n", signature.SaltHeader, signature.FormatSalt(salt), signature.RootHeader, signature.FormatRoot(ledger.Root(leaves)))
	return out.Flush()
}
