package store

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	lite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/quantity"
)

// claimColumns are the columns of a claim row, in the order in which the bulk writers give them.
const claimColumns = "part, account, grp, start, batch, ord, finish, link, partner, id, programme, scenario, " +
	"body, method, vintage, reason, operands, used, holder, mg, points"

// readColumns are those in which a claim is read back, of a table that is called c.
var readColumns = "c." + strings.ReplaceAll(claimColumns, ", ", ", c.") + ", c.again, c.reversed"

// WriteBatch writes a batch: its claims, what they change, and its record.
func (tx *Tx) WriteBatch(ctx context.Context, b *claim.Batch) error {
	if b.Number != tx.Number || b.Part != tx.Part {
		return fmt.Errorf("batch %d.%d written in the place of %d.%d", b.Part, b.Number, tx.Part, tx.Number)
	}
	conn, err := tx.writer(ctx)
	if err != nil {
		return err
	}
	postings := b.Entry.Postings()
	if err := ledger.Balanced(postings); err != nil {
		return err
	}
	// The rows go in as the table is clustered.
	order := make([]*claim.Row, len(b.Rows))
	for i := range b.Rows {
		order[i] = &b.Rows[i]
	}
	slices.SortFunc(order, func(x, y *claim.Row) int {
		return cmp.Or(cmp.Compare(x.Account, y.Account), strings.Compare(x.Group, y.Group),
			cmp.Compare(x.Claim.Start, y.Claim.Start), cmp.Compare(x.Verdict.Ref.Ord, y.Verdict.Ref.Ord))
	})
	if b.Correction {
		err = tx.writeCorrection(ctx, conn, b, order)
	} else {
		err = tx.writeClaims(ctx, b.Number, order)
	}
	if err != nil {
		return fmt.Errorf("writing claims: %w", tx.recognize(err))
	}
	for _, r := range order {
		tx.recall(&claim.Identity{Account: r.Account, Partner: r.Claim.Partner, ID: r.Claim.ID})
	}
	fresh, more := usageRows(b.Changed.Usage)
	err = tx.bulk(ctx, balanceRows(postings), fresh, more, slotRows(b.Changed.Slots), historyRows(b.Changed.Kept, b.Correction), totalRows(b.Totals))
	if err != nil {
		return fmt.Errorf("writing what follows from the claims: %w", err)
	}
	return tx.writeRecord(ctx, conn, b)
}

// recognize adds errRecorded to an error by which the table refused an identity that was not looked up.
func (tx *Tx) recognize(err error) error {
	var theirs *pgconn.PgError
	var ours *lite.Error
	if !tx.guarded || !(errors.As(err, &theirs) && theirs.ConstraintName == "claim_identity" || errors.As(err, &ours) && ours.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE) {
		return err
	}
	tx.memory.doubted()
	return errors.Join(errRecorded, err)
}

func (tx *Tx) writeRecord(ctx context.Context, conn *sql.Conn, b *claim.Batch) error {
	leaves := make([]byte, 0, len(b.Leaves)*32)
	accounts := make([]byte, 0, len(b.Leaves)*8)
	for i := range b.Leaves {
		leaves = append(leaves, b.Leaves[i][:]...)
	}
	for i := range b.Reversals {
		accounts = binary.BigEndian.AppendUint64(accounts, uint64(b.Reversals[i].Account))
	}
	for i := range b.Rows {
		accounts = binary.BigEndian.AppendUint64(accounts, uint64(b.Rows[i].Account))
	}
	hash := b.Batch.Hash()
	_, err := conn.ExecContext(ctx, `INSERT INTO batch (part, batch, at, rulebook, backfill, claims, root, totals, prev, hash, leaves, accounts, counts)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)`,
		b.Part, b.Number, b.At, b.Rulebook, kindOf(&b.Batch), len(b.Leaves), b.Root[:], b.Batch.Totals[:], b.Prev[:], hash[:], leaves, accounts, b.Counts.String())
	if err != nil {
		return fmt.Errorf("writing the batch: %w", err)
	}
	if _, err = conn.ExecContext(ctx, "UPDATE partition SET at = $2, hash = $3 WHERE part = $1", b.Part, b.At, hash[:]); err != nil {
		return fmt.Errorf("moving the partition on: %w", err)
	}
	return nil
}

// What stands in a batch's column backfill, which is older than corrections.
const (
	backfilled = 1
	correction = 2
	held       = 4 // it holds its number, and its claims were lost: see HoldBatches
)

