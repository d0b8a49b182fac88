package store

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
)

// An AccountID names an account: its partition and its number in it.
type AccountID struct {
	Part   int
	Number claim.Number
}

func (a AccountID) String() string { return fmt.Sprintf("a%d-%d", a.Part, a.Number) }

// ParseAccountID reads what String wrote.
func ParseAccountID(s string) (AccountID, bool) {
	part, number, _ := strings.Cut(strings.TrimPrefix(s, "a"), "-")
	p, err1 := strconv.Atoi(part)
	n, err2 := strconv.ParseInt(number, 10, 64)
	a := AccountID{p, n}
	return a, err1 == nil && err2 == nil && p < MaxParts && n > 0 && a.String() == s // beyond, PostgreSQL cannot even look
}

// OpenAccounts opens n accounts in the partition and returns the number of the first; the rest follow.
func (tx *Tx) OpenAccounts(ctx context.Context, n int) (claim.Number, error) {
	conn, err := tx.writer(ctx)
	if err != nil {
		return 0, err
	}
	var last int64
	err = conn.QueryRowContext(ctx, "UPDATE partition SET accounts = accounts + $2 WHERE part = $1 RETURNING accounts", tx.Part, n).Scan(&last)
	if err != nil {
		return 0, fmt.Errorf("opening accounts: %w", err)
	}
	first := last - int64(n) + 1
	numbers, opened, secrets := make([]int64, n), make([]int64, n), make([][]byte, n)
	for i := range n {
		numbers[i], opened[i], secrets[i] = first+int64(i), tx.Now, tx.db.draw(32)
	}
	accounts := &bulk{table: "account", columns: "account bigint, opened bigint", args: []any{numbers, opened}}
	keys := &bulk{table: "account_key", columns: "account bigint, key bytea", args: []any{numbers, secrets}}
	return first, tx.bulk(ctx, accounts, keys)
}

// Grant records links; it gives each its number and the sub that it will be known by. The table's key refuses a
// number that the account has: one time in two thousand million, and then the caller tries again.
func (tx *Tx) Grant(ctx context.Context, links []claim.Link) error {
	for i := range links {
		l := &links[i]
		l.Number = tx.db.linkNumber()
		l.Sub = tx.db.sub(tx.Part, seat{l.Account, l.Number})
	}
	if err := tx.keys(ctx, links); err != nil {
		return fmt.Errorf("reading account keys: %w", err)
	}
	if err := tx.unerased(ctx, links); err != nil {
		return err
	}
	consentRow, err := tx.consent(ctx, links, false)
	if err != nil {
		return err
	}
	return tx.bulk(ctx, &bulk{
		table: "link", columns: "account bigint, link bigint, programme text, partner text, scenarios text, purposes text, since bigint, granted bigint",
		args: []any{
			column(links, func(l *claim.Link) int64 { return l.Account }),
			column(links, func(l *claim.Link) int64 { return int64(l.Number) }),
			column(links, func(l *claim.Link) string { return l.Programme }),
			column(links, func(l *claim.Link) string { return l.Partner }),
			column(links, func(l *claim.Link) string { return strings.Join(l.Scenarios, " ") }),
			column(links, func(l *claim.Link) string { return strings.Join(l.Purposes, " ") }),
			column(links, func(l *claim.Link) int64 { return l.Since }),
			column(links, func(*claim.Link) int64 { return tx.Now }),
		},
	}, consentRow)
}

// linkNumber draws a link's number. Counted up, a number that was lost when a backup was restored would be given
// again, to whoever got the account's number by then; and with it the sub, which a partner still has for somebody else.
func (db *DB) linkNumber() int { return max(1, int(binary.BigEndian.Uint32(db.draw(4))>>1)) }

