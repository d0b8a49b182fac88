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

	"github.com/jackc/pgx/v5"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/quantity"
)

// A lookup finds rows by a list of keys in one go. Its query reads the keys from u, one row a key; the
// two engines differ only in how u is made: PostgreSQL unnests arrays, SQLite takes VALUES.
type lookup struct {
	keys string   // columns of u and their PostgreSQL types: "account bigint, id text"
	cols string   // what is read
	from []source // tables, each looked into for what the ones before it gave
	args []any    // the keys, a slice a column: []int64, []string or [][]byte
	row  func(scan func(...any) error) error
}

func (l *lookup) n() int { return length(l.args) }

// length is how many rows columns have.
func length(columns []any) int {
	switch c := columns[0].(type) {
	case []int64:
		return len(c)
	case []string:
		return len(c)
	}
	panic("store: a first column that is neither []int64 nor []string")
}

// appendRow appends row i of columns to a statement's arguments.
func appendRow(args, columns []any, i int) []any {
	for _, column := range columns {
		switch c := column.(type) {
		case []int64:
			args = append(args, c[i])
		case []string:
			args = append(args, c[i])
		case [][]byte:
			args = append(args, c[i])
		}
	}
	return args
}

// A source is a table and the condition that finds its rows by an index; $1 is the partition. Where a table
// has two indexes that begin alike, by is an order that only the right one has.
type source struct{ table, alias, on, by string }

// query looks up key by key, table by table. PostgreSQL's planner would rather join as it thinks best,
// which is the worst thing on tables that it has not yet counted: LATERAL and OFFSET 0 leave it no choice,
// nor does an order where sorting is off. SQLite takes CROSS JOIN as an order.
func (l *lookup) query(e engine) string {
	var b strings.Builder
	b.WriteString("SELECT " + l.cols + " FROM u")
	for _, s := range l.from {
		table := s.table + " " + s.alias
		if e == postgres {
			by := ""
			if s.by != "" {
				by = " ORDER BY " + s.by
			}
			b.WriteString(" CROSS JOIN LATERAL (SELECT * FROM " + table + " WHERE " + s.on + by + " OFFSET 0) " + s.alias)
		} else {
			b.WriteString(" CROSS JOIN " + table + " ON " + s.on)
		}
	}
	return b.String()
}

