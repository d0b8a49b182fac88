package audit

import (
	"context"
	"crypto/sha256"
	"sync"

	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// books are the rulebooks that batches were judged by, each made once from what was published then.
type books struct {
	db *store.DB

	mu   sync.Mutex
	made map[[2]int64]*rulebook.Rulebook // by number, and by the last restatement since; nil for one that cannot be made; guarded by mu
}

// check goes through what is published: numbers without gaps, in order of time, texts as they were signed for but those that are held.
func (b *books) check(documents []store.Document, held map[int64]bool, found *findings) {
	note := func(kind Kind, format string, args ...any) {
		found.add(Finding{Kind: kind, Part: -1, Text: sprintf(format, args...)})
	}
	var number, at int64
	for _, d := range documents {
		if d.Rulebook != number+1 {
			note(Numbering, "rulebook %d follows %d", d.Rulebook, number)
		}
		if d.At < at {
			note(Instants, "rulebook %d was published before the one before it", d.Rulebook)
		}
		if sha256.Sum256(d.Body) != d.Hash && !held[d.Rulebook] {
			note(Documents, "rulebook %d: the text of %s %s is not the one that was published", d.Rulebook, d.Kind, d.Name)
		}
		number, at = d.Rulebook, d.At
	}
}

// restatements are those that were ordered, by the rulebooks that they made.
func restatements(documents []store.Document, found *findings) map[int64]*rulebook.Restatement {
	all := map[int64]*rulebook.Restatement{}
	for _, d := range documents {
		if d.Kind != rulebook.Restating {
			continue
		}
		r, err := rulebook.ParseRestatement(d.Name, d.Body)
		if err != nil {
			found.add(Finding{Kind: Documents, Part: -1, Text: sprintf("rulebook %d, a restatement, cannot be read: %v", d.Rulebook, err)})
			continue
		}
		all[d.Rulebook] = r
	}
	return all
}

// book makes the rulebook of a number, with the restatements since, up to one. One that cannot be made is a finding, once, and nil.
func (b *books) book(ctx context.Context, number, restated int64, found *findings) (*rulebook.Rulebook, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	key := [2]int64{number, restated}
	if book, ok := b.made[key]; ok {
		return book, nil
	}
	if b.made == nil {
		b.made = map[[2]int64]*rulebook.Rulebook{}
	}
	last, err := b.db.Rulebook(ctx)
	if err != nil {
		return nil, err
	}
	if number < 0 || number > last || restated > last {
		found.add(Finding{Kind: Documents, Part: -1, Text: sprintf("batches name rulebook %d, and the last that was published is %d", max(number, restated), last)})
		b.made[key] = nil
		return nil, nil
	}
	book, err := publish.LoadRestated(ctx, b.db, number, restated)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		found.add(Finding{Kind: Documents, Part: -1, Text: sprintf("rulebook %d cannot be read, so what it decided cannot be judged again: %v", number, err)})
		book = nil
	}
	b.made[key] = book
	return book, nil
}
