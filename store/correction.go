package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/quantity"
	"github.com/tanpu/tanpu/rules/reason"
)

// MaxFile bounds the claims of an account that can be corrected: all of them are read at once.
const MaxFile = 200_000

var errTooLong = fault.New(fault.TooLarge, "this account has more than %d claims: too many to be read at once", MaxFile)

// File reads all that is recorded of one account, but the rulebooks. The error is fault.NotFound where there is no such account,
// fault.Gone where it was erased, and fault.Conflict while it is being erased, but for who does that.
func (tx *Tx) File(ctx context.Context, n claim.Number) (*claim.File, error) {
	f := &claim.File{Part: tx.Part, Account: n, Links: map[string]*claim.Link{}, Known: claim.NewKnown(), Balances: map[ledger.Key]int64{}}
	key, err := tx.keyOf(ctx, n)
	if err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context, *claim.File) error{tx.fileLinks, tx.fileClaims, tx.fileReversals, tx.fileBatches, tx.fileDerived} {
		if err := read(ctx, f); err != nil {
			return nil, fmt.Errorf("reading account %s: %w", AccountID{tx.Part, n}, err)
		}
	}
	for i := range f.Claims {
		f.Claims[i].Key = key
	}
	for _, l := range f.Links {
		l.Key = key
	}
	return f, nil
}

func (tx *Tx) keyOf(ctx context.Context, n claim.Number) (key [32]byte, err error) {
	var has []byte
	var erasing bool
	err = tx.desk.conn.QueryRowContext(ctx, `SELECT k.key, EXISTS (SELECT 1 FROM erasing e WHERE e.part = a.part AND e.account = a.account)
		FROM account a LEFT JOIN account_key k ON k.part = a.part AND k.account = a.account
		WHERE a.part = $1 AND a.account = $2`, tx.Part, n).Scan(&has, &erasing)
	found, err := oneRow(err)
	switch {
	case err != nil:
		return key, fmt.Errorf("reading an account's key: %w", err)
	case !found:
		return key, fault.New(fault.NotFound, "there is no account %s", AccountID{tx.Part, n})
	case len(has) != len(key) && tx.erases != AccountID{tx.Part, n}:
		return key, fault.New(fault.Gone, "the account was erased, and nothing of it can be corrected")
	case erasing && tx.erases != AccountID{tx.Part, n}:
		return key, fault.New(fault.Conflict, "the account is being erased")
	}
	copy(key[:], has)
	return key, nil
}

// each runs f on every row of a query about an account.
func (tx *Tx) each(ctx context.Context, n claim.Number, query string, f func(scan func(...any) error) error) error {
	return eachRow(ctx, tx.desk.conn, f, query, tx.Part, n)
}

func eachRow(ctx context.Context, q queryer, f func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return scanEach(rows, f)
}

func (tx *Tx) fileLinks(ctx context.Context, f *claim.File) error {
	err := tx.each(ctx, f.Account, "SELECT link, programme, partner, scenarios, purposes, since, granted, revoked FROM link WHERE part = $1 AND account = $2", func(scan func(...any) error) error {
		l := &claim.Link{Account: f.Account}
		var scenarios, purposes string
		err := scan(&l.Number, &l.Programme, &l.Partner, &scenarios, &purposes, &l.Since, &l.Granted, &l.Revoked)
		l.Scenarios, l.Purposes = words(scenarios), words(purposes)
		l.Sub = tx.db.sub(tx.Part, seat{f.Account, l.Number})
		f.Links[l.Sub] = l
		return err
	})
	if err != nil {
		return err
	}
	return tx.each(ctx, f.Account, "SELECT object, at FROM account_object WHERE part = $1 AND account = $2", func(scan func(...any) error) error {
		var o claim.Registered
		err := scan(&o.Object, &o.At)
		f.Objects = append(f.Objects, o)
		return err
	})
}

func (tx *Tx) fileClaims(ctx context.Context, f *claim.File) error {
	err := tx.each(ctx, f.Account, "SELECT "+readColumns+" FROM claim c WHERE c.part = $1 AND c.account = $2", func(scan func(...any) error) error {
		if len(f.Claims) == MaxFile {
			return errTooLong
		}
		c, err := tx.db.scanClaim(scan)
		if err != nil {
			return err
		}
		row, err := c.Row()
		if err != nil {
			return err
		}
		f.Claims = append(f.Claims, claim.Past{Row: *row})
		return nil
	})
	slices.SortFunc(f.Claims, func(a, b claim.Past) int {
		x, y := a.Verdict.Ref, b.Verdict.Ref
		return cmp.Or(cmp.Compare(x.Batch, y.Batch), cmp.Compare(x.Ord, y.Ord))
	})
	return err
}

