package store

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
)

// A Recorded claim is one with the batch that it stands in.
type Recorded struct {
	ClaimRow
	Batch  ledger.Batch
	Leaves []ledger.Hash // of the batch, in order
	Key    []byte        // the account's; nil where it is gone
	Again  *claim.Again  // in whose place it was judged, and by what; nil for a claim that was judged as it came
}

// RecordedClaim reads one recorded claim, its batch, and the key of its account.
func (db *DB) RecordedClaim(ctx context.Context, ref claim.Ref) (*Recorded, error) {
	unknown := fault.New(fault.NotFound, "there is no claim %s", ref)
	if ref.Part < 0 || ref.Part >= db.Parts || ref.Ord < 0 {
		return nil, unknown
	}
	r := &Recorded{Batch: ledger.Batch{Part: ref.Part, Number: ref.Batch}}
	var backfill int
	var root, totals, prev, leaves, accounts []byte
	err := db.read.QueryRowContext(ctx, "SELECT at, rulebook, backfill, root, totals, prev, leaves, accounts FROM batch WHERE part = $1 AND batch = $2", ref.Part, ref.Batch).
		Scan(&r.Batch.At, &r.Batch.Rulebook, &backfill, &root, &totals, &prev, &leaves, &accounts)
	if found, err := oneRow(err); err != nil {
		return nil, fmt.Errorf("reading batch %d.%d: %w", ref.Part, ref.Batch, err)
	} else if backfill&held != 0 {
		return nil, fault.New(fault.NotFound, "claim %s was lost with the database that it was recorded in, and counts for nothing; if it was reported again since, it has another number", ref)
	} else if !found || ref.Ord >= len(accounts)/8 || len(leaves) != len(accounts)*4 {
		return nil, unknown
	}
	setKind(&r.Batch, backfill)
	copy(r.Batch.Root[:], root)
	copy(r.Batch.Totals[:], totals)
	copy(r.Batch.Prev[:], prev)
	for ; len(leaves) > 0; leaves = leaves[32:] {
		r.Leaves = append(r.Leaves, ledger.Hash(leaves[:32]))
	}
	account := int64(binary.BigEndian.Uint64(accounts[ref.Ord*8:]))
	if account == 0 {
		return nil, fault.New(fault.Gone, "claim %s was of an account that was erased", ref)
	}
	r.ClaimRow, err = db.scanClaim(db.read.QueryRowContext(ctx, "SELECT "+readColumns+` FROM claim c
		WHERE c.part = $1 AND c.account = $2 AND c.batch = $3 AND c.ord = $4`, ref.Part, account, ref.Batch, ref.Ord).Scan)
	if found, err := oneRow(err); err != nil {
		return nil, fmt.Errorf("reading claim %s: %w", ref, err)
	} else if !found {
		return nil, unknown
	}
	if r.Batch.Correction {
		again := &claim.Again{Of: claim.Ref{Part: ref.Part}}
		err = db.read.QueryRowContext(ctx, "SELECT of_batch, of_ord, next_at, next_rulebook, next_backfill <> 0, next_restated FROM reversal WHERE part = $1 AND account = $2 AND batch = $3 AND next_ord = $4",
			ref.Part, account, ref.Batch, ref.Ord).Scan(&again.Of.Batch, &again.Of.Ord, &again.At, &again.Rulebook, &again.Backfill, &again.Restated)
		if err != nil {
			return nil, fmt.Errorf("reading in whose place claim %s was judged: %w", ref, err)
		}
		r.Again = again
	}
	err = db.read.QueryRowContext(ctx, "SELECT key FROM account_key WHERE part = $1 AND account = $2", ref.Part, account).Scan(&r.Key)
	if _, err := oneRow(err); err != nil {
		return nil, fmt.Errorf("reading an account's key: %w", err)
	}
	return r, nil
}