func kindOf(b *ledger.Batch) (n int) {
	if b.Backfill {
		n |= backfilled
	}
	if b.Correction {
		n |= correction
	}
	return n
}

// setKind reads what kindOf wrote.
func setKind(b *ledger.Batch, n int) {
	b.Backfill, b.Correction = n&backfilled != 0, n&correction != 0
}

func (tx *Tx) writeClaims(ctx context.Context, batch int64, rows []*claim.Row) error {
	if len(rows) == 0 {
		return nil
	}
	if tx.db.engine == postgres {
		return tx.postgres(func(c *pgx.Conn) error { return copyClaims(ctx, c.PgConn(), tx.Part, batch, rows) })
	}
	return tx.insert(ctx, "claim ("+claimColumns+")", "", 21, len(rows), func(args []any, i int) []any {
		r := rows[i]
		c, v := r.Claim, &r.Verdict
		return append(args, tx.Part, r.Account, r.Group, c.Start, batch, v.Ref.Ord, c.End, r.Link, c.Partner, c.ID, r.Programme, c.Scenario,
			r.Body, v.Method, r.Vintage, string(v.Reason), claim.Operands(&v.Operands), claim.Used(r), int64(r.Holder), v.Milligrams, v.Points)
	})
}

// insert writes rows of width columns into SQLite, in statements of many rows each. A statement that fails leaves behind what
// it did until then (OR FAIL), for the transaction ends with it: to be able to undo the statement alone, SQLite would copy each
// page before it changes it.
func (tx *Tx) insert(ctx context.Context, into, conflict string, width, n int, row func(args []any, i int) []any) error {
	for from := 0; from < n; {
		k := chunkOf(n - from)
		statement, err := tx.desk.prepared(ctx, "INSERT OR FAIL INTO "+into+" VALUES "+values(k, width)+conflict)
		if err != nil {
			return err
		}
		args := make([]any, 0, k*width)
		for i := range k {
			args = row(args, from+i)
		}
		if _, err := statement.ExecContext(ctx, args...); err != nil {
			return err
		}
		from += k
		tx.rows += int64(k)
	}
	return nil
}

// atOnce is how many bytes go to PostgreSQL before its answer is waited for, but for what cannot be divided: the
// kernel has room for as much, and takes it in one call. A server that froze between two would hold its partition for as long
// as it lies there. PostgreSQL calls it silence, and ends it, when it waits for the first message after an answer, but not
// when it waits for the rest of a COPY or of a pipeline.
const atOnce = 64 << 10

// copyClaims has PostgreSQL copy the rows in, in its binary format.
func copyClaims(ctx context.Context, c *pgconn.PgConn, part int, batch int64, rows []*claim.Row) (err error) {
	b := make([]byte, 0, 2*atOnce)
	for len(rows) > 0 {
		if b, err = (&pgproto3.Query{String: "COPY claim (" + claimColumns + ") FROM STDIN (FORMAT binary)"}).Encode(b[:0]); err != nil {
			return err
		}
		b = append(b, 'd', 0, 0, 0, 0) // CopyData, and its length
		data := len(b)
		b = append(b, "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"...)
		for len(rows) > 0 && len(b) < atOnce {
			b = appendCopyRow(b, part, batch, rows[0])
			rows = rows[1:]
		}
		b = binary.BigEndian.AppendUint16(b, 0xffff)
		binary.BigEndian.PutUint32(b[data-4:], uint32(4+len(b)-data))
		if b, err = (&pgproto3.CopyDone{}).Encode(b); err != nil {
			return err
		}
		if err = exchange(ctx, c, b); err != nil {
			break
		}
	}
	if err != nil && !errors.As(err, new(*pgconn.PgError)) {
		c.Close(ctx) // in the middle of an answer: nobody can use it any more
	}
	return err
}

// exchange sends messages and reads the answer to its end.
func exchange(ctx context.Context, c *pgconn.PgConn, messages []byte) error {
	if deadline, ok := ctx.Deadline(); ok {
		c.Conn().SetWriteDeadline(deadline)
		defer c.Conn().SetWriteDeadline(time.Time{})
	}
	if _, err := c.Conn().Write(messages); err != nil {
		return err
	}
	var failed error
	for {
		m, err := c.ReceiveMessage(ctx)
		if err != nil {
			return err
		}
		switch m := m.(type) {
		case *pgproto3.ErrorResponse:
			failed = pgconn.ErrorResponseToPgError(m)
		case *pgproto3.ReadyForQuery:
			return failed
		}
	}
}