// look carries out lookups. PostgreSQL gets them as pipelines.
func (tx *Tx) look(ctx context.Context, lookups ...*lookup) error {
	lookups = slices.DeleteFunc(lookups, func(l *lookup) bool { return l.n() == 0 })
	if len(lookups) == 0 {
		return nil
	}
	if tx.db.engine == postgres {
		return tx.postgres(func(c *pgx.Conn) error { return lookPostgres(ctx, c, tx.Part, lookups) })
	}
	for _, l := range lookups {
		if err := tx.lookSQLite(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

func lookPostgres(ctx context.Context, c *pgx.Conn, part int, lookups []*lookup) error {
	for _, some := range portions(lookups, func(l *lookup) []any { return l.args }) {
		if err := lookAtOnce(ctx, c, part, some); err != nil {
			return err
		}
	}
	return nil
}

func lookAtOnce(ctx context.Context, c *pgx.Conn, part int, lookups []*lookup) error {
	var batch pgx.Batch
	for _, l := range lookups {
		batch.Queue("WITH u AS (SELECT * FROM "+unnest(l.keys)+") "+l.query(postgres), append([]any{part}, l.args...)...)
	}
	results := c.SendBatch(ctx, &batch)
	defer results.Close()
	for _, l := range lookups {
		if err := eachResult(results, l.row); err != nil {
			return err
		}
	}
	return results.Close()
}

// eachResult is eachRow for the next of a pipeline's queries.
func eachResult(results pgx.BatchResults, f func(scan func(...any) error) error) error {
	rows, err := results.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	return scanEach(rows, f)
}

// scanEach runs f on each of a query's rows, which the caller closes.
func scanEach(rows interface {
	Next() bool
	Scan(...any) error
	Err() error
}, f func(scan func(...any) error) error) error {
	for rows.Next() {
		if err := f(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// unnest names arrays as rows: unnest($2::bigint[], …) AS k(account, …).
func unnest(columns string) string {
	var types []string
	for i, column := range strings.Split(columns, ", ") {
		_, kind, _ := strings.Cut(column, " ")
		types = append(types, fmt.Sprintf("$%d::%s[]", i+2, kind))
	}
	return "unnest(" + strings.Join(types, ", ") + ") AS k(" + strings.Join(names(columns), ", ") + ")"
}

// chunk is how many keys or rows one SQLite statement takes: few enough to stay under its limit of
// variables, and always a power of two, so that few statements have to be kept.
const chunk = 128

func (tx *Tx) lookSQLite(ctx context.Context, l *lookup) error {
	names := names(l.keys)
	// Numbered parameters are looked up by name, which takes as long as there are parameters: so here
	// they go without, and the partition, which queries name more than once, has a table of its own.
	query := strings.ReplaceAll(l.query(sqlite), "$1", "(SELECT part FROM p)")
	for from, all := 0, l.n(); from < all; {
		n := chunkOf(all - from)
		statement, err := tx.desk.prepared(ctx, "WITH p(part) AS (VALUES (?)), u("+strings.Join(names, ", ")+") AS (VALUES "+values(n, len(names))+") "+query)
		if err != nil {
			return err
		}
		args := make([]any, 1, 1+n*len(names))
		args[0] = tx.Part
		for i := range n {
			args = appendRow(args, l.args, from+i)
		}
		if err := scanAll(ctx, statement, args, l.row); err != nil {
			return err
		}
		from += n
	}
	return nil
}

func scanAll(ctx context.Context, statement *sql.Stmt, args []any, row func(func(...any) error) error) error {
	rows, err := statement.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	return scanEach(rows, row)
}

// chunkOf is the largest power of two, at most chunk, that does not exceed n.
func chunkOf(n int) int {
	c := chunk
	for c > n {
		c /= 2
	}
	return c
}

// values writes n tuples of placeholders: (?,?),(?,?).
func values(n, width int) string {
	tuple := "(?" + strings.Repeat(",?", width-1) + ")"
	return tuple + strings.Repeat(","+tuple, n-1)
}

// names lists the columns of "account bigint, id text" without their types.
func names(columns string) []string {
	list := strings.Split(columns, ", ")
	for i := range list {
		list[i], _, _ = strings.Cut(list[i], " ")
	}
	return list
}

// column takes one field of each element.
func column[E, F any](list []E, field func(*E) F) []F {
	out := make([]F, len(list))
	for i := range list {
		out[i] = field(&list[i])
	}
	return out
}

// Links finds the links of these subs, and if asked the objects that are registered to their accounts.
func (tx *Tx) Links(ctx context.Context, subs []string, objects bool) (map[string]*claim.Link, error) {
	links := make(map[string]*claim.Link, len(subs))
	missing := map[seat]string{}
	for _, sub := range subs {
		part, s, ok := tx.db.seat(sub)
		if !ok || part != tx.Part {
			continue
		}
		if l, ok := tx.memory.link(s); ok {
			l.Sub = sub
			links[sub] = &l
		} else {
			missing[s] = sub
		}
	}
	err := tx.lookLinks(ctx, missing, links)
	if err == nil && objects {
		err = tx.objects(ctx, links)
	}
	if err != nil {
		return nil, fmt.Errorf("reading links: %w", err)
	}
	return links, nil
}

// lookLinks reads the links of seats, and those of accounts nearby, which it remembers for later.
func (tx *Tx) lookLinks(ctx context.Context, missing map[seat]string, found map[string]*claim.Link) error {
	// In the order in which they lie, each once.
	var from, to []int64
	for _, s := range slices.SortedFunc(maps.Keys(missing), func(a, b seat) int { return cmp.Compare(a.account, b.account) }) {
		if lo, hi := tx.memory.around(s.account); len(to) == 0 || lo > to[len(to)-1] {
			from, to = append(from, lo), append(to, hi)
		}
	}
	keys := map[claim.Number][32]byte{}
	var links []claim.Link
	err := tx.look(ctx, &lookup{
		keys: "lo bigint, hi bigint",
		cols: "k.account, k.key",
		from: []source{{table: "account_key", alias: "k", on: "k.part = $1 AND k.account BETWEEN u.lo AND u.hi"}},
		args: []any{from, to},
		row: func(scan func(...any) error) error {
			var account claim.Number
			var text []byte
			var key [32]byte
			err := scan(&account, &text)
			copy(key[:], text)
			keys[account] = key
			return err
		},
	}, &lookup{
		keys: "lo bigint, hi bigint",
		cols: "l.account, l.link, l.programme, l.partner, l.scenarios, l.purposes, l.since, l.granted, l.revoked",
		from: []source{{table: "link", alias: "l", on: "l.part = $1 AND l.account BETWEEN u.lo AND u.hi"}},
		args: []any{from, to},
		row: func(scan func(...any) error) error {
			var l claim.Link
			var scenarios, purposes string
			err := scan(&l.Account, &l.Number, &l.Programme, &l.Partner, &scenarios, &purposes, &l.Since, &l.Granted, &l.Revoked)
			l.Scenarios, l.Purposes = words(scenarios), words(purposes)
			links = append(links, l)
			return err
		},
	})
	if err != nil {
		return err
	}
	for i := range links {
		l := &links[i]
		key, ok := keys[l.Account]
		if !ok {
			continue // a link without its account's key is that of somebody who is being erased
		}
		l.Key = key
		tx.memory.learn(l, tx.heard)
		if sub, ok := missing[seat{l.Account, l.Number}]; ok {
			l.Sub = sub
			found[sub] = l
		}
	}
	return nil
}

// places counts from 0 to n-1.
func places(n int) []int64 {
	list := make([]int64, n)
	for i := range list {
		list[i] = int64(i)
	}
	return list
}

// objects adds what is registered to the links' accounts.
func (tx *Tx) objects(ctx context.Context, links map[string]*claim.Link) error {
	owners := map[int64][]*claim.Link{}
	for _, l := range links {
		owners[l.Account] = append(owners[l.Account], l)
	}
	accounts := slices.Collect(maps.Keys(owners))
	return tx.look(ctx, &lookup{
		keys: "account bigint",
		cols: "o.account, o.object, o.at",
		from: []source{{table: "account_object", alias: "o", on: `o.part = $1 AND o.account = u.account`}},
		args: []any{accounts},
		row: func(scan func(...any) error) error {
			var account int64
			var object string
			var at int64
			err := scan(&account, &object, &at)
			if at > tx.Now { // by a server whose clock is ahead: not yet, or the instants would not tell what was known
				return err
			}
			for _, l := range owners[account] {
				l.Objects = append(l.Objects, object)
			}
			return err
		},
	})
}

func words(s string) []string { return strings.Fields(s) }

// Known looks up what a docket needs.
func (tx *Tx) Known(ctx context.Context, needs *claim.Needs) (*claim.Known, error) {
	known := claim.NewKnown()
	err := tx.look(ctx,
		same(slices.Concat(needs.Same, tx.perhaps(needs.Guarded)), known.Same), near(needs.Near, known.Spans), slots(needs.Slots, known.Slots),
		usage(needs.Usage, known.Usage), kept(needs.Kept, known.Kept), nets(needs.Nets, known.Nets), tx.forgotten(needs.Marks, known))
	if err != nil {
		return nil, fmt.Errorf("reading what is known: %w", err)
	}
	for id := range known.Same {
		tx.recall(&id)
	}
	return known, nil
}

// perhaps are those of the identities that may have been recorded before. The others are taken for new, and the table's key
// refuses one that is not.
func (tx *Tx) perhaps(guarded []claim.Identity) (list []claim.Identity) {
	for i := range guarded {
		if tx.unsure || tx.memory.seen(&guarded[i]) {
			list = append(list, guarded[i])
		} else {
			tx.guarded = true
		}
	}
	return list
}

func same(keys []claim.Identity, found map[claim.Identity]claim.Recorded) *lookup {
	return &lookup{
		keys: "account bigint, partner text, id text",
		cols: `c.account, c.partner, c.id, c.scenario, c.start, c.finish, c.body, c.method, c.reason, c.operands, c.mg, c.points, c.part, c.batch, c.ord`,
		from: []source{{table: "claim", alias: "c", by: "c.id",
			on: `c.part = $1 AND c.account = u.account AND c.partner = u.partner AND c.id BETWEEN u.id AND u.id AND c.again = 0`}},
		args: []any{
			column(keys, func(k *claim.Identity) int64 { return k.Account }),
			column(keys, func(k *claim.Identity) string { return k.Partner }),
			column(keys, func(k *claim.Identity) string { return k.ID }),
		},
		row: func(scan func(...any) error) error {
			var id claim.Identity
			var r claim.Recorded
			var operands string
			v := &r.Verdict
			if err := scan(&id.Account, &id.Partner, &id.ID, &r.Scenario, &r.Start, &r.End, &r.Body, &v.Method, &v.Reason, &operands,
				&v.Milligrams, &v.Points, &v.Ref.Part, &v.Ref.Batch, &v.Ref.Ord); err != nil {
				return err
			}
			if operands != "" {
				if err := json.Unmarshal([]byte(operands), &v.Operands); err != nil {
					return fmt.Errorf("operands of claim %s: %w", v.Ref, err)
				}
			}
			found[id] = r
			return nil
		},
	}
}

// near merges ranges that touch, so that an account whose whole history arrives at once is read once.
func near(ranges []claim.Near, found map[claim.Line][]claim.Span) *lookup {
	ranges = slices.Clone(ranges)
	slices.SortFunc(ranges, func(a, b claim.Near) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), strings.Compare(a.Group, b.Group), cmp.Compare(a.From, b.From))
	})
	merged := ranges[:0]
	for _, r := range ranges {
		if n := len(merged); n > 0 && merged[n-1].Line == r.Line && r.From <= merged[n-1].To {
			merged[n-1].To = max(merged[n-1].To, r.To)
			continue
		}
		merged = append(merged, r)
	}
	return &lookup{
		keys: "account bigint, grp text, lo bigint, hi bigint",
		cols: `c.account, c.grp, c.start, c.finish, c.partner`,
		from: []source{{table: "claim", alias: "c", by: "c.start",
			on: `c.part = $1 AND c.account = u.account AND c.grp = u.grp AND c.start BETWEEN u.lo AND u.hi AND c.reason IN ('ok', 'no-history') AND c.reversed = 0`}},
		args: []any{
			column(merged, func(r *claim.Near) int64 { return r.Account }),
			column(merged, func(r *claim.Near) string { return r.Group }),
			column(merged, func(r *claim.Near) int64 { return r.From }),
			column(merged, func(r *claim.Near) int64 { return r.To }),
		},
		row: func(scan func(...any) error) error {
			var l claim.Line
			var s claim.Span
			err := scan(&l.Account, &l.Group, &s.Start, &s.End, &s.By)
			found[l] = append(found[l], s)
			return err
		},
	}
}

func slots(keys []claim.Slot, found map[claim.Slot]claim.Counted) *lookup {
	return &lookup{
		keys: "account bigint, grp text, key text",
		cols: `s.account, s.grp, s.key, s.greatest, s.included, s.partner`,
		from: []source{{table: "slot", alias: "s", on: `s.part = $1 AND s.account = u.account AND s.grp = u.grp AND s.key = u.key`}},
		args: []any{
			column(keys, func(k *claim.Slot) int64 { return k.Account }),
			column(keys, func(k *claim.Slot) string { return k.Group }),
			column(keys, func(k *claim.Slot) string { return k.Key }),
		},
		row: func(scan func(...any) error) error {
			var k claim.Slot
			var c claim.Counted
			err := scan(&k.Account, &k.Group, &k.Key, &c.Greatest, &c.Included, &c.By)
			found[k] = c
			return err
		},
	}
}

func usage(keys []claim.Period, found map[claim.Period]claim.Usage) *lookup {
	return &lookup{
		keys: "account bigint, method text, period text",
		cols: `t.account, t.method, t.period, t.used`,
		from: []source{{table: "usage", alias: "t", on: `t.part = $1 AND t.account = u.account AND t.method = u.method AND t.period = u.period`}},
		args: []any{
			column(keys, func(k *claim.Period) int64 { return k.Account }),
			column(keys, func(k *claim.Period) string { return k.Method }),
			column(keys, func(k *claim.Period) string { return k.Name }),
		},
		row: func(scan func(...any) error) error {
			var k claim.Period
			var text string
			if err := scan(&k.Account, &k.Method, &k.Name, &text); err != nil {
				return err
			}
			used, ok := claim.ParseUsage(text)
			if !ok {
				return fmt.Errorf("usage of account %d in %s cannot be read: %q", k.Account, k.Name, text)
			}
			used.Stored = true
			found[k] = used
			return nil
		},
	}
}

func kept(keys []claim.Kept, found map[claim.Kept]quantity.Rat) *lookup {
	return &lookup{
		keys: "account bigint, method text, input text, object text, period text",
		cols: `h.account, h.method, h.input, h.object, h.period, h.value`,
		from: []source{{table: "history", alias: "h", on: `h.part = $1 AND h.account = u.account AND h.method = u.method AND h.input = u.input AND h.object = u.object AND h.period = u.period`}},
		args: []any{
			column(keys, func(k *claim.Kept) int64 { return k.Account }),
			column(keys, func(k *claim.Kept) string { return k.Method }),
			column(keys, func(k *claim.Kept) string { return k.Input }),
			column(keys, func(k *claim.Kept) string { return k.Object }),
			column(keys, func(k *claim.Kept) string { return k.Period }),
		},
		row: func(scan func(...any) error) error {
			var k claim.Kept
			var text string
			if err := scan(&k.Account, &k.Method, &k.Input, &k.Object, &k.Period, &text); err != nil {
				return err
			}
			v, err := quantity.ParseRat(text)
			found[k] = v
			return err
		},
	}
}

func nets(keys []ledger.Key, found map[ledger.Key]int64) *lookup {
	return &lookup{
		keys: "holder bigint, asset text",
		cols: `b.holder, b.asset, b.amount`,
		from: []source{{table: "balance", alias: "b", on: `b.part = $1 AND b.holder = u.holder AND b.asset = u.asset`}},
		args: []any{
			column(keys, func(k *ledger.Key) int64 { return int64(k.Holder) }),
			column(keys, func(k *ledger.Key) string { return string(k.Asset) }),
		},
		row: func(scan func(...any) error) error {
			var k ledger.Key
			var n int64
			err := scan(&k.Holder, &k.Asset, &n)
			found[k] = n
			return err
		},
	}
}
