package store

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
)

// Erase is Update with the right to take away what is recorded of one account, in whatever partition it lies. On
// PostgreSQL the transaction takes on a role of its own for that, which the server's login must have been granted. On
// SQLite the account is marked as open for as long as the transaction lasts, without which triggers refuse; and what is
// deleted is overwritten.
func (db *DB) Erase(ctx context.Context, part int, clock int64, of AccountID, f func(*Tx) error) error {
	return db.update(ctx, part, clock, 0, func(tx *Tx) error {
		conn, err := tx.writer(ctx)
		if err != nil {
			return err
		}
		tx.erases = of
		if db.engine == postgres {
			if err := db.takeRight(ctx, conn); err != nil {
				return err
			}
			return f(tx)
		}
		if _, err := conn.ExecContext(ctx, "PRAGMA secure_delete = ON"); err != nil {
			return err
		}
		defer conn.ExecContext(context.WithoutCancel(ctx), "PRAGMA secure_delete = OFF")
		if err := tx.open(ctx, conn, 1); err != nil {
			return err
		}
		if err := f(tx); err != nil {
			return err
		}
		return tx.open(ctx, conn, 0)
	})
}

// takeRight takes on the role that may erase, for the rest of PostgreSQL's transaction.
func (db *DB) takeRight(ctx context.Context, q interface {
	ExecContext(context.Context, string, ...any) (sql.Result, error)
}) error {
	_, err := q.ExecContext(ctx, "SET LOCAL ROLE "+pgx.Identifier{db.eraser()}.Sanitize())
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) && e.Code == "42501" { // insufficient_privilege
		return fault.New(fault.Forbidden, "the login of this server has not been granted the role %s, which is the right to erase; run tanpu erase with one that has", db.eraser())
	}
	return err
}

// open lets the account's rows be taken away, or no longer. One that is not being erased stays as it is.
func (tx *Tx) open(ctx context.Context, conn *sql.Conn, open int) error {
	_, err := conn.ExecContext(ctx, "UPDATE erasing SET open = $3 WHERE part = $1 AND account = $2", tx.erases.Part, tx.erases.Number, open)
	return err
}

// An Erasure is that of an account, as the log has it.
type Erasure struct {
	Part     int
	Number   int64 // in its partition, from 1
	At       claim.Micros
	Account  ledger.Hash // claim.ErasedName
	Removed  ledger.Hash // claim.CommitRemoved
	Restored bool        // again, after an older backup had been restored: Removed is what it was then
}

var (
	errErased  = fault.New(fault.Gone, "the account was erased")
	errErasing = fault.New(fault.Conflict, "the account is being erased")
)

// BeginErasing notes that an account is being erased, and ends its links: from then on nothing more is recorded of it. An
// account that was erased before is told instead. The error is fault.NotFound where there is none.
func (tx *Tx) BeginErasing(ctx context.Context) (before *Erasure, err error) {
	n := tx.erases.Number
	if _, err := tx.keyOf(ctx, n); err != nil {
		return nil, err
	}
	if before, err := tx.Erased(ctx); err != nil || before != nil {
		return before, err
	}
	if err := tx.noteErasing(ctx); err != nil {
		return nil, err
	}
	return nil, tx.endLinks(ctx, n)
}

func (tx *Tx) noteErasing(ctx context.Context) error {
	conn, err := tx.writer(ctx)
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "INSERT INTO erasing (part, account, at, open) VALUES ($1, $2, $3, 0) ON CONFLICT (part, account) DO NOTHING",
		tx.Part, tx.erases.Number, tx.Now)
	if err != nil || tx.db.engine == postgres {
		return err
	}
	return tx.open(ctx, conn, 1)
}

// Erased tells of the erasure of the account, in its partition; nil where it was not erased, or is to be again because a
// backup from before was restored.
func (tx *Tx) Erased(ctx context.Context) (*Erasure, error) {
	var begun bool
	err := tx.desk.conn.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM erasing WHERE part = $1 AND account = $2)", tx.erases.Part, tx.erases.Number).Scan(&begun)
	if err != nil || begun {
		return nil, err
	}
	return tx.noted(ctx)
}

