package restate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tanpu/tanpu/flows/past"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// A trial is a draft with the rulebooks that it is tried in.
type trial struct {
	draft     Draft
	method    *methodology.Methodology // as it would be published today
	from, to  time.Time
	mark      *Watermark
	published []*methodology.Methodology // the versions whose place it takes, by the last rulebook
	documents []store.Document           // up to the watermark's rulebook
	last      *rulebook.Rulebook
	gauge     past.Gauge

	mu    sync.Mutex
	books map[int64]*book // by number; guarded by mu
}

// A book is the rulebook of some batches with the draft in it.
type book struct {
	*rulebook.Rulebook
	draft *methodology.Methodology
}

func newTrial(ctx context.Context, db *store.DB, d Draft, mark *Watermark) (*trial, error) {
	t := &trial{draft: d, mark: mark, books: map[int64]*book{}}
	var err error
	if t.documents, err = db.Documents(ctx, mark.Rulebook); err != nil {
		return nil, err
	}
	if t.last, err = bind(mark.Rulebook, t.documents); err != nil {
		return nil, err
	}
	_, m, err := t.last.Instead(d.File, d.Text, time.Time{}, time.Time{}, t.last)
	if err == nil {
		err = m.CheckExamples()
	}
	if err != nil {
		return nil, fault.New(fault.Invalid, "%s", err)
	}
	if len(t.last.Versions(m.ID)) == 0 {
		return nil, fault.New(fault.NotFound, "%s: no version of %s is published here, so no claim was judged by it; a draft has the id of the text in whose place it is tried", d.File, m.ID)
	}
	if t.from, t.to, err = d.window(m.Zone, m.From, m.To); err != nil {
		return nil, err
	}
	t.method = m
	for _, old := range t.last.Versions(m.ID) {
		if at := max(t.from.UnixMicro(), old.From.UnixMicro()); t.last.Method(m.ID, at) == old && (t.to.IsZero() || at < t.to.UnixMicro()) {
			t.published = append([]*methodology.Methodology{old}, t.published...)
		}
	}
	_, err = t.book(mark.Rulebook)
	return t, err
}

func bind(number int64, documents []store.Document) (*rulebook.Rulebook, error) {
	var list []rulebook.Document
	for _, d := range documents {
		if d.Rulebook <= number {
			list = append(list, rulebook.Document{Kind: d.Kind, Name: d.Name, Text: d.Body})
		}
	}
	return rulebook.Bind(number, list)
}

// book makes the rulebook of a number, with the draft. An error says that nothing can be tried.
func (t *trial) book(number int64) (*book, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.books[number]; ok {
		return b, nil
	}
	if number < 0 || number > t.mark.Rulebook {
		return nil, fmt.Errorf("a batch names rulebook %d, and the last that was published is %d: tanpu audit tells more", number, t.mark.Rulebook)
	}
	plain, err := bind(number, t.documents)
	if err != nil {
		return nil, err
	}
	b := &book{}
	if b.Rulebook, b.draft, err = plain.Instead(t.draft.File, t.draft.Text, t.from, t.to, t.last); err != nil {
		return nil, fault.New(fault.Invalid, "against rulebook %d: %s", number, err)
	}
	if err := b.Check(); err != nil && plain.Check() == nil { // what was published before the draft is not its fault
		return nil, fmt.Errorf("with the draft in rulebook %d: %w", number, err)
	}
	t.books[number] = b
	return b, nil
}