// Revoke ends a link at the transaction's instant; a link that has ended stays as it was.
func (tx *Tx) Revoke(ctx context.Context, sub string) error {
	l, part, err := tx.db.LinkOf(ctx, sub)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil || part != tx.Part || l.Revoked != 0 {
		return err
	}
	list := []claim.Link{l}
	if err := tx.keys(ctx, list); err != nil {
		return fmt.Errorf("reading account keys: %w", err)
	}
	conn, err := tx.writer(ctx)
	if err != nil {
		return err
	}
	result, err := conn.ExecContext(ctx, "UPDATE link SET revoked = $4 WHERE part = $1 AND account = $2 AND link = $3 AND revoked = 0",
		tx.Part, l.Account, l.Number, tx.Now)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return err // somebody else was faster, and noted it
	}
	row, err := tx.consent(ctx, list, true)
	if err != nil {
		return err
	}
	return tx.bulk(ctx, row)
}

// keys fills in the keys of the links' accounts.
func (tx *Tx) keys(ctx context.Context, links []claim.Link) error {
	return tx.look(ctx, &lookup{
		keys: "place bigint, account bigint",
		cols: "u.place, k.key",
		from: []source{{table: "account_key", alias: "k", on: "k.part = $1 AND k.account = u.account"}},
		args: []any{places(len(links)), column(links, func(l *claim.Link) int64 { return l.Account })},
		row: func(scan func(...any) error) error {
			var place int
			var key []byte
			err := scan(&place, &key)
			if err == nil {
				copy(links[place].Key[:], key)
			}
			return err
		},
	})
}

// unerased returns an error where a link's account has no key any more, or is about to lose it.
func (tx *Tx) unerased(ctx context.Context, links []claim.Link) error {
	for i := range links {
		if links[i].Key == [32]byte{} {
			return errErased
		}
	}
	erasing := false
	err := tx.look(ctx, &lookup{
		keys: "account bigint",
		cols: "e.account",
		from: []source{{table: "erasing", alias: "e", on: "e.part = $1 AND e.account = u.account"}},
		args: []any{column(links, func(l *claim.Link) int64 { return l.Account })},
		row: func(scan func(...any) error) error {
			erasing = true
			return scan(new(int64))
		},
	})
	if err == nil && erasing {
		err = errErasing
	}
	return err
}

// consent makes the row by which the log learns of links that were granted or ended.
func (tx *Tx) consent(ctx context.Context, links []claim.Link, ended bool) (*bulk, error) {
	conn, err := tx.writer(ctx)
	if err != nil {
		return nil, err
	}
	var number int64
	err = conn.QueryRowContext(ctx, "UPDATE partition SET consents = consents + 1 WHERE part = $1 RETURNING consents - 1", tx.Part).Scan(&number)
	if err != nil {
		return nil, fmt.Errorf("numbering consents: %w", err)
	}
	var leaves, whose []byte
	hashes := make([]ledger.Hash, len(links))
	for i := range links {
		l := &links[i]
		if l.Key == [32]byte{} { // of one whose key is gone: whoever guesses the link must not find its leaf by a salt that all know
			copy(l.Key[:], tx.db.draw(len(l.Key)))
		}
		hashes[i] = claim.LinkLeafHash(l, tx.Now, ended)
		leaves = append(leaves, hashes[i][:]...)
		whose = binary.BigEndian.AppendUint64(whose, uint64(l.Account))
		whose = binary.BigEndian.AppendUint32(whose, uint32(l.Number))
		event := byte(0)
		if ended {
			event = 1
		}
		whose = append(whose, event)
	}
	root := ledger.Root(hashes)
	return &bulk{
		table: "consent", columns: "number bigint, at bigint, root bytea, leaves bytea, links bytea",
		args: []any{[]int64{number}, []int64{tx.Now}, [][]byte{root[:]}, [][]byte{leaves}, [][]byte{whose}},
	}, nil
}

// ErrTaken says that an object is registered to another account.
var ErrTaken = errors.New("registered to another account")

