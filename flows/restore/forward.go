package restore

import (
	"context"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
)

// Numbers of accounts that were given to somebody are not in the log, and must not be given to somebody else. A consent
// can be of so many accounts at most (see link.Enrol), and so many more can have been opened without one, or after the
// last head that was signed.
const (
	accountsOfConsent = 2000
	accountsUnsealed  = 100_000
)

// forward carries out one transaction: it extends the log by some entries and records what they are of.
func (r *restoring) forward(ctx context.Context, now time.Time) error {
	entries, err := r.next(ctx)
	if err != nil {
		return err
	}
	done, err := r.DB.Seal(ctx, func(tx *store.Sealing) error {
		if tx.Number != r.log.Number || tx.Size != r.log.Size {
			return fault.New(fault.Conflict, "somebody else extends the log; stop all servers of the database first")
		}
		if tx.Size == r.report.From {
			if err := tx.SkipAccounts(ctx, r.gaps()); err != nil {
				return err
			}
		}
		items, err := r.record(ctx, tx, entries)
		if err != nil {
			return err
		}
		size := tx.Size + int64(len(items))
		if size == r.head.Size && !r.report.Followed {
			n, err := tx.CoverLosses(ctx, r.DB.Parts, now.UnixMicro())
			if err != nil {
				return err
			}
			r.report.Lost = n
		}
		return seal.Append(ctx, tx, items, now.UnixMicro())
	})
	if err == nil && !done {
		err = fault.New(fault.Conflict, "somebody else has the log; stop all servers of the database first")
	}
	if err != nil {
		return err
	}
	r.log, _, err = r.DB.Log(ctx)
	return err
}

// stay is for a database that has all that the source has. What was signed must be what it has, and the accounts that were opened
// last may be lost all the same.
func (r *restoring) stay(ctx context.Context) error {
	if err := seal.Extends(ctx, r.DB, r.log, r.shown); err != nil {
		return err
	}
	done, err := r.DB.Seal(ctx, func(tx *store.Sealing) error { return tx.SkipAccounts(ctx, r.gaps()) })
	if err == nil && !done {
		err = fault.New(fault.Conflict, "somebody else has the log; stop all servers of the database first")
	}
	return err
}

// gaps are how many numbers of accounts each partition leaves out.
func (r *restoring) gaps() []int64 {
	list := make([]int64, r.DB.Parts)
	for part := range list {
		list[part] = accountsUnsealed + accountsOfConsent*int64(len(r.links[part]))
	}
	return list
}

// An entry of the log and its text.
type entry struct {
	record.Entry
	text []byte
}

// next reads the next entries, which must be those that were surveyed.
func (r *restoring) next(ctx context.Context) (list []entry, err error) {
	for place := r.log.Size; len(list) < r.AtOnce && place < r.head.Size; {
		texts, err := r.entries(ctx, place)
		if err != nil {
			return nil, err
		}
		for _, text := range texts[:min(len(texts), r.AtOnce-len(list))] {
			if tlog.RecordHash(text) != r.leaves[place-r.report.From] {
				return nil, fault.New(fault.Conflict, "entry %d of the log is another than a moment ago", place)
			}
			e, err := record.Parse(text)
			if err != nil {
				return nil, err
			}
			list = append(list, entry{e, text})
			place++
		}
	}
	return list, nil
}

// record records what entries are of, where that is not here.
func (r *restoring) record(ctx context.Context, tx *store.Sealing, entries []entry) ([]store.Item, error) {
	var items []store.Item
	var batches []ledger.Batch
	for _, e := range entries {
		item := itemOf(e.Entry, e.text)
		if item.Stream == store.OriginStream {
			item.Number = int64(tx.Number)
		}
		items = append(items, item)
		has, err := tx.Recorded(ctx, item.Stream, item.Part, item.Number)
		if err != nil {
			return nil, err
		}
		if has != nil {
			continue
		}
		if b, ok := e.Entry.(*record.Batch); ok {
			batches = append(batches, b.Ledger())
			r.count(b)
		} else if err := r.one(ctx, tx, e.Entry); err != nil {
			return nil, err
		}
	}
	return items, tx.HoldBatches(ctx, batches)
}

func (r *restoring) count(b *record.Batch) {
	r.report.Batches++
	if b.Correction {
		r.report.Corrections++
	}
}

// one records what an entry is of that is no batch.
func (r *restoring) one(ctx context.Context, tx *store.Sealing, e record.Entry) error {
	switch e := e.(type) {
	case *record.Document:
		r.report.Documents++
		if r.texts[e.SHA256] == nil {
			r.report.Textless++
		}
		return tx.AddDocument(ctx, &store.Document{Rulebook: e.Rulebook, Kind: e.Kind, Name: e.Name, Hash: e.SHA256, Body: r.texts[e.SHA256], At: e.At})
	case *record.Totals:
		r.report.Totals++
		return tx.AddTotals(ctx, e)
	case *record.Key:
		return tx.AddKey(ctx, e)
	case *record.Erasure:
		r.report.Erased++
		return tx.AddErasure(ctx, e)
	case *record.Lost:
		return tx.AddLost(ctx, e)
	case *record.Links:
		if ended, ok := r.ended[*e]; ok {
			r.report.Ended++
			return tx.HoldLinks(ctx, e, &ended)
		}
		r.report.Links++
		return tx.HoldLinks(ctx, e, nil)
	}
	return nil
}