// noted is the row that tells of the account's erasure; nil for none.
func (tx *Tx) noted(ctx context.Context) (*Erasure, error) {
	name := claim.ErasedName(tx.erases.Number, tx.Secret)
	e := &Erasure{Part: tx.Part, Account: name}
	var removed []byte
	err := tx.desk.conn.QueryRowContext(ctx, "SELECT number, at, removed, restored <> 0 FROM erasure WHERE part = $1 AND account = $2", tx.Part, name[:]).
		Scan(&e.Number, &e.At, &removed, &e.Restored)
	copy(e.Removed[:], removed)
	if found, err := oneRow(err); err != nil || !found {
		return nil, err
	}
	return e, nil
}

// endLinks ends those of an account's links that are in force.
func (tx *Tx) endLinks(ctx context.Context, n claim.Number) error {
	var links []claim.Link
	err := tx.each(ctx, n, "SELECT link, programme, partner, scenarios, purposes, since FROM link WHERE part = $1 AND account = $2 AND revoked = 0 ORDER BY link", func(scan func(...any) error) error {
		l := claim.Link{Account: n}
		var scenarios, purposes string
		err := scan(&l.Number, &l.Programme, &l.Partner, &scenarios, &purposes, &l.Since)
		l.Scenarios, l.Purposes = words(scenarios), words(purposes)
		l.Sub = tx.db.sub(tx.Part, seat{n, l.Number})
		links = append(links, l)
		return err
	})
	if err != nil || len(links) == 0 {
		return err
	}
	if err := tx.keys(ctx, links); err != nil {
		return err
	}
	conn, err := tx.writer(ctx)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "UPDATE link SET revoked = $3 WHERE part = $1 AND account = $2 AND revoked = 0", tx.Part, n, tx.Now); err != nil {
		return fmt.Errorf("ending links: %w", err)
	}
	row, err := tx.consent(ctx, links, true)
	if err != nil {
		return err
	}
	return tx.bulk(ctx, row)
}

// Erasing lists the accounts whose erasure was begun and has not ended.
func (db *DB) Erasing(ctx context.Context) (list []AccountID, err error) {
	err = eachRow(ctx, db.read, func(scan func(...any) error) error {
		var id AccountID
		err := scan(&id.Part, &id.Number)
		list = append(list, id)
		return err
	}, "SELECT part, account FROM erasing ORDER BY part, account")
	return list, err
}

// Tied lists the partitions in which a request or an object is noted as an account's.
func (db *DB) Tied(ctx context.Context, id AccountID) (parts []int, err error) {
	for _, query := range []string{
		"SELECT DISTINCT part FROM request WHERE owner_part = $1 AND owner = $2",
		"SELECT DISTINCT part FROM object WHERE owner_part = $1 AND owner = $2",
	} {
		err := eachRow(ctx, db.read, func(scan func(...any) error) error {
			var part int
			err := scan(&part)
			parts = append(parts, part)
			return err
		}, query, id.Part, id.Number)
		if err != nil {
			return nil, fmt.Errorf("looking for what is tied to account %s: %w", id, err)
		}
	}
	slices.Sort(parts)
	return slices.Compact(parts), nil
}

// Untie takes the account out of this partition's requests and objects. A request's key stays taken, so that the same
// request, sent again, does not bring the person back.
func (tx *Tx) Untie(ctx context.Context) error {
	conn, err := tx.writer(ctx)
	if err != nil {
		return err
	}
	of := tx.erases
	for _, statement := range []string{
		"DELETE FROM request WHERE part = $1 AND owner_part = $2 AND owner = $3 AND step = " + fmt.Sprint(granted),
		"DELETE FROM object WHERE part = $1 AND owner_part = $2 AND owner = $3",
	} {
		if _, err := conn.ExecContext(ctx, statement, tx.Part, of.Part, of.Number); err != nil {
			return fmt.Errorf("untying account %s: %w", of, err)
		}
	}
	_, err = conn.ExecContext(ctx, "UPDATE request SET owner_part = 0, owner = 0, link = 0, content = $4 WHERE part = $1 AND owner_part = $2 AND owner = $3", tx.Part, of.Part, of.Number, []byte{})
	if err != nil {
		return fmt.Errorf("untying account %s: %w", of, err)
	}
	return nil
}

