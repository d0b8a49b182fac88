package publish

import (
	"context"
	"fmt"
	"sync"

	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// Books finds rulebooks by their number, and keeps those that it read.
type Books struct {
	DB *store.DB

	mu   sync.Mutex
	made map[int64]*rulebook.Rulebook // guarded by mu
}

// maxBooks bounds how many are kept: one is as large as all that was published.
const maxBooks = 32

// Book reads the rulebook of a number.
func (b *Books) Book(ctx context.Context, number int64) (*rulebook.Rulebook, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if book, ok := b.made[number]; ok {
		return book, nil
	}
	book, err := Load(ctx, b.DB, number)
	if err != nil {
		return nil, fmt.Errorf("reading rulebook %d: %w", number, err)
	}
	if b.made == nil || len(b.made) == maxBooks {
		b.made = map[int64]*rulebook.Rulebook{}
	}
	b.made[number] = book
	return book, nil
}
