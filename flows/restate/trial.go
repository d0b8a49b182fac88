package restate

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/tanpu/tanpu/flows/past"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// A trial is a draft with the rulebooks that it is tried in.
type trial struct {
	db        *store.DB
	draft     Draft
	method    *methodology.Methodology // as it would be published today
	from, to  time.Time
	mark      *Watermark
	published []*methodology.Methodology // the versions whose place it takes, by the last rulebook
	last      *rulebook.Rulebook         // up to the watermark
	restated  int64                      // the rulebook that the draft made, once it is ordered; 0 before
	gauge     past.Gauge

	mu    sync.Mutex                   // guards what follows
	texts []rulebook.Document          // up to the watermark's rulebook; once the draft is ordered, all that were needed
	books map[int64]*rulebook.Rulebook // with the draft in them, by number
}

func newTrial(ctx context.Context, db *store.DB, d Draft, mark *Watermark) (*trial, error) {
	t := &trial{db: db, draft: d, mark: mark, books: map[int64]*rulebook.Rulebook{}}
	documents, err := db.Documents(ctx, mark.Rulebook)
	if err != nil {
		return nil, err
	}
	if name, found := publish.Unfinished(documents); found {
		return nil, fault.New(fault.Conflict, "restatement %s has begun and is not finished: until then its figures and those of what is recorded are mixed", name)
	}
	t.texts = publish.Texts(documents)
	if t.last, err = rulebook.Bind(mark.Rulebook, 0, t.texts); err != nil {
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
	_, err = t.book(ctx, mark.Rulebook)
	return t, err
}

// book makes the rulebook of a number, with the draft and all that was restated before it. An error says that nothing can
// be tried.
func (t *trial) book(ctx context.Context, number int64) (*rulebook.Rulebook, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if b, ok := t.books[number]; ok {
		return b, nil
	}
	make := t.tried
	if t.restated != 0 {
		make = t.ordered
	}
	b, err := make(ctx, number)
	if err == nil {
		t.books[number] = b
	}
	return b, err
}

// tried puts the draft into a rulebook.
func (t *trial) tried(_ context.Context, number int64) (*rulebook.Rulebook, error) {
	if number < 0 || number > t.mark.Rulebook {
		return nil, fmt.Errorf("a batch names rulebook %d, and the last that was published is %d: tanpu audit tells more", number, t.mark.Rulebook)
	}
	plain, err := rulebook.Bind(number, t.last.Restated, t.texts)
	if err != nil {
		return nil, err
	}
	b, _, err := plain.Instead(t.draft.File, t.draft.Text, t.from, t.to, t.last)
	if err != nil {
		return nil, fault.New(fault.Invalid, "against rulebook %d: %s", number, err)
	}
	if err := b.Check(); err != nil && plain.Check() == nil { // what was published before the draft is not its fault
		return nil, fmt.Errorf("with the draft in rulebook %d: %w", number, err)
	}
	return b, nil
}

// ordered takes the draft, which is published as a restatement, with all others up to it.
func (t *trial) ordered(ctx context.Context, number int64) (*rulebook.Rulebook, error) {
	if n := len(t.texts); n == 0 || t.texts[n-1].Number < max(number, t.restated) {
		documents, err := t.db.Documents(ctx, max(number, t.restated))
		if err != nil {
			return nil, err
		}
		t.texts = publish.Texts(documents)
	}
	return rulebook.Bind(number, t.restated, t.texts)
}
