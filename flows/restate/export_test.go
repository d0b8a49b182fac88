package restate

import (
	"context"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/store"
)

// Cases runs f on every case that trying a draft yields, one at a time.
func Cases(ctx context.Context, db *store.DB, d Draft, f func(*Case)) error {
	return Courses(ctx, db, d, func(c *Course) {
		for i := range c.Cases {
			f(&c.Cases[i])
		}
	})
}

// Courses runs f on every course.
func Courses(ctx context.Context, db *store.DB, d Draft, f func(*Course)) error {
	var none *Watermark
	mark, err := none.settle(ctx, db)
	if err != nil {
		return err
	}
	t, err := newTrial(ctx, db, d, mark)
	if err != nil {
		return err
	}
	for part := range db.Parts {
		if err := t.walk(ctx, part, each(f)); err != nil {
			return err
		}
	}
	return nil
}

type each func(*Course)

func (e each) course(c *Course)    { e(c) }
func (e each) unjudged(Why, int)   {}
func (e each) counts(claim.Counts) {}

// Bucket and Bounds place a difference.
var (
	BucketOf = bucket
	Bounds   = bounds
)

// Buckets is how many there are.
const Buckets = 2*len(edges) + 3