func appendCopyRow(b []byte, part int, batch int64, r *claim.Row) []byte {
	c, v := r.Claim, &r.Verdict
	b = binary.BigEndian.AppendUint16(b, 21)
	b = copyInt4(b, part)
	b = copyInt8(b, r.Account)
	b = copyText(b, r.Group)
	b = copyInt8(b, c.Start)
	b = copyInt8(b, batch)
	b = copyInt4(b, v.Ref.Ord)
	b = copyInt8(b, c.End)
	b = copyInt4(b, r.Link)
	for _, s := range [...]string{c.Partner, c.ID, r.Programme, c.Scenario, r.Body, v.Method, r.Vintage,
		string(v.Reason), claim.Operands(&v.Operands), claim.Used(r)} {
		b = copyText(b, s)
	}
	b = copyInt8(b, int64(r.Holder))
	b = copyInt8(b, v.Milligrams)
	return copyInt8(b, v.Points)
}

func copyInt4(b []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(append(b, 0, 0, 0, 4), uint32(n))
}

func copyInt8(b []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(n))
}

func copyText(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...)
}

// A bulk write puts many rows into one table. PostgreSQL takes arrays, SQLite tuples.
type bulk struct {
	table    string
	columns  string // and their PostgreSQL types, without part, which comes first
	conflict string // "" where there can be none
	args     []any  // the rows, a slice a column
}

// into names the table and the columns, as both engines insert into them.
func (w *bulk) into() string {
	return w.table + " (part, " + strings.Join(names(w.columns), ", ") + ")"
}

func (tx *Tx) bulk(ctx context.Context, writes ...*bulk) error {
	writes = slices.DeleteFunc(writes, func(w *bulk) bool { return length(w.args) == 0 })
	if tx.db.engine == postgres {
		return tx.postgres(func(c *pgx.Conn) error { return bulkPostgres(ctx, c, tx.Part, writes) })
	}
	for _, w := range writes {
		err := tx.insert(ctx, w.into(), w.conflict, 1+len(w.args), length(w.args), func(args []any, i int) []any {
			return appendRow(append(args, tx.Part), w.args, i)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", w.table, err)
		}
	}
	return nil
}

func bulkPostgres(ctx context.Context, c *pgx.Conn, part int, writes []*bulk) error {
	for _, some := range portions(writes, func(w *bulk) []any { return w.args }) {
		var batch pgx.Batch
		for _, w := range some {
			batch.Queue("INSERT INTO "+w.into()+" SELECT $1, k.* FROM "+unnest(w.columns)+w.conflict, append([]any{part}, w.args...)...)
		}
		if err := c.SendBatch(ctx, &batch).Close(); err != nil {
			return err
		}
	}
	return nil
}

// portions divides statements, whose arguments are columns, into pipelines of which each is sent at once. A statement that is
// larger stands alone: its arguments are the first message.
func portions[S any](statements []S, args func(S) []any) (list [][]S) {
	size := 0
	for i := range statements {
		n := bytesOf(args(statements[i]))
		if size += n; i == 0 || size > atOnce {
			list, size = append(list, nil), n
		}
		last := &list[len(list)-1]
		*last = append(*last, statements[i])
	}
	return list
}

// bytesOf is how long columns are on their way to PostgreSQL.
func bytesOf(columns []any) (n int) {
	for _, column := range columns {
		switch c := column.(type) {
		case []int64:
			n += 12 * len(c)
		case []string:
			for _, s := range c {
				n += 4 + len(s)
			}
		case [][]byte:
			for _, b := range c {
				n += 4 + len(b)
			}
		}
	}
	return n
}

func balanceRows(postings []ledger.Posting) *bulk {
	return &bulk{
		table: "balance", columns: "holder bigint, asset text, amount bigint",
		conflict: " ON CONFLICT (part, holder, asset) DO UPDATE SET amount = balance.amount + excluded.amount",
		args: []any{
			column(postings, func(p *ledger.Posting) int64 { return int64(p.Holder) }),
			column(postings, func(p *ledger.Posting) string { return string(p.Asset) }),
			column(postings, func(p *ledger.Posting) int64 { return p.Amount }),
		},
	}
}

// usageRows writes the usage of periods that have no row yet apart from those that have, because looking
// for a conflict costs as much as the row.
func usageRows(changed map[claim.Period]claim.Usage) (fresh, more *bulk) {
	keys := sorted(changed, func(a, b claim.Period) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), strings.Compare(a.Method, b.Method), strings.Compare(a.Name, b.Name))
	})
	of := func(stored bool, conflict string) *bulk {
		some := slices.DeleteFunc(slices.Clone(keys), func(k claim.Period) bool { return changed[k].Stored != stored })
		return &bulk{
			table: "usage", columns: "account bigint, method text, period text, used text", conflict: conflict,
			args: []any{
				column(some, func(k *claim.Period) int64 { return k.Account }),
				column(some, func(k *claim.Period) string { return k.Method }),
				column(some, func(k *claim.Period) string { return k.Name }),
				column(some, func(k *claim.Period) string { return changed[*k].String() }),
			},
		}
	}
	return of(false, ""), of(true, " ON CONFLICT (part, account, method, period) DO UPDATE SET used = excluded.used")
}

