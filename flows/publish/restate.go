package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// Restate publishes the order of a restatement, and returns the rulebook that it makes. Ordered again in the same words it
// returns the one that it made.
func Restate(ctx context.Context, db *store.DB, r *rulebook.Restatement, now time.Time) (number int64, err error) {
	for {
		number, err = restate(ctx, db, r, now)
		if !errors.Is(err, store.ErrOvertaken) {
			return number, err
		}
	}
}

func restate(ctx context.Context, db *store.DB, r *rulebook.Restatement, now time.Time) (int64, error) {
	last, err := db.Rulebook(ctx)
	if err != nil {
		return 0, err
	}
	documents, err := db.Documents(ctx, last)
	if err != nil {
		return 0, err
	}
	d := store.Document{Kind: rulebook.Restating, Name: r.Name, Body: r.Document()}
	d.Hash = sha256.Sum256(d.Body)
	if old, ordered := document(documents, rulebook.Restating, r.Name); ordered {
		if !bytes.Equal(old.Body, d.Body) {
			return 0, fault.New(fault.Conflict, "restatement %s was ordered otherwise: by another report, draft or reason; give this one another name", r.Name)
		}
		return old.Rulebook, nil
	}
	if err := restates(documents, r); err != nil {
		return 0, err
	}
	before, err := rulebook.Bind(last, 0, Texts(documents))
	if err != nil {
		return 0, err
	}
	d.Rulebook = last + 1
	after, err := rulebook.Bind(last+1, 0, Texts(append(slices.Clone(documents), d)))
	if err != nil {
		return 0, asFault(err)
	}
	if err := inPast(before, after, r, now); err != nil {
		return 0, err
	}
	if err := after.Check(); err != nil && before.Check() == nil { // what was published before is not its fault
		return 0, err
	}
	return d.Rulebook, db.Publish(ctx, last, []store.Document{d}, now)
}

// Restated publishes what a restatement came to, which ends it; once more where the text of that was lost.
func Restated(ctx context.Context, db *store.DB, name string, summary []byte, now time.Time) error {
	for {
		last, err := db.Rulebook(ctx)
		if err != nil {
			return err
		}
		documents, err := db.Documents(ctx, last)
		if err != nil {
			return err
		}
		if Told(documents, name) != nil {
			return nil
		}
		err = db.Publish(ctx, last, []store.Document{{Kind: rulebook.Restated, Name: name, Hash: sha256.Sum256(summary), Body: summary}}, now)
		if !errors.Is(err, store.ErrOvertaken) {
			return err
		}
	}
}

// Told is what a restatement came to, as it was published last; nil where that was not yet, or is lost.
func Told(documents []store.Document, name string) (text []byte) {
	for _, d := range documents {
		if d.Kind == rulebook.Restated && d.Name == name && !d.Held() {
			text = d.Body
		}
	}
	return text
}

// Unfinished is a restatement that was ordered and has not said what it came to; false for none. One of which that was lost has.
func Unfinished(documents []store.Document) (name string, found bool) {
	for _, d := range documents {
		if d.Kind != rulebook.Restating {
			continue
		}
		if _, done := document(documents, rulebook.Restated, d.Name); !done {
			return d.Name, true
		}
	}
	return "", false
}

// document finds what is published under a name.
func document(documents []store.Document, kind, name string) (store.Document, bool) {
	i := slices.IndexFunc(documents, func(d store.Document) bool { return d.Kind == kind && d.Name == name })
	if i < 0 {
		return store.Document{}, false
	}
	return documents[i], true
}

// restates holds a restatement against what is published: its report must tell of it all, and a name of a text stands
// for one text.
func restates(documents []store.Document, r *rulebook.Restatement) error {
	if name, found := Unfinished(documents); found {
		return fault.New(fault.Conflict, "restatement %s has begun and is not finished: finish it first", name)
	}
	id, _, _ := strings.Cut(r.Method, "@")
	for _, d := range documents {
		switch {
		case d.Kind == "methodology" && d.Name == r.Method && d.Hash != r.Hash:
			return fault.New(fault.Conflict, "%s is published with another text; give the draft a new version, and try it again", r.Method)
		case d.Rulebook > r.Rulebook && (d.Kind == rulebook.Restating || d.Kind == "methodology" && strings.HasPrefix(d.Name, id+"@")):
			return fault.New(fault.Conflict, "%s was published after the draft was tried: try it again", d.Name)
		case d.Kind != rulebook.Restating:
			continue
		}
		if old, err := rulebook.ParseRestatement(d.Name, d.Body); err != nil {
			return err
		} else if old.Method == r.Method && old.Hash != r.Hash {
			return fault.New(fault.Conflict, "restatement %s has another text of %s; give the draft a new version, and try it again", old.Name, r.Method)
		}
	}
	return nil
}

// inPast makes sure that a restatement is of acts that can have begun, and takes no place that a version was published for.
func inPast(before, after *rulebook.Rulebook, r *rulebook.Restatement, now time.Time) error {
	m := after.Last()
	from, to, err := r.Days(m.Zone)
	if err != nil {
		return err
	}
	if from.After(now) {
		return fault.New(fault.Unfit, "no act has begun on %s yet: publish the text as a version, in force from then", r.From)
	}
	for _, v := range before.Versions(m.ID) {
		if v.From.After(now) && (to.IsZero() || v.From.Before(to)) && v.Hash != m.Hash {
			return fault.New(fault.Unfit, "%s will be in force from %s, and the restatement would take its place: try the draft again up to an earlier day, with --to",
				v.Name(), v.From.Format(time.DateOnly))
		}
	}
	return nil
}

// restates finds a restatement that has another text by the name of a methodology's.
func (s *shelf) restates(d store.Document) (by string, taken bool) {
	for k, old := range s.texts {
		if k.kind != rulebook.Restating || d.Kind != "methodology" {
			continue
		}
		if r, err := rulebook.ParseRestatement(k.name, old.Body); err == nil && r.Method == d.Name && r.Hash != d.Hash {
			return k.name, true
		}
	}
	return "", false
}
