package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/testimony"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
)

// check holds the database against what the partners know and against a plain model. Everything acknowledged
// must be recorded, once, as it was acknowledged; nothing else must be; the verdicts must be those of one who
// judges in the order of the references; and the balances must be what they add up to. Then it audits.
func (o *ordeal) check() {
	if o.Failed() {
		return
	}
	o.checks++
	if l := o.servers[0].current.Load(); l.ending.Load() == 0 {
		for _, p := range o.partners {
			p.recall()
		}
	}
	ctx := context.Background()
	db, err := store.OpenRead(ctx, o.url)
	if err != nil {
		o.Fatal(err)
	}
	defer db.Close()
	histories := o.histories()
	rows := 0
	for part := range db.Parts {
		err := db.Snapshot(ctx, part, func(s *store.Snapshot) error {
			n, err := o.compareRows(ctx, s)
			rows += n
			if err == nil {
				err = o.compareBalances(ctx, s, o.judge(part, histories))
			}
			return err
		})
		if err != nil {
			o.Fatal(err)
		}
	}
	o.missing(rows)
	o.testified(ctx, db)
	o.audit(rows)
}

// testified looks for what was signed of what was acknowledged.
func (o *ordeal) testified(ctx context.Context, db *store.DB) {
	var refs []claim.Ref
	for _, p := range o.partners {
		for _, r := range p.all {
			if p.signing != nil && r.answered && r.recorded() {
				refs = append(refs, r.verdict.ref)
			}
		}
	}
	kept, err := db.Testified(ctx, refs)
	if err != nil {
		o.Fatal(err)
	}
	for _, ref := range refs {
		if !kept[ref] {
			o.Errorf("claim %v was signed and acknowledged, and the signature is lost", ref)
		}
	}
	for _, c := range o.sample {
		if _, found, err := testimony.Of(ctx, db, c); err != nil || found != kept[c.Verdict.Ref] && o.reported(c).by.signing != nil {
			o.Errorf("of claim %v a signature is found: %t, %v", c.Verdict.Ref, found, err)
		}
	}
	o.sample = nil
}

// audit runs “tanpu audit”.
func (o *ordeal) audit(rows int) {
	out, err := exec.Command(o.binary, "audit", "--db", o.url, "--json").Output()
	var report audit.Report
	if wrong := json.Unmarshal(out, &report); wrong != nil {
		o.Fatalf("the audit said %s (%v, %v)", out, err, wrong)
	}
	if err != nil || !report.Clean() || report.Claims != int64(rows) {
		o.Errorf("the audit of %d claims (we saw %d) found %v (%v)\n%v", report.Claims, rows, report.Found, err, report.Findings)
	}
	o.notes = report.Notes
}

// compareRows holds the partition's batches and claims against what was acknowledged, and counts the claims.
func (o *ordeal) compareRows(ctx context.Context, s *store.Snapshot) (rows int, err error) {
	next, held := int64(1), int64(0)
	err = s.Batches(ctx, func(b *store.BatchRow) {
		if b.Number != next {
			o.Errorf("partition %d has batch %d where %d is due", s.Part, b.Number, next)
		}
		next, held = b.Number+1, held+b.Claims
	})
	if err != nil {
		return 0, err
	}
	err = s.Claims(ctx, store.Range{From: 1, To: s.Accounts}, func(c *store.ClaimRow) {
		if rows++; rows%100 == 0 {
			o.sample = append(o.sample, new(*c))
		}
		r := o.reported(c)
		switch {
		case r == nil:
			o.Errorf("%s %s is recorded, and nobody reported it", c.Partner, c.ID)
		case !r.answered:
			o.Errorf("%v is recorded as %v, and never was answered", r, c.Verdict.Ref)
		case r.checked == o.checks:
			o.Errorf("%v is recorded twice", r)
		case !same(c, r):
			o.Errorf("%v is recorded as %+v", r, *c)
		}
		if r != nil {
			r.checked = o.checks
		}
	})
	if next != s.Next || held != int64(rows) {
		o.Errorf("partition %d: %d claims in batches that hold %d; the next batch is %d, not %d", s.Part, rows, held, s.Next, next)
	}
	return rows, err
}

// reported finds the report that a row is of.
func (o *ordeal) reported(c *store.ClaimRow) *report {
	var n, id int
	if _, err := fmt.Sscanf(c.ID, "%d-%d", &n, &id); err != nil || n >= len(o.partners) || id >= len(o.partners[n].all) {
		return nil
	}
	return o.partners[n].all[id]
}

// same reports whether a row says what was reported and acknowledged.
func same(c *store.ClaimRow, r *report) bool {
	want := r.claim()
	v := verdict{reason: c.Verdict.Reason, mg: c.Verdict.Milligrams, points: c.Verdict.Points, ref: c.Verdict.Ref, operands: r.verdict.operands}
	return v == r.verdict && r.of != nil && r.of.account == store.AccountID{Part: c.Verdict.Ref.Part, Number: c.Account} &&
		c.Partner == want.Partner && c.ID == want.ID && c.Sub == want.Sub && c.Scenario == want.Scenario &&
		c.Start == want.Start && c.End == want.End && c.Body == claim.Body(&want)
}

