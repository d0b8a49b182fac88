package restate

import (
	"context"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
)

// A Watermark names what is recorded at one time, for good: batches never change, and those that come after are
// above it.
type Watermark struct {
	Database string `json:"database"`
	Rulebook int64  `json:"rulebook"` // the last one, by which none of the batches can be later
	Parts    []Mark `json:"parts"`
}

// A Mark is a partition's last batch, whose hash stands for all of those before it as well.
type Mark struct {
	Part  int         `json:"part"`
	Batch int64       `json:"batch"` // 0 where there is none
	At    int64       `json:"at"`    // when it was judged, µs UTC
	Hash  record.Hash `json:"hash"`
}

// settle returns the watermark if it is of this database, or where there is none one of what is recorded now.
func (w *Watermark) settle(ctx context.Context, db *store.DB) (*Watermark, error) {
	last, err := db.LastBatches(ctx)
	if err != nil {
		return nil, err
	}
	book, err := db.Rulebook(ctx) // after the batches, so that it is none of theirs that is missing
	if err != nil {
		return nil, err
	}
	if w == nil {
		w = &Watermark{Database: db.ID, Rulebook: book}
		for _, h := range last {
			w.Parts = append(w.Parts, Mark{h.Part, h.Number, h.At, record.Hash(h.Hash)})
		}
		return w, nil
	}
	if w.Database != db.ID || len(w.Parts) != len(last) || w.Rulebook > book {
		return nil, fault.New(fault.Conflict, "the watermark is of another database, %s; this is %s", w.Database, db.ID)
	}
	for i, h := range last {
		if m := w.Parts[i]; m.Part != h.Part || m.Batch > h.Number {
			return nil, fault.New(fault.Conflict, "the watermark is batch %d of partition %d, and the last one here is %d: the database was set back", m.Batch, m.Part, h.Number)
		}
	}
	return w, nil
}

// check holds the batch at a mark against the one that it means.
func (m *Mark) check(at int64, hash ledger.Hash) error {
	if record.Hash(hash) != m.Hash || at != m.At {
		return fault.New(fault.Conflict, "batch %d of partition %d is not the one that the watermark means: it has another history", m.Batch, m.Part)
	}
	return nil
}
