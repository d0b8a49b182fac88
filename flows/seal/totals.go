package seal

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// Least is how many members must share a sum before it is opened to everybody.
const Least = 10

// settle is how long after midnight a day's sums are opened: longer than clocks of servers can differ.
const settle = time.Hour

// OpenTotals opens what each programme's accepted claims came to on its local days that are over: one entry of the log for
// each methodology and year. Sums that fewer than Least members share are left for the next days, and then are in
// the same entry as those.
//
// Each entry holds what is in none before it. So nothing depends on when this runs, nor on its running every day.
func OpenTotals(ctx context.Context, db *store.DB, now time.Time) (opened int, err error) {
	return openTotals(ctx, db, now, map[string]string{})
}

// openTotals leaves alone the programmes that were looked at up to that day before: what few members share will not be
// shared by more until the next day is over, and to count them is work.
func openTotals(ctx context.Context, db *store.DB, now time.Time, looked map[string]string) (opened int, err error) {
	number, err := db.Rulebook(ctx)
	if err != nil || number == 0 {
		return 0, err
	}
	book, err := publish.Load(ctx, db, number)
	if err != nil {
		return 0, err
	}
	for _, id := range slices.Sorted(maps.Keys(book.Programmes)) {
		p := book.Programmes[id]
		local := now.Add(-settle).In(p.Zone).AddDate(0, 0, -1)
		upto := local.Format(time.DateOnly)
		if looked[id] == upto {
			continue
		}
		n, all, err := openProgramme(ctx, db, p, local, upto)
		opened += n
		if err != nil {
			return opened, err
		}
		if all {
			looked[id] = upto
		}
	}
	return opened, nil
}

// openProgramme opens a programme's sums up to a local day; all but those of which another server is opening the rest.
func openProgramme(ctx context.Context, db *store.DB, p *rulebook.Programme, local time.Time, upto string) (opened int, all bool, err error) {
	last, err := db.LastTotals(ctx) // before the sums: what another server opens after this takes our number
	if err != nil {
		return 0, false, err
	}
	sums, err := db.Unopened(ctx, p.ID, upto)
	if err != nil || len(sums) == 0 {
		return 0, err == nil, err
	}
	end := time.Date(local.Year(), local.Month(), local.Day()+1, 0, 0, 0, 0, p.Zone)
	shared, err := shared(ctx, db, p, sums, end)
	if err != nil {
		return 0, false, err
	}
	for _, k := range slices.SortedFunc(maps.Keys(sums), func(a, b store.Series) int {
		return cmp.Or(cmp.Compare(a.Method, b.Method), cmp.Compare(a.Vintage, b.Vintage))
	}) {
		if !shared[k] {
			continue
		}
		s := sums[k]
		body := record.Text(&record.Totals{Number: last + 1, Programme: k.Programme, Method: k.Method, Vintage: k.Vintage,
			From: s.From, To: s.Upto, Least: Least, Claims: s.Claims, Reduction: s.Milligrams, Points: s.Points})
		done, err := db.OpenTotals(ctx, last+1, k, s, body)
		if err != nil || !done {
			return opened, false, err // another server is at it
		}
		last, opened = last+1, opened+1
	}
	return opened, true, nil
}

// days are those of a sum from its first one on, and whether some of what was judged on them was opened before: it was lost
// with a database, and reported again.
type days struct {
	from  string
	again bool
}

// shared tells which sums enough members share, each over its own days.
func shared(ctx context.Context, db *store.DB, p *rulebook.Programme, sums map[store.Series]store.Sum, end time.Time) (map[store.Series]bool, error) {
	by := map[days]map[store.Series]map[store.AccountID]bool{}
	for k, s := range sums {
		if s.Claims+s.Reversed < Least {
			continue // nor so many members; to find out takes a look at everybody's claims of these days
		}
		d := days{s.From, s.Judged > s.Claims}
		if by[d] == nil {
			by[d] = map[store.Series]map[store.AccountID]bool{}
		}
		by[d][k] = map[store.AccountID]bool{}
	}
	shared := map[store.Series]bool{}
	for d, members := range by {
		begin, err := time.ParseInLocation(time.DateOnly, d.from, p.Zone)
		if err != nil {
			return nil, err
		}
		counted := store.Counted{From: begin.UnixMicro(), To: end.UnixMicro(), Started: math.MinInt64}
		if d.again { // an act that began later is in nothing that was opened; a day, for claims may be ahead of the clock
			counted.Started = begin.AddDate(0, 0, 1).UnixMicro()
		}
		for part := range db.Parts {
			if err := db.Members(ctx, part, counted, members, Least); err != nil {
				return nil, err
			}
		}
		for k := range members {
			shared[k] = len(members[k]) >= Least
		}
	}
	return shared, nil
}
