// Package restate judges what is recorded again as if another text of a methodology had been in force.
//
// One walk goes through an account's claims in order of arrival, each at the instant and by the rulebook of its
// batch, with the draft in the place of the published versions of its id, and with nothing known but what the
// claims before have left when they were judged so. It yields every claim with both outcomes: the one that is
// recorded, and the one that follows from the draft (Case). Trying a draft adds these up into a Report. The walk
// goes up to a watermark, the last batch of each partition, which stands in the report: whoever walks up to the
// same watermark meets exactly the same claims.
package restate

import (
	"context"
	"runtime"
	"sync"
	"time"

	"github.com/tanpu/tanpu/flows/past"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
)

// A Draft is a methodology's text and the acts that it is tried on.
type Draft struct {
	File     string // what it is called in errors
	Text     []byte
	From, To string // the first day, and the first day after, local days of the text's zone; "" for those of its valid
}

// Options say how to try. Their zero value works.
type Options struct {
	Workers  int                               // partitions read at once; default one a processor
	Upto     *Watermark                        // up to where; default what is recorded now
	Progress func(share float64, claims int64) // told now and then how far it is
	Now      func() time.Time                  // the clock by which a draft is applied; default time.Now
}

// Try tells what would have become of what is recorded up to the watermark, had the draft been in force. It reads
// beside whoever writes, and changes nothing.
func Try(ctx context.Context, db *store.DB, d Draft, o Options) (*Report, error) {
	mark, err := o.Upto.settle(ctx, db)
	if err != nil {
		return nil, err
	}
	trial, err := newTrial(ctx, db, d, mark)
	if err != nil {
		return nil, err
	}
	if trial.gauge.Accounts, err = db.AccountCount(ctx); err != nil {
		return nil, err
	}
	trial.gauge.Tell = o.Progress
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	sum := newTally(trial)
	var mu sync.Mutex // guards sum
	err = past.Partitions(ctx, db.Parts, o.Workers, func(ctx context.Context, _, part int) error {
		t := newTally(trial)
		if err := trial.walk(ctx, part, t); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		return sum.merge(t)
	})
	if err != nil {
		return nil, err
	}
	return sum.report(), nil
}

// window reads the days between which an act must begin. A zero to is open.
func (d *Draft) window(zone *time.Location, from, to time.Time) (time.Time, time.Time, error) {
	for _, day := range []struct {
		name, text string
		at         *time.Time
	}{{"from", d.From, &from}, {"to", d.To, &to}} {
		if day.text == "" {
			continue
		}
		t, err := time.ParseInLocation(time.DateOnly, day.text, zone)
		if err != nil {
			return from, to, fault.New(fault.Invalid, "%s: %q is not a day such as 2026-08-21", day.name, day.text)
		}
		*day.at = t
	}
	if !to.IsZero() && !to.After(from) {
		return from, to, fault.New(fault.Invalid, "no act can begin from %s until before %s", from.Format(time.DateOnly), to.Format(time.DateOnly))
	}
	return from, to, nil
}