// A Saying is claims of one signed request, by their places in it.
type Saying struct {
	Root   ledger.Hash
	Places []int
}

// Sayings finds in which signed requests claims of a partition were said. They are by the partition that each request
// is kept in.
func (db *DB) Sayings(ctx context.Context, part int, claims map[int64][]int) (map[int][]Saying, error) {
	by := map[ledger.Hash][]int{}
	for _, batch := range slices.Sorted(maps.Keys(claims)) {
		err := eachRow(ctx, db.read, func(scan func(...any) error) error {
			var root, places []byte
			if err := scan(&root, &places); err != nil {
				return err
			}
			for _, ord := range claims[batch] {
				if i, ok := indexIn(places, ord); ok && len(root) == len(ledger.Hash{}) {
					by[ledger.Hash(root)] = append(by[ledger.Hash(root)], i)
				}
			}
			return nil
		}, "SELECT root, places FROM testimony_batch WHERE part = $1 AND batch = $2", part, batch)
		if err != nil {
			return nil, fmt.Errorf("looking for what was signed: %w", err)
		}
	}
	sayings := map[int][]Saying{}
	roots := slices.SortedFunc(maps.Keys(by), func(a, b ledger.Hash) int { return bytes.Compare(a[:], b[:]) })
	for _, root := range roots {
		places := by[root]
		slices.Sort(places)
		home := db.home(string(root[:]))
		sayings[home] = append(sayings[home], Saying{root, slices.Compact(places)})
	}
	return sayings, nil
}

// Unsay takes the salts of claims out of a signed request, so that nobody can try out what their hashes stand for.
func (tx *Tx) Unsay(ctx context.Context, s Saying) error {
	conn, err := tx.writer(ctx)
	if err != nil {
		return err
	}
	var salt, leaves []byte
	err = conn.QueryRowContext(ctx, "SELECT salt, leaves FROM testimony WHERE part = $1 AND root = $2", tx.Part, s.Root[:]).Scan(&salt, &leaves)
	if found, err := oneRow(err); err != nil || !found {
		return err
	}
	salts := saltsOf(salt, len(leaves)/len(ledger.Hash{}))
	for _, i := range s.Places {
		if i < len(salts) {
			salts[i] = [32]byte{}
		}
	}
	_, err = conn.ExecContext(ctx, "UPDATE testimony SET salt = $3 WHERE part = $1 AND root = $2", tx.Part, s.Root[:], append(joined(salts), 0))
	return err
}

// saltsOf are the salts of a request's claims: made from the request's own, or, where that is gone with the claims of
// somebody who was erased, those that are left of them, and a byte more, which tells one claim's salt from the request's.
func saltsOf(kept []byte, claims int) [][32]byte {
	salts := make([][32]byte, claims)
	for i := range salts {
		if len(kept) == len(salts[i]) {
			salts[i] = claim.SaidSalt([32]byte(kept), i)
		} else if at := i * len(salts[i]); at+len(salts[i]) <= len(kept) {
			copy(salts[i][:], kept[at:])
		}
	}
	return salts
}

