package audit

import (
	"bytes"
	"cmp"
	"slices"
	"strings"

	"github.com/tanpu/tanpu/flows/past"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
)

// A judge judges one account's claims again, batch by batch in order of arrival. It knows what the claims
// before have left, and nothing from the tables that were derived from them when they were judged first.
type judge struct {
	*reach
	rows []store.ClaimRow // the account's claims

	who     *person
	order   []*store.ClaimRow // the same in the order that is needed
	retrial claim.Retrial
	entries map[ledger.Key]int64 // what they leave on the account's balances
	claims  []claim.Claim        // of one batch
}

// account judges all claims of one account and holds what follows from them against what is recorded.
func (j *judge) account() {
	n := j.rows[0].Account
	if j.who = j.people[n]; j.who == nil {
		j.foundAccount(Accounts, n, "it has %d claims, and was never opened", len(j.rows))
		j.who = &person{Person: &past.Person{}}
	}
	j.retrial.Begin()
	j.entries = map[ledger.Key]int64{}
	j.order = j.order[:0]
	for i := range j.rows {
		j.order = append(j.order, &j.rows[i])
	}
	slices.SortFunc(j.order, func(a, b *store.ClaimRow) int { return cmp.Compare(a.Start, b.Start) })
	j.overlaps()
	past.Arrived(j.order, j.batch)
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
	if b.book == nil || !j.read(rows) {
		j.who.partial = true
		return
	}
	j.who.At(b.at)
	outcome := j.retrial.Judge(claim.Session{Book: b.book, At: b.at, Backfill: b.backfill}, j.Part, b.number, j.claims, j.who.Links)
	made := outcome.Rows
	for i, r := range rows {
		if len(made) == 0 || made[0].Claim != &j.claims[i] {
			j.foundClaim(Verdicts, r, "it is recorded as %s; judged again it is %s, which is not recorded", r.Verdict.Reason, outcome.Verdicts[i].Reason)
			continue
		}
		j.verdict(b, r, &made[0])
		made = made[1:]
	}
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
		}
		j.claims = append(j.claims, c)
	}
	return ok
}

// verdict holds a claim's recorded outcome against the one made anew, and both against the batch's leaf.
func (j *judge) verdict(b *batch, r *store.ClaimRow, row *claim.Row) {
	if wrong := differences(r, row); wrong != "" {
		j.foundClaim(Verdicts, r, "%s", wrong)
	}
	if !j.who.Keyed {
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
			if o.Group == r.Group && o.Verdict.Reason.Kind() == reason.Accepted && claim.Clash(claim.Span{Start: o.Start, End: o.End}, this, g.Tolerance) {
				j.foundClaim(Overlaps, r, "it was accepted, and so was %s at the same time", o.Verdict.Ref)
			}
		}
	}
}

// spanning is the group of an accepted act that takes time of its own; nil for all others.
func (j *judge) spanning(r *store.ClaimRow) *methodology.Group {
	if r.Group == "" || r.Verdict.Reason.Kind() != reason.Accepted {
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
	for k, u := range j.retrial.Known.Usage {
		made := u.String()
		if has := j.usage[k]; has != made {
			j.foundAccount(Usages, n, "usage of %s in %s is recorded as %q, and its claims sum to %q", k.Method, k.Name, has, made)
		}
		delete(j.usage, k)
	}
	for k, made := range j.retrial.Known.Slots {
		if has, ok := j.slots[k]; has != made || !ok {
			j.foundAccount(Slots, n, "slot %s of group %s is recorded as %+v, and its claims make it %+v", k.Key, k.Group, has, made)
		}
		delete(j.slots, k)
	}
	for k, v := range j.retrial.Known.Kept {
		made := v.String()
		if has := j.history[k]; has != made {
			j.foundAccount(Histories, n, "%s of %s in %s is kept as %q, and was reported as %q", k.Input, k.Method, k.Period, has, made)
		}
		delete(j.history, k)
	}
}