// TakeObject registers a meter or car, at its home partition, to one account for good. It returns
// ErrTaken when it has another owner; taking what one has is no error, so that it can be tried again.
func (db *DB) TakeObject(ctx context.Context, object string, owner AccountID, clock int64) error {
	return db.Update(ctx, db.home(object), clock, func(tx *Tx) error {
		conn, err := tx.writer(ctx)
		if err != nil {
			return err
		}
		_, err = conn.ExecContext(ctx, `INSERT INTO object (part, object, owner_part, owner, at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (part, object) DO NOTHING`, tx.Part, object, owner.Part, owner.Number, tx.Now)
		if err != nil {
			return fmt.Errorf("registering an object: %w", err)
		}
		var has AccountID
		err = conn.QueryRowContext(ctx, "SELECT owner_part, owner FROM object WHERE part = $1 AND object = $2", tx.Part, object).Scan(&has.Part, &has.Number)
		if err != nil {
			return err
		}
		if has != owner {
			return ErrTaken
		}
		return tx.remembered(ctx, owner)
	})
}

// remembered makes sure that an account of whatever partition is not erased, nor being so, where this one notes something of
// it. It is asked when that is written: an erasure that it does not see yet looks here afterwards (see flows/erase).
func (tx *Tx) remembered(ctx context.Context, id AccountID) error {
	var erased, erasing bool
	err := tx.desk.conn.QueryRowContext(ctx, `SELECT k.key IS NULL, EXISTS (SELECT 1 FROM erasing e WHERE e.part = a.part AND e.account = a.account)
		FROM account a LEFT JOIN account_key k ON k.part = a.part AND k.account = a.account
		WHERE a.part = $1 AND a.account = $2`, id.Part, id.Number).Scan(&erased, &erasing)
	if _, err := oneRow(err); err != nil {
		return fmt.Errorf("looking whether account %s was erased: %w", id, err)
	}
	switch {
	case erasing:
		return errErasing
	case erased:
		return errErased
	}
	return nil
}

// OwnerOf finds the account that an object is registered to.
func (db *DB) OwnerOf(ctx context.Context, object string) (owner AccountID, found bool, err error) {
	err = db.read.QueryRowContext(ctx, "SELECT owner_part, owner FROM object WHERE part = $1 AND object = $2", db.home(object), object).
		Scan(&owner.Part, &owner.Number)
	found, err = oneRow(err)
	return owner, found, err
}

// AddObject makes an object that the account has taken known where its claims are judged.
func (tx *Tx) AddObject(ctx context.Context, n claim.Number, object string) error {
	conn, err := tx.writer(ctx)
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, `INSERT INTO account_object (part, account, object, at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (part, account, object) DO NOTHING`, tx.Part, n, object, tx.Now)
	return err
}

// A Balance is an amount of an asset that an account holds.
type Balance struct {
	Asset  ledger.Asset
	Amount int64
}

// Account returns an account's balances in order of asset, and when it was opened (µs UTC).
func (db *DB) Account(ctx context.Context, id AccountID) (balances []Balance, opened int64, err error) {
	var erased bool
	err = db.read.QueryRowContext(ctx, `SELECT a.opened, k.key IS NULL FROM account a LEFT JOIN account_key k ON k.part = a.part AND k.account = a.account
		WHERE a.part = $1 AND a.account = $2`, id.Part, id.Number).Scan(&opened, &erased)
	if found, err := oneRow(err); err != nil {
		return nil, 0, err
	} else if !found {
		return nil, 0, fault.New(fault.NotFound, "there is no account %s", id)
	} else if erased {
		return nil, 0, errErased
	}
	rows, err := db.read.QueryContext(ctx, "SELECT asset, amount FROM balance WHERE part = $1 AND holder = $2 ORDER BY asset", id.Part, id.Number)
	if err != nil {
		return nil, 0, err
	}
	defer rows.Close()
	for rows.Next() {
		var b Balance
		if err := rows.Scan(&b.Asset, &b.Amount); err != nil {
			return nil, 0, err
		}
		balances = append(balances, b)
	}
	return balances, opened, rows.Err()
}

// A Reduction is what an account was credited for in one series, whoever received it.
type Reduction struct {
	Programme, Method, Vintage string
	Claims, Milligrams         int64
}

