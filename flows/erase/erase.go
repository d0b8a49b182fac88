// Package erase forgets a person: it settles what the account holds, destroys its key, and deletes what is recorded of
// it, but for sums that belong to nobody. docs/erasure.md says what is left, and what nobody can know.
//
// An account's rows lie in its own partition, but for its requests, its objects, and what partners signed. So an erasure
// goes in steps, each a transaction of one partition, and each true by itself:
//
//   - begin: the account is noted as being erased, and its links end. From here on nothing more is recorded of it.
//   - untie: in each other partition, whatever names the account is taken away, and its acts are marked as forgotten.
//   - destroy: in the account's partition all the rest goes at once, and the log learns of it.
//
// What is true if we die: after begin the account is noted, and whoever erases it again, or Finish, goes on. Untying
// what is untied changes nothing. Before the commit of destroy all the account's claims are there; after it none is.
package erase

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// A Flow erases accounts of a database.
type Flow struct{ Books publish.Books }

// New makes a flow for a database.
func New(db *store.DB) *Flow { return &Flow{publish.Books{DB: db}} }

// attempts bounds how often an account is untied: what was recorded while that was done is untied the next time. After
// its links have ended, only a claim that another server had in hand can still come.
const attempts = 5

// Account erases an account. One that was erased before is told, and nothing more happens.
func (f *Flow) Account(ctx context.Context, id store.AccountID, now time.Time) (*store.Erasure, error) {
	if id.Part < 0 || id.Part >= f.Books.DB.Parts {
		return nil, fault.New(fault.NotFound, "there is no account %s", id)
	}
	if err := f.begin(ctx, id, now); err != nil {
		var other *before
		if errors.As(err, &other) {
			return other.Erasure, nil
		}
		return nil, err
	}
	for range attempts {
		untied, err := f.untie(ctx, id, now)
		var done *store.Erasure
		if err == nil {
			done, err = f.destroy(ctx, id, untied, now)
		}
		var other *before
		if errors.As(err, &other) {
			return other.Erasure, nil
		}
		if err != nil || done != nil {
			f.Books.DB.Scrub(ctx) // what it cannot do now, the next pass does
			return done, err
		}
	}
	return nil, fault.New(fault.Unavailable, "claims of account %s still came in; try again", id)
}

// Finish ends the erasures that were begun and broke off, and repeats those that a database from before them has not got
// yet (see package restore). It says how many those were. One that cannot be ended does not keep the others from it.
func (f *Flow) Finish(ctx context.Context, now time.Time) (n int, err error) {
	list, err := f.Books.DB.Erasing(ctx)
	if err != nil {
		return 0, fmt.Errorf("looking for erasures that broke off: %w", err)
	}
	for _, id := range list {
		if _, failed := f.Account(ctx, id, now); failed != nil {
			err = errors.Join(err, failed)
			continue
		}
		n++
	}
	return n, err
}

// begin notes that the account is being erased.
func (f *Flow) begin(ctx context.Context, id store.AccountID, now time.Time) error {
	return f.Books.DB.Erase(ctx, id.Part, now.UnixMicro(), id, func(tx *store.Tx) error {
		e, err := tx.BeginErasing(ctx)
		if e != nil {
			return &before{e}
		}
		return err
	})
}

// before ends a transaction in which there is nothing to do: the account was erased, by somebody else or earlier.
type before struct{ *store.Erasure }

func (*before) Error() string { return "the account was erased before" }

func orBefore(err error, e *store.Erasure) error {
	if err != nil {
		return err
	}
	return &before{e}
}

// An untied account is what was known of it when all that other partitions have of it was taken away.
type untied struct{ claims, reversals int }

// untie takes away what names the account in other partitions, and all that its own has in the same tables.
func (f *Flow) untie(ctx context.Context, id store.AccountID, now time.Time) (untied, error) {
	db := f.Books.DB
	var file *claim.File
	err := f.read(ctx, id, now, func(_ *store.Tx, recorded *claim.File) error {
		file = recorded
		return nil
	})
	if err != nil {
		return untied{}, err
	}
	// Whoever had a partition when the erasure began, and noted something of the account there, has committed it by then;
	// whoever takes one afterwards sees that it is being erased.
	for part := range db.Parts {
		if err := db.Update(ctx, part, now.UnixMicro(), func(*store.Tx) error { return nil }); err != nil {
			return untied{}, err
		}
	}
	if err := db.AwaitTestimonies(ctx); err != nil { // and so with what was signed
		return untied{}, err
	}
	places := map[int64][]int{}
	for i := range file.Claims {
		r := file.Claims[i].Verdict.Ref
		places[r.Batch] = append(places[r.Batch], r.Ord)
	}
	sayings, err := db.Sayings(ctx, id.Part, places)
	if err != nil {
		return untied{}, err
	}
	tied, err := db.Tied(ctx, id)
	if err != nil {
		return untied{}, err
	}
	texts, err := file.Marks()
	if err != nil {
		return untied{}, err
	}
	marks := db.Marks(texts)
	asking, err := db.Remembering(ctx)
	if err != nil {
		return untied{}, err
	}
	parts := slices.Concat(slices.Collect(maps.Keys(sayings)), slices.Collect(maps.Keys(marks)), tied, asking)
	slices.Sort(parts)
	for _, part := range slices.Compact(parts) {
		err := db.Erase(ctx, part, now.UnixMicro(), id, func(tx *store.Tx) error {
			for _, s := range sayings[part] {
				if err := tx.Unsay(ctx, s); err != nil {
					return err
				}
			}
			if err := tx.Forget(ctx, marks[part]); err != nil {
				return err
			}
			return tx.Untie(ctx)
		})
		if err != nil {
			return untied{}, err
		}
	}
	return untied{len(file.Claims), len(file.Reversals)}, nil
}

// destroy takes away all of the account, unless something of it came in since it was untied.
func (f *Flow) destroy(ctx context.Context, id store.AccountID, was untied, now time.Time) (done *store.Erasure, err error) {
	err = f.read(ctx, id, now, func(tx *store.Tx, file *claim.File) error {
		done = nil
		if was != (untied{len(file.Claims), len(file.Reversals)}) {
			return nil
		}
		erased, err := claim.Erase(file, claim.Basis{At: tx.Now, Rulebook: tx.Rulebook})
		if err != nil {
			return err
		}
		done, err = tx.EraseAccount(ctx, erased)
		return err
	})
	if err != nil {
		return nil, err
	}
	return done, nil
}

// read runs do on all that is recorded of the account, with the right to take it away.
func (f *Flow) read(ctx context.Context, id store.AccountID, now time.Time, do func(*store.Tx, *claim.File) error) error {
	err := f.Books.DB.Erase(ctx, id.Part, now.UnixMicro(), id, func(tx *store.Tx) error {
		if e, err := tx.Erased(ctx); err != nil || e != nil {
			return orBefore(err, e)
		}
		file, err := tx.File(ctx, id.Number)
		if err != nil {
			return err
		}
		file.Book = func(by claim.Basis) (*rulebook.Rulebook, error) { return f.Books.Of(ctx, by) }
		return do(tx, file)
	})
	if err != nil && fault.KindOf(err) == "" && !errors.As(err, new(*before)) {
		return fmt.Errorf("erasing account %s: %w", id, err)
	}
	return err
}
