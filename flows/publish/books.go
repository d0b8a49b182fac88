package publish

import (
	"context"
	"fmt"
	"sync"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// Books finds rulebooks by their number, and keeps those that it read.
type Books struct {
	DB *store.DB

	mu   sync.Mutex
	made map[edition]*rulebook.Rulebook // guarded by mu
}

// An edition of a rulebook has the restatements in it that came later, up to one; 0 for none.
type edition struct{ number, restated int64 }

// maxBooks bounds how many are kept: one is as large as all that was published.
const maxBooks = 32

// Book reads the rulebook of a number.
func (b *Books) Book(ctx context.Context, number int64) (*rulebook.Rulebook, error) {
	return b.book(ctx, edition{number, 0})
}

// Of reads the rulebook by which something was judged.
func (b *Books) Of(ctx context.Context, by claim.Basis) (*rulebook.Rulebook, error) {
	return b.book(ctx, edition{by.Rulebook, by.Restated})
}

func (b *Books) book(ctx context.Context, e edition) (*rulebook.Rulebook, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if book, ok := b.made[e]; ok {
		return book, nil
	}
	book, err := LoadRestated(ctx, b.DB, e.number, e.restated)
	if err != nil {
		return nil, fmt.Errorf("reading rulebook %d: %w", e.number, err)
	}
	if b.made == nil || len(b.made) == maxBooks {
		b.made = map[edition]*rulebook.Rulebook{}
	}
	b.made[e] = book
	return book, nil
}
