package audit

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
)

// opened are the sums that the logs have opened, by series, up to their last day, less what the days came to. A day that is over
// does not change any more, so nothing may be left; only a clock that is an hour behind puts more into it.
type opened struct {
	mu  sync.Mutex
	all map[store.Series]*store.Sum // guarded by mu
}

// say takes in an entry of a log.
func (o *opened) say(e *record.Totals) {
	o.mu.Lock()
	defer o.mu.Unlock()
	k := store.Series{Programme: e.Programme, Method: e.Method, Vintage: e.Vintage}
	s := o.all[k]
	if s == nil {
		s = &store.Sum{}
		if o.all == nil {
			o.all = map[store.Series]*store.Sum{}
		}
		o.all[k] = s
	}
	s.Claims, s.Milligrams, s.Points, s.Upto = s.Claims+e.Claims, s.Milligrams+e.Reduction, s.Points+e.Points, max(s.Upto, e.To)
}

// day takes away what a day of a partition came to.
func (o *opened) day(t claim.Total) {
	o.mu.Lock()
	defer o.mu.Unlock()
	s := o.all[store.Series{Programme: t.Programme, Method: t.Method, Vintage: t.Vintage}]
	if s == nil || t.Day > s.Upto {
		return
	}
	switch t.Reason {
	case reason.OK:
		s.Claims -= t.Claims
		fallthrough
	case reason.Reversed:
		s.Milligrams, s.Points = s.Milligrams-t.Milligrams, s.Points-t.Points
	}
}

// checkOpened tells of sums that are not those of their days. What was lost with a database is in them and in no day; what was
// judged late is in a day, and will be in the next sum.
func (a *audit) checkOpened() {
	if a.report.Held.Batches > 0 {
		return
	}
	order := func(x, y store.Series) int {
		return cmp.Or(cmp.Compare(x.Programme, y.Programme), cmp.Compare(x.Method, y.Method), cmp.Compare(x.Vintage, y.Vintage))
	}
	for _, k := range slices.SortedFunc(maps.Keys(a.opened.all), order) {
		switch s := a.opened.all[k]; {
		case s.Claims < 0:
			a.note(sprintf("%d claims of %q, method %q, vintage %q, were judged by a clock that was behind, on days up to %s of which the sum was opened: they are in the next one",
				-s.Claims, k.Programme, k.Method, k.Vintage, s.Upto))
		case s.Claims > 0 || s.Milligrams != 0 || s.Points != 0:
			a.foundLog("the sums of %q, method %q, vintage %q, that were opened up to %s are more by %d claims, %d mg and %d thousandths of a point than the days came to",
				k.Programme, k.Method, k.Vintage, s.Upto, s.Claims, s.Milligrams, s.Points)
		}
	}
}