// CameBack is claim.Verdict.CameBack for a row whose operands were not taken apart.
func (r *ClaimRow) CameBack() bool { return r.Verdict.Reason == reason.Overlap && r.Operands == "" }

// Row puts a recorded claim together as it was judged, but for the text of its methodology.
func (r *ClaimRow) Row() (*claim.Row, error) {
	said := r.Claim
	if !claim.ParseBody(&said, r.Body) {
		return nil, fmt.Errorf("claim %s has a body that could not have been recorded", r.Verdict.Ref)
	}
	row := &claim.Row{Claim: &said, Body: r.Body, Account: r.Account, Link: r.Link, Programme: r.Programme, Group: r.Group, Vintage: r.Vintage,
		Holder: r.Holder, Verdict: r.Verdict, Times: r.Times}
	if r.Operands != "" {
		if err := json.Unmarshal([]byte(r.Operands), &row.Verdict.Operands); err != nil {
			return nil, fmt.Errorf("claim %s has operands that could not have been recorded: %w", r.Verdict.Ref, err)
		}
	}
	for line := range strings.Lines(r.Used) {
		what, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		row.Used = append(row.Used, methodology.Use{What: what, Value: value})
	}
	return row, nil
}

const reversalColumns = "r.batch, r.ord, r.of_batch, r.of_ord, r.why, r.who, r.reason, r.mg, r.points, r.owed_mg, r.owed_points, " +
	"r.next_ord, r.next_at, r.next_rulebook, r.next_backfill, r.next_restated"

// scanReversal reads a reversal and whatever is selected behind it.
func scanReversal(part int, account claim.Number, scan func(...any) error, more ...any) (r claim.Reversal, err error) {
	r.Ref.Part, r.Of.Part, r.Account = part, part, account
	var backfill int
	err = scan(append([]any{&r.Ref.Batch, &r.Ref.Ord, &r.Of.Batch, &r.Of.Ord, &r.Why, &r.By, &r.Reason, &r.Milligrams, &r.Points, &r.OwedMilligrams, &r.OwedPoints,
		&r.Next, &r.Basis.At, &r.Basis.Rulebook, &backfill, &r.Basis.Restated}, more...)...)
	r.Basis.Backfill = backfill != 0
	return r, err
}

func (tx *Tx) fileReversals(ctx context.Context, f *claim.File) error {
	err := tx.each(ctx, f.Account, "SELECT "+reversalColumns+" FROM reversal r WHERE r.part = $1 AND r.account = $2", func(scan func(...any) error) error {
		r, err := scanReversal(tx.Part, f.Account, scan)
		f.Reversals = append(f.Reversals, r)
		return err
	})
	slices.SortFunc(f.Reversals, func(a, b claim.Reversal) int {
		return cmp.Or(cmp.Compare(a.Ref.Batch, b.Ref.Batch), cmp.Compare(a.Ref.Ord, b.Ref.Ord))
	})
	return err
}

// fileBatches finds by what each batch was judged.
func (tx *Tx) fileBatches(ctx context.Context, f *claim.File) error {
	basis := map[int64]claim.Basis{}
	for i := range f.Claims {
		basis[f.Claims[i].Verdict.Ref.Batch] = claim.Basis{}
	}
	for i := range f.Reversals {
		basis[f.Reversals[i].Ref.Batch] = claim.Basis{}
	}
	err := tx.look(ctx, &lookup{
		keys: "batch bigint",
		cols: "b.batch, b.at, b.rulebook, b.backfill",
		from: []source{{table: "batch", alias: "b", on: "b.part = $1 AND b.batch = u.batch"}},
		args: []any{slices.Sorted(maps.Keys(basis))},
		row: func(scan func(...any) error) error {
			var b ledger.Batch
			var kind int
			err := scan(&b.Number, &b.At, &b.Rulebook, &kind)
			setKind(&b, kind)
			basis[b.Number] = claim.Basis{At: b.At, Rulebook: b.Rulebook, Backfill: b.Backfill}
			return err
		},
	})
	f.Batch = func(number int64) (claim.Basis, bool) {
		b, ok := basis[number]
		return b, ok
	}
	for i := range f.Claims {
		f.Claims[i].Basis = basis[f.Claims[i].Verdict.Ref.Batch]
	}
	return err
}

