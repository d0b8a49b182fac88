package store

import (
	"context"
	"fmt"
	"strings"

	"github.com/tanpu/tanpu/rules/claim"
)

// A Listed claim is a recorded one with what corrections did to it.
type Listed struct {
	ClaimRow
	AgainOf  claim.Ref       // the claim in whose place it was judged; zero for none
	Undone   *claim.Reversal // nil while it stands
	UndoneAt int64           // µs UTC
}

// Claims lists an account's claims, the latest judged first, from before a place (zero for the start),
// and only those with a reason if one is given.
func (db *DB) Claims(ctx context.Context, id AccountID, before Place, reason string, limit int) ([]Listed, error) {
	if before == (Place{}) {
		before.Batch = 1<<63 - 1
	}
	list, err := db.listed(ctx, `c.part = $1 AND c.account = $2 AND (c.batch, c.ord) < ($3, $4) AND ($5 = '' OR c.reason = $5)
		ORDER BY c.batch DESC, c.ord DESC LIMIT $6`, id.Part, id.Number, before.Batch, before.Ord, reason, limit)
	if err != nil || len(list) == 0 {
		return list, err
	}
	return list, db.tellCorrections(ctx, id, list)
}

func (db *DB) listed(ctx context.Context, condition string, args ...any) (list []Listed, err error) {
	err = eachRow(ctx, db.read, func(scan func(...any) error) error {
		r, err := db.scanClaim(scan)
		list = append(list, Listed{ClaimRow: r})
		return err
	}, "SELECT "+readColumns+" FROM claim c WHERE "+condition, args...)
	return list, err
}

// An undoing is a reversal and when it was made.
type undoing struct {
	claim.Reversal
	at int64
}

func (db *DB) undoings(ctx context.Context, id AccountID, rest string, args ...any) (list []undoing, err error) {
	err = eachRow(ctx, db.read, func(scan func(...any) error) error {
		var u undoing
		var err error
		u.Reversal, err = scanReversal(id.Part, id.Number, scan, &u.at)
		list = append(list, u)
		return err
	}, "SELECT "+reversalColumns+", b.at FROM reversal r JOIN batch b ON b.part = r.part AND b.batch = r.batch WHERE r.part = $1 AND r.account = $2"+rest,
		append([]any{id.Part, id.Number}, args...)...)
	return list, err
}

// tellCorrections adds to claims of an account what its reversals say of them. Few accounts have any.
func (db *DB) tellCorrections(ctx context.Context, id AccountID, list []Listed) error {
	undoings, err := db.undoings(ctx, id, "")
	if err != nil {
		return fmt.Errorf("reading the reversals of account %s: %w", id, err)
	}
	places := make(map[claim.Ref]*Listed, len(list))
	for i := range list {
		places[list[i].Verdict.Ref] = &list[i]
	}
	for i := range undoings {
		u := &undoings[i]
		if c := places[u.Of]; c != nil {
			c.Undone, c.UndoneAt = &u.Reversal, u.at
		}
		if c := places[claim.Ref{Part: id.Part, Batch: u.Ref.Batch, Ord: u.Next}]; c != nil && u.Next >= 0 {
			c.AgainOf = u.Of
		}
	}
	return nil
}

// CorrectedClaims lists the claims of an account that corrections reversed, each followed by the one that took its
// place, in the order in which they were corrected, from after a place (zero for the start). last is the place of the last
// reversal that was listed, or after when there was none.
func (db *DB) CorrectedClaims(ctx context.Context, id AccountID, after Place, limit int) (list []Listed, last Place, err error) {
	undoings, err := db.undoings(ctx, id, " AND (r.batch, r.ord) > ($3, $4) ORDER BY r.batch, r.ord LIMIT $5", after.Batch, after.Ord, limit)
	if err != nil || len(undoings) == 0 {
		return nil, after, err
	}
	var order []claim.Ref
	var wanted []string
	add := func(ref claim.Ref) {
		order = append(order, ref)
		wanted = append(wanted, fmt.Sprintf("(%d, %d)", ref.Batch, ref.Ord)) // numbers of our own
	}
	for i := range undoings {
		u := &undoings[i]
		add(u.Of)
		if u.Next >= 0 {
			add(claim.Ref{Part: id.Part, Batch: u.Ref.Batch, Ord: u.Next})
		}
		last = Place{u.Ref.Batch, u.Ref.Ord}
	}
	found, err := db.listed(ctx, "c.part = $1 AND c.account = $2 AND (c.batch, c.ord) IN (VALUES "+strings.Join(wanted, ", ")+")", id.Part, id.Number)
	if err != nil {
		return nil, after, err
	}
	if err := db.tellCorrections(ctx, id, found); err != nil {
		return nil, after, err
	}
	places := make(map[claim.Ref]*Listed, len(found))
	for i := range found {
		places[found[i].Verdict.Ref] = &found[i]
	}
	for _, ref := range order {
		if c := places[ref]; c != nil {
			list = append(list, *c)
		}
	}
	return list, last, nil
}
