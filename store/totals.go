package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
)

// A Series is one programme's reductions by one version of a methodology, of one year.
type Series struct{ Programme, Method, Vintage string }

// A Sum is what the accepted claims of a series came to, less what corrections took back.
type Sum struct {
	Claims, Milligrams, Points int64  // claims that were accepted; amounts that are left
	From                       string // the first day of what is in it
	Upto                       string // the last
	Judged                     int64  // claims that were accepted on these days, be they in it or not
	Reversed                   int64  // claims of which corrections took something back on these days
}

// Unopened returns, by series of a programme, what was accepted up to a local day and is in none of the totals that
// were opened so far. What was judged late, by a clock that was behind, is in it too.
func (db *DB) Unopened(ctx context.Context, programme, upto string) (map[Series]Sum, error) {
	rows, err := db.read.QueryContext(ctx, `SELECT method, vintage, sum(CASE WHEN reason = $3 THEN claims ELSE 0 END), sum(mg), sum(points), min(day),
			sum(CASE WHEN reason = $3 AND `+afterOpened+` THEN claims ELSE 0 END), sum(CASE WHEN reason = $4 AND `+afterOpened+` THEN claims ELSE 0 END)
		FROM day_total d WHERE programme = $1 AND day <= $2 AND reason IN ($3, $4) GROUP BY method, vintage`, programme, upto, string(reason.OK), string(reason.Reversed))
	if err != nil {
		return nil, fmt.Errorf("summing days: %w", err)
	}
	defer rows.Close()
	sums := map[Series]Sum{}
	for rows.Next() {
		k, s := Series{Programme: programme}, Sum{Upto: upto}
		if err := rows.Scan(&k.Method, &k.Vintage, &s.Claims, &s.Milligrams, &s.Points, &s.From, &s.Judged, &s.Reversed); err != nil {
			return nil, err
		}
		sums[k] = s
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return sums, db.withoutOpened(ctx, programme, sums)
}

// afterOpened tells a day that is in none of its series' totals.
const afterOpened = "day > coalesce((SELECT max(upto) FROM totals t WHERE t.programme = $1 AND t.method = d.method AND t.vintage = d.vintage), '')"

// withoutOpened takes away what was opened before, and moves the first day to the one after.
func (db *DB) withoutOpened(ctx context.Context, programme string, sums map[Series]Sum) error {
	rows, err := db.read.QueryContext(ctx, "SELECT method, vintage, sum(claims), sum(mg), sum(points), max(upto) FROM totals WHERE programme = $1 GROUP BY method, vintage", programme)
	if err != nil {
		return fmt.Errorf("summing totals: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		k, opened := Series{Programme: programme}, Sum{}
		if err := rows.Scan(&k.Method, &k.Vintage, &opened.Claims, &opened.Milligrams, &opened.Points, &opened.Upto); err != nil {
			return err
		}
		s, ok := sums[k]
		if !ok {
			continue
		}
		s.Claims, s.Milligrams, s.Points = s.Claims-opened.Claims, s.Milligrams-opened.Milligrams, s.Points-opened.Points
		// Less than was opened is left after a restore: what was lost is counted again when it is reported again, and until
		// then nothing is opened.
		if s.From = nextDay(opened.Upto); s.From > s.Upto || s.Claims < 0 || s == (Sum{From: s.From, Upto: s.Upto, Judged: s.Judged, Reversed: s.Reversed}) {
			delete(sums, k)
			continue
		}
		sums[k] = s
	}
	return rows.Err()
}

// Counted are the claims by which members are counted: judged from one instant to before another, of acts that began from a
// third one on.
type Counted struct{ From, To, Started claim.Micros }

// Members counts the members who share each of these sums by what was judged in one partition: those with accepted claims that
// stand, and those from whom something was taken back that was accepted before. It stops when each has enough. Of whom all was
// taken back at once, there is nothing in the sum to hide others in.
func (db *DB) Members(ctx context.Context, part int, c Counted, series map[Series]map[AccountID]bool, enough int) error {
	rows, err := db.read.QueryContext(ctx, "SELECT batch, accounts FROM batch WHERE part = $1 AND at >= $2 AND at < $3 ORDER BY batch", part, c.From, c.To)
	if err != nil {
		return fmt.Errorf("reading batches: %w", err)
	}
	defer rows.Close()
	met := map[int64]bool{}
	var first, last int64
	for rows.Next() {
		var accounts []byte
		if err := rows.Scan(&last, &accounts); err != nil {
			return err
		}
		if first == 0 {
			first = last
		}
		for ; len(accounts) >= 8; accounts = accounts[8:] {
			met[int64(binary.BigEndian.Uint64(accounts))] = true
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows.Close()
	for some := range slices.Chunk(slices.Sorted(maps.Keys(met)), accountsAtOnce) {
		if full(series, enough) {
			return nil
		}
		if err := db.seriesOf(ctx, part, some, first, last, c.Started, series); err != nil {
			return err
		}
	}
	return nil
}

// accountsAtOnce is how many accounts one statement asks for.
const accountsAtOnce = 200

func full(series map[Series]map[AccountID]bool, enough int) bool {
	for _, members := range series {
		if len(members) < enough {
			return false
		}
	}
	return true
}

// seriesOf notes accounts in those series in whose sums they have a part by batches from first to last.
func (db *DB) seriesOf(ctx context.Context, part int, accounts []int64, first, last int64, started claim.Micros, series map[Series]map[AccountID]bool) error {
	args := []any{part, first, last, string(reason.OK), started}
	var list strings.Builder
	for _, account := range accounts {
		args = append(args, account)
		fmt.Fprintf(&list, ", $%d", len(args))
	}
	rows, err := db.read.QueryContext(ctx, `SELECT DISTINCT account, programme, method, vintage FROM claim
		WHERE part = $1 AND account IN (`+list.String()[2:]+`) AND reason = $4 AND (batch BETWEEN $2 AND $3 AND reversed = 0 AND start >= $5 OR batch < $2 AND reversed BETWEEN $2 AND $3)`, args...)
	if err != nil {
		return fmt.Errorf("counting members: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var k Series
		id := AccountID{Part: part}
		if err := rows.Scan(&id.Number, &k.Programme, &k.Method, &k.Vintage); err != nil {
			return err
		}
		if members, ok := series[k]; ok {
			members[id] = true
		}
	}
	return rows.Err()
}

// LastTotals is the number of the last totals that were opened, 0 when none were.
func (db *DB) LastTotals(ctx context.Context) (n int64, err error) {
	err = db.read.QueryRowContext(ctx, "SELECT coalesce(max(number), 0) FROM totals").Scan(&n)
	return n, err
}

// OpenTotals records totals under the next number, for the log to take up. It reports false when somebody else took
// the number first.
func (db *DB) OpenTotals(ctx context.Context, number int64, k Series, s Sum, body []byte) (bool, error) {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	result, err := conn.ExecContext(ctx, `INSERT INTO totals (number, programme, method, vintage, upto, claims, mg, points, body)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (number) DO NOTHING`,
		number, k.Programme, k.Method, k.Vintage, s.Upto, s.Claims, s.Milligrams, s.Points, body)
	if err != nil {
		return false, fmt.Errorf("opening totals: %w", err)
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// nextDay is the day after one, 2026-08-22 after 2026-08-21.
func nextDay(day string) string {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return day
	}
	return t.AddDate(0, 0, 1).Format(time.DateOnly)
}
