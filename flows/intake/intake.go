// Package intake takes claims in: it has them judged, partition by partition, and makes the verdicts
// durable before anybody hears of them.
//
// What is true if we die: before a batch's commit, nothing happened, and the retry does it all; after
// it, the retry gets the same verdicts. Nothing that matters is kept in memory only.
package intake

import (
	"context"
	"fmt"
	"sync"

	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// A Judge has claims judged. It remembers the rulebook it used last, and reads it again when the
// partition knows a newer one.
type Judge struct {
	DB       *store.DB
	Backfill bool // judge neither lateness nor the time from which a link is in force

	mu   sync.Mutex
	book *rulebook.Rulebook // guarded by mu
}

// Admit judges claims of one partition in the order given, records what is to be recorded and all that
// follows from it, and returns a verdict for each; or nothing happened. When it returns an error the
// outcome may be unknown; the same claims again get the same verdicts either way.
func (j *Judge) Admit(ctx context.Context, part int, claims []claim.Claim, clock claim.Micros) ([]claim.Verdict, error) {
	var verdicts []claim.Verdict
	err := j.DB.UpdateBatch(ctx, part, clock, func(tx *store.Tx) error {
		book, err := j.Book(ctx, tx.Rulebook)
		if err != nil {
			return err
		}
		subs, objects := named(claims)
		links, err := tx.Links(ctx, subs, objects)
		if err != nil {
			return err
		}
		docket := claim.Open(claim.Session{Book: book, At: tx.Now, Backfill: j.Backfill, Forgotten: tx.Forgotten}, claims, links)
		known, err := tx.Known(ctx, &docket.Needs)
		if err != nil {
			return err
		}
		outcome := docket.Judge(part, tx.Number, known)
		verdicts = outcome.Verdicts
		record := ledger.Batch{Part: part, Number: tx.Number, At: tx.Now, Rulebook: book.Number, Backfill: j.Backfill, Prev: tx.Prev}
		return tx.WriteBatch(ctx, claim.Seal(record, outcome, book, tx.Secret))
	})
	if err != nil {
		return nil, fmt.Errorf("judging %d claims of partition %d: %w", len(claims), part, err)
	}
	return verdicts, nil
}

// Book returns the rulebook of a number.
func (j *Judge) Book(ctx context.Context, number int64) (*rulebook.Rulebook, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.book != nil && j.book.Number == number {
		return j.book, nil
	}
	book, err := publish.Load(ctx, j.DB, number)
	if err != nil {
		return nil, fmt.Errorf("reading the rulebook: %w", err)
	}
	j.book = book
	return book, nil
}

// named lists the claims' subs, each once, and reports whether any claim names an object.
func named(claims []claim.Claim) (subs []string, objects bool) {
	seen := make(map[string]bool, len(claims))
	subs = make([]string, 0, len(claims))
	for i := range claims {
		objects = objects || claims[i].Object != ""
		if s := claims[i].Sub; !seen[s] {
			seen[s] = true
			subs = append(subs, s)
		}
	}
	return subs, objects
}