// missing looks for what was acknowledged and is not recorded.
func (o *ordeal) missing(rows int) {
	acknowledged := 0
	for _, p := range o.partners {
		for _, r := range p.all {
			if !r.answered || !r.recorded() {
				continue
			}
			acknowledged++
			if r.checked != o.checks {
				o.Errorf("%v is lost", r)
			}
		}
	}
	if rows != acknowledged {
		o.Errorf("%d claims were acknowledged and %d are recorded", acknowledged, rows)
	}
}

// histories sorts what was acknowledged by member, in the order in which it was judged.
func (o *ordeal) histories() map[*member][]*report {
	by := map[*member][]*report{}
	for _, p := range o.partners {
		for _, r := range p.all {
			if r.answered && r.recorded() {
				by[r.of] = append(by[r.of], r)
			}
		}
	}
	for _, list := range by {
		slices.SortFunc(list, func(a, b *report) int {
			return cmp.Or(cmp.Compare(a.verdict.ref.Batch, b.verdict.ref.Batch), cmp.Compare(a.verdict.ref.Ord, b.verdict.ref.Ord))
		})
	}
	return by
}

// judge judges the histories of a partition's members plainly, holds the verdicts against the acknowledged
// ones, and returns the balances that they add up to. Assets are told apart by their kind only.
func (o *ordeal) judge(part int, histories map[*member][]*report) map[ledger.Key]int64 {
	balances := map[ledger.Key]int64{}
	move := func(to ledger.Holder, kind ledger.Asset, amount int64) {
		balances[ledger.Key{Holder: to, Asset: kind}] += amount
		balances[ledger.Key{Holder: ledger.Issuance, Asset: kind}] -= amount
	}
	for m, history := range histories {
		if m.account.Part != part {
			continue
		}
		owner := ledger.Applicant
		if m.keepsTitle {
			owner = ledger.Holder(m.account.Number)
		}
		var life past
		for _, r := range history {
			code, mg := life.judge(r)
			points := mg / 10 // a point for 10 g, and both in thousandths
			if m.keepsTitle {
				points = 0
			}
			if code != r.verdict.reason || mg != r.verdict.mg || points != r.verdict.points {
				o.Errorf("%v should be %s, %d mg, %d thousandths", r, code, mg, points)
			}
			move(owner, "CO2E", mg)
			move(ledger.Holder(m.account.Number), "POINT", points)
		}
	}
	return balances
}

// A past is what counts of a member's acts, and the plain model of testdata/crash.
type past struct {
	rides    []*report
	ridden   map[int64]int   // rides that count, by day
	walked   map[int64]int64 // mg credited for steps, by day
	ordered  map[int]bool    // orders that count, by key
	prepared bool
}

func (p *past) judge(r *report) (reason.Code, int64) {
	if !p.prepared {
		*p = past{ridden: map[int64]int{}, walked: map[int64]int64{}, ordered: map[int]bool{}, prepared: true}
	}
	day := (r.start/1e6 + 8*3600) / 86400
	switch r.kind {
	case walking:
		if r.length != 86400 || (r.start/1e6+8*3600)%86400 != 0 {
			return reason.BadTime, 0
		}
		more := max(0, 20*int64(r.amount)-p.walked[day])
		p.walked[day] += more
		return reason.OK, more
	case ordering:
		if p.ordered[r.amount] {
			return reason.Overlap, 0
		}
		p.ordered[r.amount] = true
		return reason.OK, 7000
	}
	switch {
	case r.amount < 100:
		return reason.BelowMinimum, 0
	case r.amount > 50_000:
		return reason.AboveMaximum, 0
	case r.amount*3600 > 25_000*r.length:
		return reason.Implausible, 0
	case slices.ContainsFunc(p.rides, r.clashes):
		return reason.Overlap, 0
	case p.ridden[day] == 4:
		return reason.CapReached, 0
	}
	p.rides = append(p.rides, r)
	p.ridden[day]++
	mg := int64(r.amount) * 933 / 10
	if r.self {
		mg = int64(r.amount) * 933 / 20
	}
	return reason.OK, mg
}

// clashes reports whether one person cannot have ridden both: they share more than a minute, or more than
// half of the shorter one.
func (r *report) clashes(o *report) bool {
	shared := min(r.start+int64(r.length)*1e6, o.start+int64(o.length)*1e6) - max(r.start, o.start)
	return shared > 60*1e6 || shared > 0 && 2*shared > int64(min(r.length, o.length))*1e6
}

// compareBalances holds the partition's balances against the model's.
func (o *ordeal) compareBalances(ctx context.Context, s *store.Snapshot, want map[ledger.Key]int64) error {
	got := map[ledger.Key]int64{}
	err := s.Balances(ctx, store.Range{From: -1000, To: s.Accounts}, func(k ledger.Key, amount int64) {
		got[ledger.Key{Holder: k.Holder, Asset: ledger.Asset(k.Asset.Kind())}] += amount
	})
	nothing := func(_ ledger.Key, amount int64) bool { return amount == 0 }
	maps.DeleteFunc(got, nothing)
	maps.DeleteFunc(want, nothing)
	for k, amount := range want {
		if got[k] != amount {
			o.Errorf("partition %d: the balance of %+v is %d, and all acknowledged claims add up to %d", s.Part, k, got[k], amount)
		}
	}
	for k, amount := range got {
		if _, ok := want[k]; !ok {
			o.Errorf("partition %d: the balance of %+v is %d, and nothing was acknowledged", s.Part, k, amount)
		}
	}
	return err
}