func slotRows(changed map[claim.Slot]claim.Counted) *bulk {
	keys := sorted(changed, func(a, b claim.Slot) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), strings.Compare(a.Group, b.Group), strings.Compare(a.Key, b.Key))
	})
	return &bulk{
		table: "slot", columns: "account bigint, grp text, key text, greatest bigint, included bigint, partner text",
		conflict: " ON CONFLICT (part, account, grp, key) DO UPDATE SET greatest = excluded.greatest, included = excluded.included, partner = excluded.partner",
		args: []any{
			column(keys, func(k *claim.Slot) int64 { return k.Account }),
			column(keys, func(k *claim.Slot) string { return k.Group }),
			column(keys, func(k *claim.Slot) string { return k.Key }),
			column(keys, func(k *claim.Slot) int64 { return changed[*k].Greatest }),
			column(keys, func(k *claim.Slot) int64 { return changed[*k].Included }),
			column(keys, func(k *claim.Slot) string { return changed[*k].By }),
		},
	}
}

// historyRows writes values that are kept. Only a correction puts one in the place of another.
func historyRows(kept map[claim.Kept]quantity.Rat, again bool) *bulk {
	conflict := ""
	if again {
		conflict = " ON CONFLICT (part, account, method, input, object, period) DO UPDATE SET value = excluded.value"
	}
	keys := sorted(kept, func(x, y claim.Kept) int {
		return cmp.Or(cmp.Compare(x.Account, y.Account), strings.Compare(x.Method, y.Method), strings.Compare(x.Input, y.Input),
			strings.Compare(x.Object, y.Object), strings.Compare(x.Period, y.Period))
	})
	return &bulk{
		table: "history", columns: "account bigint, method text, input text, object text, period text, value text", conflict: conflict,
		args: []any{
			column(keys, func(k *claim.Kept) int64 { return k.Account }),
			column(keys, func(k *claim.Kept) string { return k.Method }),
			column(keys, func(k *claim.Kept) string { return k.Input }),
			column(keys, func(k *claim.Kept) string { return k.Object }),
			column(keys, func(k *claim.Kept) string { return k.Period }),
			column(keys, func(k *claim.Kept) string { return kept[*k].String() }),
		},
	}
}

func totalRows(totals []claim.Total) *bulk {
	return &bulk{
		table: "day_total", columns: "programme text, day text, method text, vintage text, reason text, claims bigint, mg bigint, points bigint",
		conflict: " ON CONFLICT (part, programme, day, method, vintage, reason) DO UPDATE SET claims = day_total.claims + excluded.claims, " +
			"mg = day_total.mg + excluded.mg, points = day_total.points + excluded.points",
		args: []any{
			column(totals, func(t *claim.Total) string { return t.Programme }),
			column(totals, func(t *claim.Total) string { return t.Day }),
			column(totals, func(t *claim.Total) string { return t.Method }),
			column(totals, func(t *claim.Total) string { return t.Vintage }),
			column(totals, func(t *claim.Total) string { return string(t.Reason) }),
			column(totals, func(t *claim.Total) int64 { return t.Claims }),
			column(totals, func(t *claim.Total) int64 { return t.Milligrams }),
			column(totals, func(t *claim.Total) int64 { return t.Points }),
		},
	}
}

// sorted lists a map's keys as their table is clustered.
func sorted[K comparable, V any](m map[K]V, compare func(a, b K) int) []K {
	return slices.SortedFunc(maps.Keys(m), compare)
}