// fileDerived reads what follows from the account's claims.
func (tx *Tx) fileDerived(ctx context.Context, f *claim.File) error {
	known := f.Known
	for _, read := range []struct {
		query string
		row   func(scan func(...any) error) error
	}{
		{"SELECT method, period, used FROM usage WHERE part = $1 AND account = $2", func(scan func(...any) error) error {
			k := claim.Period{Account: f.Account}
			var text string
			if err := scan(&k.Method, &k.Name, &text); err != nil {
				return err
			}
			used, ok := claim.ParseUsage(text)
			if !ok {
				return fmt.Errorf("usage in %s cannot be read: %q", k.Name, text)
			}
			used.Stored = true
			known.Usage[k] = used
			return nil
		}},
		{"SELECT grp, key, greatest, included, partner FROM slot WHERE part = $1 AND account = $2", func(scan func(...any) error) error {
			k := claim.Slot{Account: f.Account}
			var c claim.Counted
			err := scan(&k.Group, &k.Key, &c.Greatest, &c.Included, &c.By)
			known.Slots[k] = c
			return err
		}},
		{"SELECT method, input, object, period, value FROM history WHERE part = $1 AND account = $2", func(scan func(...any) error) error {
			k := claim.Kept{Account: f.Account}
			var text string
			if err := scan(&k.Method, &k.Input, &k.Object, &k.Period, &text); err != nil {
				return err
			}
			v, err := quantity.ParseRat(text)
			known.Kept[k] = v
			return err
		}},
		{"SELECT asset, amount FROM balance WHERE part = $1 AND holder = $2", func(scan func(...any) error) error {
			k := ledger.Key{Holder: ledger.Holder(f.Account)}
			var n int64
			err := scan(&k.Asset, &n)
			f.Balances[k] = n
			if k.Asset.Kind() == "NET" {
				known.Nets[k] = n
			}
			return err
		}},
	} {
		if err := tx.each(ctx, f.Account, read.query, read.row); err != nil {
			return err
		}
	}
	return nil
}

// writeCorrection writes a correction's reversals, marks their claims, takes away what is gone with them, and writes
// the claims that were judged again.
func (tx *Tx) writeCorrection(ctx context.Context, conn *sql.Conn, b *claim.Batch, rows []*claim.Row) error {
	for i := range b.Reversals {
		r := &b.Reversals[i]
		done, err := conn.ExecContext(ctx, `UPDATE claim SET reversed = $1 WHERE part = $2 AND account = $3 AND grp = $4 AND start = $5 AND batch = $6 AND ord = $7 AND reversed = 0`,
			b.Number, tx.Part, r.Account, r.Group, r.Start, r.Of.Batch, r.Of.Ord)
		if err != nil {
			return err
		}
		if n, err := done.RowsAffected(); err != nil || n != 1 {
			return fmt.Errorf("claim %s, which is to be reversed, is not there or was reversed before", r.Of)
		}
	}
	if err := tx.writeGone(ctx, conn, &b.Gone); err != nil {
		return err
	}
	return tx.bulk(ctx, reversalRows(b.Reversals), correctedRows(b.Number, rows))
}

func (tx *Tx) writeGone(ctx context.Context, conn *sql.Conn, gone *claim.Gone) error {
	for _, k := range gone.Slots {
		if _, err := conn.ExecContext(ctx, "DELETE FROM slot WHERE part = $1 AND account = $2 AND grp = $3 AND key = $4", tx.Part, k.Account, k.Group, k.Key); err != nil {
			return err
		}
	}
	for _, k := range gone.Usage {
		if _, err := conn.ExecContext(ctx, "DELETE FROM usage WHERE part = $1 AND account = $2 AND method = $3 AND period = $4", tx.Part, k.Account, k.Method, k.Name); err != nil {
			return err
		}
	}
	for _, k := range gone.Kept {
		_, err := conn.ExecContext(ctx, "DELETE FROM history WHERE part = $1 AND account = $2 AND method = $3 AND input = $4 AND object = $5 AND period = $6",
			tx.Part, k.Account, k.Method, k.Input, k.Object, k.Period)
		if err != nil {
			return err
		}
	}
	return nil
}