// EraseAccount takes away all that is recorded of the account, and leaves the sums that e gives.
//
// What is true if we die: before the commit all of the account is there; after it nothing is.
func (tx *Tx) EraseAccount(ctx context.Context, e *claim.Erased) (*Erasure, error) {
	conn, err := tx.writer(ctx)
	if err != nil {
		return nil, err
	}
	links, err := tx.forgetConsents(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("untying consents: %w", err)
	}
	if err := tx.untieBatches(ctx, conn, e.Places); err != nil {
		return nil, fmt.Errorf("untying batches: %w", err)
	}
	if err := tx.bulk(ctx, removedRows(e.Removed), removedPostingRows(e.Postings), balanceRows(e.Settled)); err != nil {
		return nil, fmt.Errorf("writing what is removed: %w", err)
	}
	if err := tx.bulk(ctx, removedRows(removedTogether(e.Removed, links))); err != nil {
		return nil, fmt.Errorf("writing what is removed: %w", err)
	}
	for _, table := range []string{"claim", "reversal", "link", "account_object", "usage", "slot", "history", "account_key"} {
		if _, err := conn.ExecContext(ctx, "DELETE FROM "+table+" WHERE part = $1 AND account = $2", tx.Part, tx.erases.Number); err != nil {
			return nil, fmt.Errorf("deleting from %s: %w", table, err)
		}
	}
	if _, err := conn.ExecContext(ctx, "DELETE FROM balance WHERE part = $1 AND holder = $2", tx.Part, tx.erases.Number); err != nil {
		return nil, fmt.Errorf("deleting balances: %w", err)
	}
	return tx.noteErasure(ctx, conn)
}

// noteErasure writes what the log is to learn, unless it knows it already, and ends the erasure.
func (tx *Tx) noteErasure(ctx context.Context, conn *sql.Conn) (*Erasure, error) {
	e, err := tx.noted(ctx)
	if err != nil {
		return nil, err
	}
	if e == nil {
		if e, err = tx.newErasure(ctx, conn); err != nil {
			return nil, err
		}
	}
	_, err = conn.ExecContext(ctx, "DELETE FROM erasing WHERE part = $1 AND account = $2", tx.erases.Part, tx.erases.Number)
	return e, err
}

func (tx *Tx) newErasure(ctx context.Context, conn *sql.Conn) (*Erasure, error) {
	e := &Erasure{Part: tx.Part, At: tx.Now, Account: claim.ErasedName(tx.erases.Number, tx.Secret)}
	if err := conn.QueryRowContext(ctx, "UPDATE partition SET erasures = erasures + 1 WHERE part = $1 RETURNING erasures - 1", tx.Part).Scan(&e.Number); err != nil {
		return nil, fmt.Errorf("numbering an erasure: %w", err)
	}
	together, err := tx.removedTogether(ctx)
	if err != nil {
		return nil, err
	}
	e.Removed = claim.CommitRemoved(together, e.Number, tx.Secret)
	_, err = conn.ExecContext(ctx, "INSERT INTO erasure (part, number, at, account, removed, restored) VALUES ($1, $2, $3, $4, $5, 0)",
		tx.Part, e.Number, e.At, e.Account[:], e.Removed[:])
	if err != nil {
		return nil, fmt.Errorf("noting an erasure: %w", err)
	}
	return e, nil
}

// untieBatches takes the account out of the batches that recorded it, and its claims' places in what partners signed.
func (tx *Tx) untieBatches(ctx context.Context, conn *sql.Conn, places map[int64][]int) error {
	for _, batch := range slices.Sorted(maps.Keys(places)) {
		var accounts []byte
		if err := conn.QueryRowContext(ctx, "SELECT accounts FROM batch WHERE part = $1 AND batch = $2", tx.Part, batch).Scan(&accounts); err != nil {
			return err
		}
		for _, ord := range places[batch] {
			at := ord * 8
			if at < 0 || at+8 > len(accounts) || int64(binary.BigEndian.Uint64(accounts[at:])) != tx.erases.Number {
				return fmt.Errorf("batch %d.%d has recorded something else at %d", tx.Part, batch, ord)
			}
			clear(accounts[at : at+8])
		}
		if _, err := conn.ExecContext(ctx, "UPDATE batch SET accounts = $3 WHERE part = $1 AND batch = $2", tx.Part, batch, accounts); err != nil {
			return err
		}
		if err := tx.untiePlaces(ctx, conn, batch, places[batch]); err != nil {
			return err
		}
	}
	return nil
}

