package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/record"
)

// A Snapshot is one partition as it stood at one moment. It is read beside whoever writes: it sees
// nothing of what comes later, and holds nobody up.
type Snapshot struct {
	Part     int
	Next     int64  // all batches below it are in the snapshot
	At       int64  // instant of the last batch, µs UTC
	Hash     []byte // of the last batch
	Accounts int64  // how many were opened
	Consents int64  // all consents below it are in the snapshot
	Erasures int64  // and all erasures

	Forgotten bool // acts of erased people are to be asked for
	Secret    []byte

	db   *DB
	conn *sql.Conn
}

// Snapshot runs f on one partition as it stands now.
func (db *DB) Snapshot(ctx context.Context, part int, f func(*Snapshot) error) error {
	conn, err := db.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	s := &Snapshot{Part: part, db: db, conn: conn}
	if err := s.begin(ctx); err != nil {
		return errors.Join(fmt.Errorf("looking at partition %d: %w", part, err), s.end())
	}
	return errors.Join(f(s), s.end())
}

func (s *Snapshot) begin(ctx context.Context) error {
	if err := s.open(ctx); err != nil {
		return err
	}
	return s.conn.QueryRowContext(ctx, "SELECT next, at, hash, accounts, consents, erasures, forgotten <> 0, secret FROM partition WHERE part = $1", s.Part).
		Scan(&s.Next, &s.At, &s.Hash, &s.Accounts, &s.Consents, &s.Erasures, &s.Forgotten, &s.Secret)
}

// open begins the transaction; what it sees is what stood when it first reads.
func (s *Snapshot) open(ctx context.Context) error {
	begin := "BEGIN" // in WAL mode
	if s.db.engine == postgres {
		// A table that nobody has counted yet must not be read from end to end for a few accounts.
		begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_seqscan = off; SET LOCAL jit = off"
	}
	_, err := s.conn.ExecContext(ctx, begin)
	return err
}

