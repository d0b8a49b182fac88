package store

import (
	"context"
	"fmt"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
)

// A Posted claim or reversal is one that changed an account's balances, or could have, with its batch.
type Posted struct {
	Batch    ledger.Batch // without its hashes
	Claim    *ClaimRow    // nil for a reversal
	Reversal *claim.Reversal
}

// Posted lists an account's accepted claims, those that were reversed since included, and its reversals, of batches up
// to an instant. The error is fault.TooLarge where there are more than MaxFile.
func (db *DB) Posted(ctx context.Context, id AccountID, until claim.Micros) (list []Posted, err error) {
	if id.Part < 0 || id.Part >= db.Parts {
		return nil, fmt.Errorf("there is no partition %d", id.Part)
	}
	err = db.Snapshot(ctx, id.Part, func(s *Snapshot) error {
		add := func(p Posted, kind int) error {
			setKind(&p.Batch, kind)
			if list = append(list, p); len(list) > MaxFile {
				return errTooLong
			}
			return nil
		}
		err := eachRow(ctx, s.conn, func(scan func(...any) error) error {
			p := Posted{Batch: ledger.Batch{Part: id.Part}}
			var kind int
			c, err := db.scanClaim(scan, &p.Batch.Number, &p.Batch.At, &p.Batch.Rulebook, &kind)
			if err != nil {
				return err
			}
			p.Claim = &c
			return add(p, kind)
		}, "SELECT "+readColumns+`, b.batch, b.at, b.rulebook, b.backfill FROM claim c JOIN batch b ON b.part = c.part AND b.batch = c.batch
			WHERE c.part = $1 AND c.account = $2 AND c.reason IN ('ok', 'no-history') AND b.at <= $3`, id.Part, id.Number, until)
		if err != nil {
			return err
		}
		return eachRow(ctx, s.conn, func(scan func(...any) error) error {
			p := Posted{Batch: ledger.Batch{Part: id.Part}}
			var kind int
			r, err := scanReversal(id.Part, id.Number, scan, &p.Batch.Number, &p.Batch.At, &p.Batch.Rulebook, &kind)
			if err != nil {
				return err
			}
			p.Reversal = &r
			return add(p, kind)
		}, "SELECT "+reversalColumns+`, b.batch, b.at, b.rulebook, b.backfill FROM reversal r JOIN batch b ON b.part = r.part AND b.batch = r.batch
			WHERE r.part = $1 AND r.account = $2 AND b.at <= $3`, id.Part, id.Number, until)
	})
	return list, err
}
