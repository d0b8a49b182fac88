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
	made map[int64]*rulebook.Rulebook // nil for one that cannot be made; guarded by mu
}

// check goes through what is published: numbers without gaps, in order of time, texts as they were signed for.
func (b *books) check(documents []store.Document, found *findings) {
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
		if sha256.Sum256(d.Body) != d.Hash {
			note(Documents, "rulebook %d: the text of %s %s is not the one that was published", d.Rulebook, d.Kind, d.Name)
		}
		number, at = d.Rulebook, d.At
	}
}

// book makes the rulebook of a number. One that cannot be made is a finding, once, and nil.
func (b *books) book(ctx context.Context, number int64, found *findings) (*rulebook.Rulebook, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if book, ok := b.made[number]; ok {
		return book, nil
	}
	if b.made == nil {
		b.made = map[int64]*rulebook.Rulebook{}
	}
	last, err := b.db.Rulebook(ctx)
	if err != nil {
		return nil, err
	}
	if number < 0 || number > last {
		found.add(Finding{Kind: Documents, Part: -1, Text: sprintf("batches name rulebook %d, and the last that was published is %d", number, last)})
		b.made[number] = nil
		return nil, nil
	}
	book, err := publish.Load(ctx, b.db, number)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		found.add(Finding{Kind: Documents, Part: -1, Text: sprintf("rulebook %d cannot be read, so what it decided cannot be judged again: %v", number, err)})
		book = nil
	}
	b.made[number] = book
	return book, nil
}