// Reductions sums an account's accepted claims by series, but for those that were reversed.
func (db *DB) Reductions(ctx context.Context, id AccountID) ([]Reduction, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT programme, method, vintage, count(*), sum(mg) FROM claim
		WHERE part = $1 AND account = $2 AND reason IN ('ok', 'no-history') AND reversed = 0
		GROUP BY programme, method, vintage ORDER BY programme, method, vintage`, id.Part, id.Number)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Reduction
	for rows.Next() {
		var r Reduction
		if err := rows.Scan(&r.Programme, &r.Method, &r.Vintage, &r.Claims, &r.Milligrams); err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// A ClaimRow is a recorded claim as it is read back.
type ClaimRow struct {
	claim.Claim
	Account   claim.Number
	Link      int // the number of the link that its sub names
	Programme string
	Group     string
	Vintage   string
	Holder    ledger.Holder
	Body      string
	Operands  string
	Used      string
	Verdict   claim.Verdict // read in a range, without operands: see Operands
	Times     int           // how often it was judged again
	Reversed  int64         // the batch that reversed it; 0 while it stands
}

// scanClaim reads a claim's columns, and whatever is selected behind them.
func (db *DB) scanClaim(scan func(...any) error, more ...any) (ClaimRow, error) {
	var r ClaimRow
	v := &r.Verdict
	err := scan(append([]any{&v.Ref.Part, &r.Account, &r.Group, &r.Start, &v.Ref.Batch, &v.Ref.Ord, &r.End, &r.Link, &r.Partner, &r.ID, &r.Programme,
		&r.Scenario, &r.Body, &v.Method, &r.Vintage, &v.Reason, &r.Operands, &r.Used, &r.Holder, &v.Milligrams, &v.Points,
		&r.Times, &r.Reversed}, more...)...)
	r.Sub = db.sub(v.Ref.Part, seat{r.Account, r.Link})
	if err == nil && r.Operands != "" {
		err = json.Unmarshal([]byte(r.Operands), &v.Operands)
	}
	return r, err
}

// A Place is where a listing of an account's claims goes on.
type Place struct {
	Batch int64
	Ord   int
}

// LinkOf finds who a sub belongs to.
func (db *DB) LinkOf(ctx context.Context, sub string) (l claim.Link, part int, err error) {
	unknown := fault.New(fault.NotFound, "there is no such link")
	part, s, ok := db.seat(sub)
	if !ok {
		return l, part, unknown
	}
	l.Sub, l.Account, l.Number = sub, s.account, s.link
	var purposes, scenarios string
	err = db.read.QueryRowContext(ctx, `SELECT programme, partner, scenarios, purposes, since, granted, revoked
		FROM link WHERE part = $1 AND account = $2 AND link = $3`, part, s.account, s.link).
		Scan(&l.Programme, &l.Partner, &scenarios, &purposes, &l.Since, &l.Granted, &l.Revoked)
	found, err := oneRow(err)
	if err == nil && !found {
		err = unknown
	}
	l.Scenarios, l.Purposes = words(scenarios), words(purposes)
	return l, part, err
}

// Totals sums the days from and to (2026-08-21, both included) of one programme, or of all for "".
func (db *DB) Totals(ctx context.Context, programme, from, to string) ([]claim.Total, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT programme, day, method, vintage, reason, sum(claims), sum(mg), sum(points) FROM day_total
		WHERE ($1 = '' OR programme = $1) AND day >= $2 AND day <= $3
		GROUP BY programme, day, method, vintage, reason ORDER BY programme, day, method, vintage, reason`, programme, from, to)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []claim.Total
	for rows.Next() {
		var t claim.Total
		if err := rows.Scan(&t.Programme, &t.Day, &t.Method, &t.Vintage, &t.Reason, &t.Claims, &t.Milligrams, &t.Points); err != nil {
			return nil, err
		}
		list = append(list, t)
	}
	return list, rows.Err()
}