func reversalRows(list []claim.Reversal) *bulk {
	number := func(f func(*claim.Reversal) int64) []int64 { return column(list, f) }
	text := func(f func(*claim.Reversal) string) []string { return column(list, f) }
	return &bulk{
		table: "reversal", columns: "account bigint, batch bigint, ord bigint, of_batch bigint, of_ord bigint, why text, who text, reason text, " +
			"mg bigint, points bigint, owed_mg bigint, owed_points bigint, next_ord bigint, next_at bigint, next_rulebook bigint, next_backfill bigint, next_restated bigint",
		args: []any{
			number(func(r *claim.Reversal) int64 { return r.Account }),
			number(func(r *claim.Reversal) int64 { return r.Ref.Batch }),
			number(func(r *claim.Reversal) int64 { return int64(r.Ref.Ord) }),
			number(func(r *claim.Reversal) int64 { return r.Of.Batch }),
			number(func(r *claim.Reversal) int64 { return int64(r.Of.Ord) }),
			text(func(r *claim.Reversal) string { return string(r.Why) }),
			text(func(r *claim.Reversal) string { return r.By }),
			text(func(r *claim.Reversal) string { return r.Reason }),
			number(func(r *claim.Reversal) int64 { return r.Milligrams }),
			number(func(r *claim.Reversal) int64 { return r.Points }),
			number(func(r *claim.Reversal) int64 { return r.OwedMilligrams }),
			number(func(r *claim.Reversal) int64 { return r.OwedPoints }),
			number(func(r *claim.Reversal) int64 { return int64(r.Next) }),
			number(func(r *claim.Reversal) int64 { return r.Basis.At }),
			number(func(r *claim.Reversal) int64 { return r.Basis.Rulebook }),
			number(func(r *claim.Reversal) int64 {
				if r.Basis.Backfill {
					return 1
				}
				return 0
			}),
			number(func(r *claim.Reversal) int64 { return r.Basis.Restated }),
		},
	}
}

// correctedRows are the claims of a correction. They are few, and have a column more than those that come in.
func correctedRows(batch int64, rows []*claim.Row) *bulk {
	number := func(f func(*claim.Row) int64) []int64 {
		return column(rows, func(r **claim.Row) int64 { return f(*r) })
	}
	text := func(f func(*claim.Row) string) []string {
		return column(rows, func(r **claim.Row) string { return f(*r) })
	}
	return &bulk{
		table: "claim", columns: "account bigint, grp text, start bigint, batch bigint, ord bigint, finish bigint, link bigint, partner text, id text, programme text, " +
			"scenario text, body text, method text, vintage text, reason text, operands text, used text, holder bigint, mg bigint, points bigint, again bigint",
		args: []any{
			number(func(r *claim.Row) int64 { return r.Account }),
			text(func(r *claim.Row) string { return r.Group }),
			number(func(r *claim.Row) int64 { return r.Claim.Start }),
			number(func(*claim.Row) int64 { return batch }),
			number(func(r *claim.Row) int64 { return int64(r.Verdict.Ref.Ord) }),
			number(func(r *claim.Row) int64 { return r.Claim.End }),
			number(func(r *claim.Row) int64 { return int64(r.Link) }),
			text(func(r *claim.Row) string { return r.Claim.Partner }),
			text(func(r *claim.Row) string { return r.Claim.ID }),
			text(func(r *claim.Row) string { return r.Programme }),
			text(func(r *claim.Row) string { return r.Claim.Scenario }),
			text(func(r *claim.Row) string { return r.Body }),
			text(func(r *claim.Row) string { return r.Verdict.Method }),
			text(func(r *claim.Row) string { return r.Vintage }),
			text(func(r *claim.Row) string { return string(r.Verdict.Reason) }),
			text(func(r *claim.Row) string { return claim.Operands(&r.Verdict.Operands) }),
			text(func(r *claim.Row) string { return claim.Used(r) }),
			number(func(r *claim.Row) int64 { return int64(r.Holder) }),
			number(func(r *claim.Row) int64 { return r.Verdict.Milligrams }),
			number(func(r *claim.Row) int64 { return r.Verdict.Points }),
			number(func(r *claim.Row) int64 { return int64(r.Times) }),
		},
	}
}
