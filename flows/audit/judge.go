package audit

import (
	"bytes"
	"cmp"
	"math"
	"slices"
	"sort"
	"strings"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// A judge judges one account's claims again, batch by batch in order of arrival. It knows what the claims
// before have left, and nothing from the tables that were derived from them when they were judged first.
type judge struct {
	*reach
	rows []store.ClaimRow // the account's claims

	who     *person
	order   []*store.ClaimRow // the same in the order that is needed
	known   *claim.Known
	spans   map[claim.Line][]claim.Span // accepted so far, in order of start
	entries map[ledger.Key]int64        // what they leave on the account's balances
	claims  []claim.Claim               // of one batch
	widest  []claim.Near
	docket  claim.Docket

	book     func(claim.Basis) (*rulebook.Rulebook, error)
	undone   []claim.Reversal // those of the account's claims that are still to come
	before   []claim.Past     // its claims so far; only where there are reversals
	passed   []claim.Reversal // its reversals so far
	reversed map[claim.Ref]int64
}

// account judges all claims of one account and holds what follows from them against what is recorded.
func (j *judge) account() {
	n := j.rows[0].Account
	if j.who = j.people[n]; j.who == nil {
		j.foundAccount(Accounts, n, "it has %d claims, and was never opened", len(j.rows))
		j.who = &person{}
	}
	if j.who.erased {
		j.stillThere(n, "claims")
	}
	j.known, j.spans, j.entries = claim.NewKnown(), map[claim.Line][]claim.Span{}, map[ledger.Key]int64{}
	j.order = j.order[:0]
	for i := range j.rows {
		j.order = append(j.order, &j.rows[i])
	}
	slices.SortFunc(j.order, func(a, b *store.ClaimRow) int { return cmp.Compare(a.Start, b.Start) })
	j.overlaps()
	slices.SortFunc(j.order, func(a, b *store.ClaimRow) int {
		return cmp.Or(cmp.Compare(a.Verdict.Ref.Batch, b.Verdict.Ref.Batch), cmp.Compare(a.Verdict.Ref.Ord, b.Verdict.Ref.Ord))
	})
	j.beginCorrections(n)
	for from := 0; from < len(j.order); {
		if j.reversalsBefore(j.order[from].Verdict.Ref.Batch) {
			continue
		}
		to := from + 1
		for to < len(j.order) && j.order[to].Verdict.Ref.Batch == j.order[from].Verdict.Ref.Batch {
			to++
		}
		j.batch(j.order[from:to])
		from = to
	}
	for j.reversalsBefore(math.MaxInt64) {
	}
	j.marks()
	if !j.who.partial {
		j.compare()
	}
}

// batch judges an account's claims of one batch.
func (j *judge) batch(rows []*store.ClaimRow) {
	b := j.partition.batch(rows[0].Verdict.Ref.Batch)
	if b == nil {
		for _, r := range rows {
			j.foundClaim(Places, r, "there is no such batch")
		}
		j.who.partial = true
		return
	}
	for _, r := range rows {
		j.place(b, r)
		j.tallied.add(b, tallyKey{r.Programme, r.Verdict.Method, r.Vintage, r.Verdict.Reason}, 1, r.Verdict.Milligrams, r.Verdict.Points)
		j.ids.add(idHash(r.Partner, r.ID), j.Part, r.Account)
	}
	undone := j.reversalsOf(b.number)
	if b.book == nil || !j.read(rows) {
		j.who.partial = true
		return
	}
	if b.correction {
		j.correct(b, rows, undone)
		return
	}
	defer j.remember(b, rows)
	j.register(b.at)
	j.docket.Reopen(claim.Session{Book: b.book, At: b.at, Backfill: b.backfill}, j.claims, j.who.links)
	j.forgotten(b, rows)
	j.near(j.docket.Needs.Near)
	outcome := j.docket.JudgeAgain(j.Part, b.number, j.known)
	made := outcome.Rows
	for i, r := range rows {
		if len(made) == 0 || made[0].Claim != &j.claims[i] {
			j.foundClaim(Verdicts, r, "it is recorded as %s; judged again it is %s, which is not recorded", r.Verdict.Reason, outcome.Verdicts[i].Reason)
			continue
		}
		j.verdict(b, r, &made[0])
		made = made[1:]
	}
	j.accepted(outcome.Rows, b.book)
	for key, amount := range outcome.Entry.All() {
		if key.Holder > 0 {
			j.entries[key] += amount
		} else {
			j.counters[key] += amount
		}
	}
}

// place looks whether the claim is where its batch recorded one, and whose.
func (j *judge) place(b *batch, r *store.ClaimRow) {
	ord := r.Verdict.Ref.Ord
	switch {
	case ord < 0 || ord >= b.n:
		j.foundClaim(Places, r, "its batch recorded %d claims", b.n)
		return
	case j.seen[b.first+ord]:
		j.foundClaim(Places, r, "another claim has the same place")
	case j.owner(b.first+ord) != r.Account:
		j.foundClaim(Places, r, "its batch recorded a claim of account %s there", store.AccountID{Part: j.Part, Number: j.owner(b.first + ord)})
	}
	j.seen[b.first+ord] = true
}

// read puts the claims together as they were reported.
func (j *judge) read(rows []*store.ClaimRow) bool {
	j.claims = j.claims[:0]
	ok := true
	for _, r := range rows {
		c := r.Claim
		if !claim.ParseBody(&c, r.Body) {
			j.foundClaim(Verdicts, r, "its body is not one that could have been recorded: %q", r.Body)
			ok = false
		} else {
			j.said(r, &c)
		}
		j.claims = append(j.claims, c)
	}
	return ok
}

// register gives the account's links the objects that were registered by then.
func (j *judge) register(at claim.Micros) {
	if len(j.who.objects) == 0 {
		return
	}
	var objects []string
	for _, o := range j.who.objects {
		if o.at <= at {
			objects = append(objects, o.object)
		}
	}
	for _, l := range j.who.links {
		l.Objects = objects
	}
}

// near makes the accepted spans known that a docket asks for, and no more: in the order of years an
// account has many.
func (j *judge) near(needs []claim.Near) {
	clear(j.known.Spans)
	j.widest = j.widest[:0]
	for _, n := range needs {
		i := slices.IndexFunc(j.widest, func(w claim.Near) bool { return w.Line == n.Line })
		if i < 0 {
			j.widest = append(j.widest, n)
			continue
		}
		w := &j.widest[i]
		w.From, w.To = min(n.From, w.From), max(n.To, w.To)
	}
	for _, w := range j.widest {
		all := j.spans[w.Line]
		from, to := after(all, w.From), after(all, w.To+1)
		if from < to {
			j.known.Spans[w.Line] = all[from:to:to] // Judge appends, and must not append here
		}
	}
}

// after finds the first span that does not start before an instant.
func after(spans []claim.Span, at claim.Micros) int {
	return sort.Search(len(spans), func(i int) bool { return spans[i].Start >= at })
}

// accepted notes the spans of the claims that were accepted.
func (j *judge) accepted(rows []claim.Row, book *rulebook.Rulebook) {
	for i := range rows {
		r := &rows[i]
		if r.Verdict.Reason.Kind() != reason.Accepted || book.Group(r.Group).Kind != methodology.Spans {
			continue
		}
		line := claim.Line{Account: r.Account, Group: r.Group}
		all := j.spans[line]
		j.spans[line] = slices.Insert(all, after(all, r.Claim.Start), claim.Span{Start: r.Claim.Start, End: r.Claim.End, By: r.Claim.Partner})
	}
}

func sortSpans(list []claim.Span) {
	slices.SortFunc(list, func(a, b claim.Span) int { return cmp.Compare(a.Start, b.Start) })
}

// verdict holds a claim's recorded outcome against the one made anew, and both against the batch's leaf.
func (j *judge) verdict(b *batch, r *store.ClaimRow, row *claim.Row) {
	if wrong := differences(r, row); wrong != "" {
		j.foundClaim(Verdicts, r, "%s", wrong)
	}
	if !j.who.keyed {
		j.keyless++
		return
	}
	place := b.first + r.Verdict.Ref.Ord
	if r.Verdict.Ref.Ord < 0 || r.Verdict.Ref.Ord >= b.n {
		return
	}
	row.Verdict.Ref = r.Verdict.Ref
	leaf := claim.LeafHash(row)
	if !bytes.Equal(leaf[:], j.leaves[place*len(leaf):(place+1)*len(leaf)]) {
		j.foundClaim(Leaves, r, "its batch recorded another leaf than follows from the claim")
	}
}

// differences says how a recorded outcome differs from the one made anew; "" when it does not.
func differences(r *store.ClaimRow, row *claim.Row) string {
	var wrong []string
	v := &row.Verdict
	text := func(name, recorded, made string) {
		if recorded != made {
			wrong = append(wrong, sprintf("%s is recorded as %q, judged again %q", name, recorded, made))
		}
	}
	number := func(name string, recorded, made int64) {
		if recorded != made {
			wrong = append(wrong, sprintf("%s is recorded as %d, judged again %d", name, recorded, made))
		}
	}
	text("reason", string(r.Verdict.Reason), string(v.Reason))
	if r.Operands != "" || v.Operands != (reason.Operands{}) {
		text("operands", r.Operands, claim.Operands(&v.Operands))
	}
	text("method", r.Verdict.Method, v.Method)
	number("reduction_mg", r.Verdict.Milligrams, v.Milligrams)
	number("points_thousandths", r.Verdict.Points, v.Points)
	number("holder", int64(r.Holder), int64(row.Holder))
	text("programme", r.Programme, row.Programme)
	text("group", r.Group, row.Group)
	text("vintage", r.Vintage, row.Vintage)
	text("used", r.Used, claim.Used(row))
	return strings.Join(wrong, "; ")
}

// overlaps looks among the claims recorded as accepted, in order of start, for acts that one person cannot
// have done both.
func (j *judge) overlaps() {
	for i, r := range j.order {
		g := j.spanning(r)
		if g == nil {
			continue
		}
		this := claim.Span{Start: r.Start, End: r.End}
		for k := i - 1; k >= 0 && r.Start-j.order[k].Start <= g.Span.Microseconds(); k-- {
			o := j.order[k]
			if o.Group == r.Group && o.Verdict.Reason.Kind() == reason.Accepted && o.Reversed == 0 && claim.Clash(claim.Span{Start: o.Start, End: o.End}, this, g.Tolerance) {
				j.foundClaim(Overlaps, r, "it was accepted, and so was %s at the same time", o.Verdict.Ref)
			}
		}
	}
}

// spanning is the group of an accepted act that takes time of its own; nil for all others.
func (j *judge) spanning(r *store.ClaimRow) *methodology.Group {
	if r.Group == "" || r.Verdict.Reason.Kind() != reason.Accepted || r.Reversed != 0 {
		return nil
	}
	b := j.partition.batch(r.Verdict.Ref.Batch)
	if b == nil || b.book == nil {
		return nil
	}
	if g := b.book.Group(r.Group); g != nil && g.Kind == methodology.Spans {
		return g
	}
	return nil
}

// compare holds what follows from the account's claims against what is recorded of it.
func (j *judge) compare() {
	n := j.rows[0].Account
	j.compareBalances(j.entries, j.balances)
	for k, u := range j.known.Usage {
		made := u.String()
		if has := j.usage[k]; has != made {
			j.foundAccount(Usages, n, "usage of %s in %s is recorded as %q, and its claims sum to %q", k.Method, k.Name, has, made)
		}
		delete(j.usage, k)
	}
	for k, made := range j.known.Slots {
		if has, ok := j.slots[k]; has != made || !ok {
			j.foundAccount(Slots, n, "slot %s of group %s is recorded as %+v, and its claims make it %+v", k.Key, k.Group, has, made)
		}
		delete(j.slots, k)
	}
	for k, v := range j.known.Kept {
		made := v.String()
		if has := j.history[k]; has != made {
			j.foundAccount(Histories, n, "%s of %s in %s is kept as %q, and was reported as %q", k.Input, k.Method, k.Period, has, made)
		}
		delete(j.history, k)
	}
}