func (tx *Tx) untiePlaces(ctx context.Context, conn *sql.Conn, batch int64, ords []int) error {
	type row struct {
		root, places []byte
		claims       int
	}
	var rows []row
	err := eachRow(ctx, conn, func(scan func(...any) error) error {
		var r row
		err := scan(&r.root, &r.places, &r.claims)
		rows = append(rows, r)
		return err
	}, "SELECT root, places, claims FROM testimony_batch WHERE part = $1 AND batch = $2", tx.Part, batch)
	if err != nil {
		return err
	}
	for _, r := range rows {
		var left []byte
		for p := range slices.Chunk(r.places, PlaceSize) {
			if !slices.Contains(ords, int(binary.BigEndian.Uint32(p))) {
				left = append(left, p...)
			}
		}
		statement, args := "UPDATE testimony_batch SET places = $5 WHERE part = $1 AND batch = $2 AND root = $3 AND claims = $4", []any{tx.Part, batch, r.root, r.claims, left}
		if len(left) == 0 {
			statement, args = "DELETE FROM testimony_batch WHERE part = $1 AND batch = $2 AND root = $3 AND claims = $4", args[:4]
		}
		if len(left) == len(r.places) {
			continue
		}
		if _, err := conn.ExecContext(ctx, statement, args...); err != nil {
			return err
		}
	}
	return nil
}

// forgetConsents takes the account out of the rows of consents that tell of its links, and says of how many grants and
// ends. A link's row tells when they were.
func (tx *Tx) forgetConsents(ctx context.Context, conn *sql.Conn) (links int64, err error) {
	instants := map[int64]bool{}
	err = tx.each(ctx, tx.erases.Number, "SELECT granted, revoked FROM link WHERE part = $1 AND account = $2", func(scan func(...any) error) error {
		var granted, revoked int64
		err := scan(&granted, &revoked)
		instants[granted], instants[revoked] = true, true
		return err
	})
	if err != nil {
		return 0, err
	}
	for _, at := range slices.Sorted(maps.Keys(instants)) {
		rows := map[int64][]byte{}
		err := eachRow(ctx, conn, func(scan func(...any) error) error {
			var number int64
			var links []byte
			err := scan(&number, &links)
			rows[number] = links
			return err
		}, "SELECT number, links FROM consent WHERE part = $1 AND at = $2", tx.Part, at)
		if err != nil {
			return 0, err
		}
		for _, number := range slices.Sorted(maps.Keys(rows)) {
			list := rows[number]
			n := clearConsented(list, tx.erases.Number)
			if links += n; n == 0 {
				continue
			}
			if _, err := conn.ExecContext(ctx, "UPDATE consent SET links = $3 WHERE part = $1 AND number = $2", tx.Part, number, list); err != nil {
				return 0, err
			}
		}
	}
	return links, nil
}

// clearConsented takes an account's number and those of its links out of a list; whether they were granted or ended stays.
func clearConsented(links []byte, n claim.Number) (cleared int64) {
	for l := range slices.Chunk(links, consentedSize) {
		if len(l) == consentedSize && int64(binary.BigEndian.Uint64(l)) == n {
			clear(l[:12])
			cleared++
		}
	}
	return cleared
}