func (s *Snapshot) end() error {
	_, err := s.conn.ExecContext(context.Background(), "ROLLBACK")
	if err != nil {
		s.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return err
}

// A raw row is one as the engine hands it over, good until the next one. Half a billion values go
// through here in an audit of 20 million claims, so they skip what database/sql does for each.
type raw struct {
	sqlite   []driver.Value
	postgres [][]byte
	words    map[string]string
	split    []string
}

func (r *raw) integer(i int) int64 {
	if r.sqlite != nil {
		n, _ := r.sqlite[i].(int64) // tables are STRICT
		return n
	}
	n, _ := strconv.ParseInt(string(r.postgres[i]), 10, 64)
	return n
}

func (r *raw) text(i int) string {
	if r.sqlite != nil {
		s, _ := r.sqlite[i].(string)
		return s
	}
	return string(r.postgres[i])
}

// maxWords bounds how many recurring texts are kept.
const maxWords = 4096

// word is text that recurs, such as a partner: on PostgreSQL it is made once.
func (r *raw) word(i int) string {
	if r.sqlite != nil {
		return r.text(i)
	}
	w, ok := r.words[string(r.postgres[i])]
	if !ok {
		w = string(r.postgres[i])
		if len(r.words) < maxWords {
			r.words[w] = w
		}
	}
	return w
}

// texts are n columns of text from the i-th on; the first of them are words. On SQLite they come as one,
// parted by NULs; nil when a text holds one itself.
func (r *raw) texts(i, n int) []string {
	r.split = r.split[:0]
	if r.sqlite == nil {
		for k := range n {
			if k < recurring {
				r.split = append(r.split, r.word(i+k))
			} else {
				r.split = append(r.split, r.text(i+k))
			}
		}
		return r.split
	}
	for rest, more := r.text(i), true; more; {
		var t string
		t, rest, more = strings.Cut(rest, "\x00")
		if len(r.split) < recurring {
			t = r.kept(t)
		}
		r.split = append(r.split, t)
	}
	if len(r.split) != n {
		return nil
	}
	return r.split
}

// kept returns the one copy of a text that recurs.
func (r *raw) kept(t string) string {
	w, ok := r.words[t]
	if !ok {
		w = strings.Clone(t)
		if len(r.words) < maxWords {
			r.words[w] = w
		}
	}
	return w
}

func (r *raw) bytes(i int) []byte {
	if r.sqlite != nil {
		b, _ := r.sqlite[i].([]byte)
		return b
	}
	return r.postgres[i]
}

// hash is zero for what has not the length of one.
func (r *raw) hash(i int) (h ledger.Hash) {
	if b := r.bytes(i); len(b) == len(h) {
		copy(h[:], b)
	}
	return h
}

// each runs f on every row of a query.
func (s *Snapshot) each(ctx context.Context, f func(*raw), query string, args ...int64) error {
	return s.conn.Raw(func(c any) error {
		if s.db.engine == postgres {
			return eachPostgres(ctx, unwrapPgx(c), f, query, args)
		}
		return eachSQLite(ctx, c.(driver.QueryerContext), f, query, args)
	})
}

func eachPostgres(ctx context.Context, c *pgx.Conn, f func(*raw), query string, args []int64) error {
	// As text: to send a value in binary, PostgreSQL first takes a kilobyte for it.
	given := []any{pgx.QueryResultFormatsByOID{pgtype.ByteaOID: pgx.BinaryFormatCode}}
	for _, a := range args {
		given = append(given, a)
	}
	rows, err := c.Query(ctx, query, given...)
	if err != nil {
		return err
	}
	defer rows.Close()
	r := raw{words: map[string]string{}}
	for rows.Next() {
		r.postgres = rows.RawValues()
		f(&r)
	}
	return rows.Err()
}

func eachSQLite(ctx context.Context, c driver.QueryerContext, f func(*raw), query string, args []int64) error {
	given := make([]driver.NamedValue, len(args))
	for i, a := range args {
		given[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
	}
	rows, err := c.QueryContext(ctx, query, given)
	if err != nil {
		return err
	}
	r := raw{sqlite: make([]driver.Value, len(rows.Columns())), words: map[string]string{}}
	for err == nil {
		if err = rows.Next(r.sqlite); err == nil {
			f(&r)
		}
	}
	if err == io.EOF {
		err = ctx.Err()
	}
	return errors.Join(err, rows.Close())
}

// A BatchRow is a batch as it is recorded. A hash that has not the length of one reads as zero.
type BatchRow struct {
	ledger.Batch
	Held     bool // its claims were lost, and it has none
	Claims   int64
	Hash     ledger.Hash
	Leaves   []byte // good until the next row; so are Accounts
	Accounts []byte
	Counts   string
}

// Batches runs f on the partition's batches in order.
func (s *Snapshot) Batches(ctx context.Context, f func(*BatchRow)) error {
	return s.each(ctx, func(r *raw) {
		b := BatchRow{
			Batch: ledger.Batch{Part: s.Part, Number: r.integer(0), At: r.integer(1), Rulebook: r.integer(2),
				Root: r.hash(5), Totals: r.hash(6), Prev: r.hash(7)},
			Claims: r.integer(4), Hash: r.hash(8), Leaves: r.bytes(9), Accounts: r.bytes(10), Counts: r.text(11),
		}
		setKind(&b.Batch, int(r.integer(3)))
		b.Held = r.integer(3)&held != 0
		f(&b)
	}, `SELECT batch, at, rulebook, backfill, claims, root, totals, prev, hash, leaves, accounts, counts
		FROM batch WHERE part = $1 ORDER BY batch`, int64(s.Part))
}

// A ConsentRow is the links that were granted or ended in one transaction, as the log has them. A root that has
// not the length of a hash reads as zero.
type ConsentRow struct {
	Number, At int64
	Root       ledger.Hash
	Leaves     []byte // 32 bytes each; good until the next row, as are Links
	Links      []byte // in the same order, 13 bytes each; see Consented
}

// A Consented link is whose leaf it is, and whether it was granted or ended.
type Consented struct {
	Account claim.Number
	Link    int
	Ended   bool
}

// consentedSize is that of a link in a ConsentRow.
const consentedSize = 8 + 4 + 1

// Consented takes a row apart; false where its leaves and links do not go together.
func (c *ConsentRow) Consented() ([]Consented, bool) {
	n := len(c.Leaves) / len(ledger.Hash{})
	if len(c.Leaves) != n*len(ledger.Hash{}) || len(c.Links) != n*consentedSize || n == 0 {
		return nil, false
	}
	list := make([]Consented, n)
	for i := range list {
		b := c.Links[i*consentedSize : (i+1)*consentedSize]
		if b[12] > 1 {
			return nil, false
		}
		list[i] = Consented{int64(binary.BigEndian.Uint64(b)), int(binary.BigEndian.Uint32(b[8:])), b[12] == 1}
	}
	return list, true
}

// Held reports whether the row holds its number, and its links were lost.
func (c *ConsentRow) Held() bool { return len(c.Leaves) == 0 && len(c.Links) == 0 }

// Losses runs f on what was lost of the partition, in order.
func (s *Snapshot) Losses(ctx context.Context, f func(record.Lost)) error {
	return s.each(ctx, func(r *raw) {
		f(record.Lost{Type: record.LostType, Part: s.Part, Number: r.integer(0), At: r.integer(1), Of: r.word(2), From: r.integer(3), To: r.integer(4)})
	}, "SELECT number, at, stream, first, last FROM lost WHERE part = $1 ORDER BY number", int64(s.Part))
}

// EachConsent runs f on the partition's consents in order.
func (s *Snapshot) EachConsent(ctx context.Context, f func(*ConsentRow)) error {
	return s.each(ctx, func(r *raw) {
		f(&ConsentRow{Number: r.integer(0), At: r.integer(1), Root: r.hash(2), Leaves: r.bytes(3), Links: r.bytes(4)})
	}, "SELECT number, at, root, leaves, links FROM consent WHERE part = $1 ORDER BY number", int64(s.Part))
}

// EachErasure runs f on the partition's erasures in order.
func (s *Snapshot) EachErasure(ctx context.Context, f func(*Erasure)) error {
	return s.each(ctx, func(r *raw) {
		f(&Erasure{Part: s.Part, Number: r.integer(0), At: r.integer(1), Account: r.hash(2), Removed: r.hash(3), Restored: r.integer(4) != 0})
	}, "SELECT number, at, account, removed, restored FROM erasure WHERE part = $1 ORDER BY number", int64(s.Part))
}

// Erasing lists the accounts that are being erased.
func (s *Snapshot) Erasing(ctx context.Context) (map[claim.Number]bool, error) {
	list := map[claim.Number]bool{}
	err := s.each(ctx, func(r *raw) { list[r.integer(0)] = true }, "SELECT account FROM erasing WHERE part = $1", int64(s.Part))
	return list, err
}

// Removed runs f on what erasures took out of the partition's batches, batch by batch.
func (s *Snapshot) Removed(ctx context.Context, f func(claim.Removed)) error {
	return s.each(ctx, func(r *raw) {
		f(claim.Removed{Batch: r.integer(0), Programme: r.word(1), Method: r.word(2), Vintage: r.word(3), Reason: reason.Code(r.word(4)),
			Places: r.integer(5), Claims: r.integer(6), Milligrams: r.integer(7), Points: r.integer(8)})
	}, "SELECT batch, programme, method, vintage, reason, places, claims, mg, points FROM removed WHERE part = $1 ORDER BY batch", int64(s.Part))
}

// RemovedPostings runs f on what the claims that erasures removed had posted, batch by batch.
func (s *Snapshot) RemovedPostings(ctx context.Context, f func(claim.RemovedPosting)) error {
	return s.each(ctx, func(r *raw) {
		f(claim.RemovedPosting{Batch: r.integer(0), Holder: ledger.Holder(r.integer(1)), Asset: ledger.Asset(r.word(2)), Amount: r.integer(3)})
	}, "SELECT batch, holder, asset, amount FROM removed_posting WHERE part = $1 ORDER BY batch", int64(s.Part))
}

// Records runs f on the records of the partition's batches up to one, in order: without leaves and accounts,
// and without hashes but their own.
func (s *Snapshot) Records(ctx context.Context, upTo int64, f func(*BatchRow)) error {
	return s.each(ctx, func(r *raw) {
		b := BatchRow{Batch: ledger.Batch{Part: s.Part, Number: r.integer(0), At: r.integer(1), Rulebook: r.integer(2)},
			Claims: r.integer(4), Hash: r.hash(5), Counts: r.text(6)}
		setKind(&b.Batch, int(r.integer(3)))
		f(&b)
	}, "SELECT batch, at, rulebook, backfill, claims, hash, counts FROM batch WHERE part = $1 AND batch <= $2 ORDER BY batch", int64(s.Part), upTo)
}

// A Range is accounts by number, both ends included.
type Range struct{ From, To claim.Number }

func (s *Snapshot) within(ctx context.Context, in Range, f func(*raw), query string) error {
	return s.each(ctx, f, query, int64(s.Part), in.From, in.To)
}

// Opened runs f on the accounts in a range, with their keys; an account whose key is gone has none.
func (s *Snapshot) Opened(ctx context.Context, in Range, f func(account claim.Number, key []byte)) error {
	return s.within(ctx, in, func(r *raw) { f(r.integer(0), r.bytes(1)) },
		`SELECT a.account, k.key FROM account a LEFT JOIN account_key k ON k.part = a.part AND k.account = a.account
		WHERE a.part = $1 AND a.account BETWEEN $2 AND $3`)
}

// Links runs f on the links of accounts in a range, those that have ended included, and when each was granted.
// They have neither keys nor objects.
func (s *Snapshot) Links(ctx context.Context, in Range, f func(l *claim.Link, granted int64)) error {
	return s.within(ctx, in, func(r *raw) {
		at := seat{r.integer(0), int(r.integer(1))}
		f(&claim.Link{Sub: s.db.sub(s.Part, at), Account: at.account, Number: at.link, Programme: r.word(2), Partner: r.word(3),
			Scenarios: words(r.text(4)), Purposes: words(r.text(5)), Since: r.integer(6), Granted: r.integer(8), Revoked: r.integer(7)}, r.integer(8))
	}, `SELECT account, link, programme, partner, scenarios, purposes, since, revoked, granted
		FROM link WHERE part = $1 AND account BETWEEN $2 AND $3`)
}

// Objects runs f on the objects of accounts in a range, with the instant from which they are theirs.
func (s *Snapshot) Objects(ctx context.Context, in Range, f func(account claim.Number, object string, at int64)) error {
	return s.within(ctx, in, func(r *raw) { f(r.integer(0), r.text(1), r.integer(2)) },
		"SELECT account, object, at FROM account_object WHERE part = $1 AND account BETWEEN $2 AND $3")
}

// Claims runs f on the claims of accounts in a range, account by account. Their operands, and the fields
// that the body tells of, are not taken apart.
func (s *Snapshot) Claims(ctx context.Context, in Range, f func(*ClaimRow)) error {
	const order = " FROM claim WHERE part = $1 AND account BETWEEN $2 AND $3 ORDER BY account"
	texts := claimTexts
	if s.db.engine == sqlite {
		// Every column that SQLite hands over costs several locks and an allocation: one column costs a third.
		texts = "concat_ws(char(0), " + texts + ")"
	}
	var c ClaimRow
	var broken error
	err := s.within(ctx, in, func(r *raw) {
		const at = 10
		t := r.texts(at, 11)
		if t == nil {
			broken = fmt.Errorf("a claim of batch %d.%d holds a NUL, which no text of a claim can", s.Part, r.integer(2))
			return
		}
		v := &c.Verdict
		c.Account, c.Start, c.End, c.Holder = r.integer(0), r.integer(1), r.integer(4), ledger.Holder(r.integer(5))
		v.Ref = claim.Ref{Part: s.Part, Batch: r.integer(2), Ord: int(r.integer(3))}
		v.Milligrams, v.Points = r.integer(6), r.integer(7)
		c.Group, c.Partner, c.Programme, c.Scenario, v.Method, c.Vintage, v.Reason = t[0], t[1], t[2], t[3], t[4], t[5], reason.Code(t[6])
		c.ID, c.Body, c.Operands, c.Used = t[7], t[8], t[9], t[10]
		c.Link = int(r.integer(8))
		c.Reversed, c.Times = r.integer(9)>>16, int(r.integer(9)&0xffff)
		c.Sub = s.db.sub(s.Part, seat{c.Account, c.Link})
		f(&c)
	}, "SELECT account, start, batch, ord, finish, holder, mg, points, link, (reversed << 16) | again, "+texts+order)
	return errors.Join(err, broken)
}

// Reversals runs f on the reversals of claims of accounts in a range.
func (s *Snapshot) Reversals(ctx context.Context, in Range, f func(claim.Reversal)) error {
	return s.within(ctx, in, func(r *raw) {
		v := claim.Reversal{Account: r.integer(0), Milligrams: r.integer(5), Points: r.integer(6), OwedMilligrams: r.integer(7), OwedPoints: r.integer(8),
			Next: int(r.integer(9)), Basis: claim.Basis{At: r.integer(10), Rulebook: r.integer(11), Backfill: r.integer(12) != 0, Restated: r.integer(13)},
			Why: claim.Why(r.word(14)), By: r.word(15), Reason: strings.Clone(r.text(16))}
		v.Ref = claim.Ref{Part: s.Part, Batch: r.integer(1), Ord: int(r.integer(2))}
		v.Of = claim.Ref{Part: s.Part, Batch: r.integer(3), Ord: int(r.integer(4))}
		f(v)
	}, `SELECT account, batch, ord, of_batch, of_ord, mg, points, owed_mg, owed_points, next_ord, next_at, next_rulebook, next_backfill, next_restated, why, who, reason
		FROM reversal WHERE part = $1 AND account BETWEEN $2 AND $3 ORDER BY account, batch, ord`)
}

// claimTexts are a claim's texts, those that recur first.
const (
	claimTexts = "grp, partner, programme, scenario, method, vintage, reason, id, body, operands, used"
	recurring  = 7
)

// Balances runs f on the balances of holders in a range; those of the counter-accounts are below 1.
func (s *Snapshot) Balances(ctx context.Context, in Range, f func(ledger.Key, int64)) error {
	return s.within(ctx, in, func(r *raw) {
		f(ledger.Key{Holder: ledger.Holder(r.integer(0)), Asset: ledger.Asset(r.word(1))}, r.integer(2))
	}, "SELECT holder, asset, amount FROM balance WHERE part = $1 AND holder BETWEEN $2 AND $3")
}

// Usage runs f on the usage of accounts in a range, in its canonical text.
func (s *Snapshot) Usage(ctx context.Context, in Range, f func(claim.Period, string)) error {
	return s.within(ctx, in, func(r *raw) {
		f(claim.Period{Account: r.integer(0), Method: r.word(1), Name: r.word(2)}, r.text(3))
	}, "SELECT account, method, period, used FROM usage WHERE part = $1 AND account BETWEEN $2 AND $3")
}

// Slots runs f on the slots of accounts in a range.
func (s *Snapshot) Slots(ctx context.Context, in Range, f func(claim.Slot, claim.Counted)) error {
	return s.within(ctx, in, func(r *raw) {
		f(claim.Slot{Account: r.integer(0), Group: r.word(1), Key: r.text(2)},
			claim.Counted{Greatest: r.integer(3), Included: r.integer(4), By: r.word(5)})
	}, "SELECT account, grp, key, greatest, included, partner FROM slot WHERE part = $1 AND account BETWEEN $2 AND $3")
}

// History runs f on the kept values of accounts in a range, in their canonical text.
func (s *Snapshot) History(ctx context.Context, in Range, f func(claim.Kept, string)) error {
	return s.within(ctx, in, func(r *raw) {
		f(claim.Kept{Account: r.integer(0), Method: r.word(1), Input: r.word(2), Object: r.text(3), Period: r.word(4)}, r.text(5))
	}, "SELECT account, method, input, object, period, value FROM history WHERE part = $1 AND account BETWEEN $2 AND $3")
}

// DayTotals runs f on the partition's day totals.
func (s *Snapshot) DayTotals(ctx context.Context, f func(claim.Total)) error {
	return s.each(ctx, func(r *raw) {
		f(claim.Total{Programme: r.word(0), Day: r.word(1), Method: r.word(2), Vintage: r.word(3), Reason: reason.Code(r.word(4)),
			Claims: r.integer(5), Milligrams: r.integer(6), Points: r.integer(7)})
	}, "SELECT programme, day, method, vintage, reason, claims, mg, points FROM day_total WHERE part = $1", int64(s.Part))
}

// AccountCount is how many accounts were opened.
func (db *DB) AccountCount(ctx context.Context) (n int64, err error) {
	err = db.read.QueryRowContext(ctx, "SELECT coalesce(sum(accounts), 0) FROM partition").Scan(&n)
	return n, err
}