func removedRows(list []claim.Removed) *bulk {
	number := func(f func(*claim.Removed) int64) []int64 { return column(list, f) }
	text := func(f func(*claim.Removed) string) []string { return column(list, f) }
	return &bulk{
		table: "removed", columns: "batch bigint, programme text, method text, vintage text, reason text, places bigint, claims bigint, mg bigint, points bigint",
		conflict: " ON CONFLICT (part, batch, programme, method, vintage, reason) DO UPDATE SET places = removed.places + excluded.places, " +
			"claims = removed.claims + excluded.claims, mg = removed.mg + excluded.mg, points = removed.points + excluded.points",
		args: []any{
			number(func(r *claim.Removed) int64 { return r.Batch }),
			text(func(r *claim.Removed) string { return r.Programme }),
			text(func(r *claim.Removed) string { return r.Method }),
			text(func(r *claim.Removed) string { return r.Vintage }),
			text(func(r *claim.Removed) string { return string(r.Reason) }),
			number(func(r *claim.Removed) int64 { return r.Places }),
			number(func(r *claim.Removed) int64 { return r.Claims }),
			number(func(r *claim.Removed) int64 { return r.Milligrams }),
			number(func(r *claim.Removed) int64 { return r.Points }),
		},
	}
}

// removedTogether sums what is removed over all batches.
func removedTogether(list []claim.Removed, links int64) (together []claim.Removed) {
	sums := map[claim.Removed]*claim.Removed{}
	if links > 0 {
		together = append(together, claim.Removed{Reason: claim.RemovedLinks, Places: links})
	}
	for _, r := range list {
		key := claim.Removed{Programme: r.Programme, Method: r.Method, Vintage: r.Vintage, Reason: r.Reason}
		if sums[key] == nil {
			sum := key
			sums[key] = &sum
		}
		s := sums[key]
		s.Places, s.Claims, s.Milligrams, s.Points = s.Places+r.Places, s.Claims+r.Claims, s.Milligrams+r.Milligrams, s.Points+r.Points
	}
	for _, s := range sums {
		together = append(together, *s)
	}
	claim.SortRemoved(together)
	return together
}

// removedTogether reads those sums as they are by now.
func (tx *Tx) removedTogether(ctx context.Context) (list []claim.Removed, err error) {
	err = eachRow(ctx, tx.desk.conn, func(scan func(...any) error) error {
		var r claim.Removed
		err := scan(&r.Programme, &r.Method, &r.Vintage, &r.Reason, &r.Places, &r.Claims, &r.Milligrams, &r.Points)
		list = append(list, r)
		return err
	}, "SELECT programme, method, vintage, reason, places, claims, mg, points FROM removed WHERE part = $1 AND batch = 0", tx.Part)
	claim.SortRemoved(list)
	return list, err
}

func removedPostingRows(list []claim.RemovedPosting) *bulk {
	return &bulk{
		table: "removed_posting", columns: "batch bigint, holder bigint, asset text, amount bigint",
		conflict: " ON CONFLICT (part, batch, holder, asset) DO UPDATE SET amount = removed_posting.amount + excluded.amount",
		args: []any{
			column(list, func(p *claim.RemovedPosting) int64 { return p.Batch }),
			column(list, func(p *claim.RemovedPosting) int64 { return int64(p.Holder) }),
			column(list, func(p *claim.RemovedPosting) string { return string(p.Asset) }),
			column(list, func(p *claim.RemovedPosting) int64 { return p.Amount }),
		},
	}
}

// Scrub takes what was overwritten out of SQLite's write-ahead log as well, if nobody reads from it at the moment. The
// next one does otherwise. What PostgreSQL keeps of deleted rows goes with its next VACUUM, and with the WAL that is kept.
func (db *DB) Scrub(ctx context.Context) error {
	if db.checkpointer == nil {
		return nil
	}
	_, err := db.checkpointer.pool.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	return err
}

// Compact writes SQLite's file anew. What erasing deletes is overwritten where it lies, but a row that SQLite had moved
// before, as its pages filled, can have left a copy in what was free then. It takes the database for itself meanwhile.
func (db *DB) Compact(ctx context.Context) error {
	if db.engine != sqlite {
		return nil
	}
	conn, release, err := db.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	if _, err := conn.ExecContext(ctx, "VACUUM"); err != nil {
		return fmt.Errorf("writing the database's file anew: %w", err)
	}
	return db.Scrub(ctx)
}
