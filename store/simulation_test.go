package store_test

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// TestModel has random claims judged through a real store, and holds every verdict, row and balance
// against a model that shares no code with the rules.
func TestModel(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) { simulate(t, newSQLiteStage(t), 20, false) })
	t.Run("postgres", func(t *testing.T) { simulate(t, newPostgresStage(t), 12, false) })
}

// TestFaults does the same while steps fail, errors come back of what was done, the process dies at any
// step, and clocks step back. Partners send again what was not answered. What was acknowledged must be
// there, nothing may count twice, and batches must be numbered without gaps. A failure is shrunk by
// rapid and can be run again by the seed that it prints.
func TestFaults(t *testing.T) {
	storetest.OneByOne(t)
	t.Run("sqlite", func(t *testing.T) { simulate(t, newSQLiteStage(t), 30, true) })
	t.Run("postgres", func(t *testing.T) { simulate(t, newPostgresStage(t), 20, true) })
}

func simulate(t *testing.T, s stage, rounds int, faults bool) {
	checks := flag.Lookup("rapid.checks").Value
	if before := checks.String(); before == "100" { // unless somebody asked for more
		checks.Set(fmt.Sprint(rounds))
		defer checks.Set(before)
	}
	db, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	put(t, db, documents...)
	w := &world{stage: s, db: db, faults: faults}
	defer func() { w.db.Close() }()
	rapid.Check(t, w.round)
	if t.Failed() {
		return
	}
	report, err := audit.Run(ctx(), w.db, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Clean() || report.Claims == 0 {
		t.Errorf("after %d claims the audit found %v", report.Claims, report.Findings)
	}
	t.Logf("%d claims in %d batches, %d strokes fell: %v", report.Claims, report.Batches, w.fallen, w.reasons)
}

// A world is one database with the partners who send to it. Every round has members of its own and plays
// a year later than the one before, so that rounds do not meet.
type world struct {
	stage
	db     *store.DB
	faults bool
	rounds int

	t       *rapid.T
	year    int
	now     time.Time
	parts   [2]modelPart
	sent    []claim.Claim
	fallen  int
	reasons map[reason.Code]int64
}

// A modelPart is what is known of one partition from outside.
type modelPart struct {
	model     *model
	subs      []string
	waiting   []claim.Claim
	head      int64 // number of its last batch
	at        int64 // instant of its last batch
	applicant map[string]int64
}

func (w *world) round(t *rapid.T) {
	w.t, w.year, w.sent = t, 2026+w.rounds, nil
	w.now = time.Date(w.year, 8, 1, 22, 0, 0, 0, shanghai)
	w.rounds++
	w.begin()
	for range rapid.IntRange(1, 30).Draw(t, "steps") {
		switch rapid.SampledFrom([]string{"send", "write", "send", "write", "resend", "write", "send", "write", "revoke"}).Draw(t, "step") {
		case "send":
			w.send(rapid.SliceOfN(rapid.Custom(w.draw), 1, 12).Draw(t, "claims"))
		case "resend":
			if len(w.sent) > 0 {
				w.send(rapid.SliceOfN(rapid.SampledFrom(w.sent), 1, 6).Draw(t, "claims again"))
			}
		case "revoke":
			w.revoke()
		case "write":
			w.write(rapid.IntRange(0, 1).Draw(t, "partition"), w.faults)
		}
	}
	for i := range w.parts {
		for len(w.parts[i].waiting) > 0 {
			w.write(i, false)
		}
		w.check(i)
	}
}

// begin opens accounts for the round.
func (w *world) begin() {
	for i := range w.parts {
		p := &w.parts[i]
		p.model, p.subs, p.waiting = newModel(), nil, nil
		err := w.db.Update(ctx(), i, w.now.AddDate(0, -1, 0).UnixMicro(), func(tx *store.Tx) error {
			first, err := tx.OpenAccounts(ctx(), 2)
			if err != nil {
				return err
			}
			var links []claim.Link
			for _, l := range []claim.Link{{Programme: "city", Partner: "bikes"}, {Programme: "home", Partner: "utility"}} {
				for account := range int64(2) {
					l.Account = first + account
					l.Purposes = rapid.SampledFrom([][]string{claim.Purposes, claim.Purposes, claim.Purposes, claim.Purposes, {claim.Credit}, {claim.Assign}}).Draw(w.t, "purposes")
					links = append(links, l)
				}
			}
			if err := tx.Grant(ctx(), links); err != nil {
				return err
			}
			for _, l := range links {
				p.subs = append(p.subs, l.Sub)
				p.model.links[l.Sub] = &modelLink{account: l.Account, programme: l.Programme, partner: l.Partner, purposes: l.Purposes}
			}
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
		p.applicant = w.balances(i, "applicant")
	}
}

// draw makes a claim. Ids, times and values are few, so that claims meet. The sub is drawn by its place,
// since subs differ from run to run.
func (w *world) draw(t *rapid.T) claim.Claim {
	p := &w.parts[rapid.IntRange(0, 1).Draw(t, "part")]
	sub := p.subs[rapid.IntRange(0, len(p.subs)-1).Draw(t, "sub")]
	l := p.model.links[sub]
	c := claim.Claim{Partner: l.partner, Sub: sub, ID: fmt.Sprint(pick(t, "id", 97)), Evidence: "system"}
	c.Scenario = rapid.SampledFrom([]string{"bike", "bike", "bike", "order", "order"}).Draw(t, "scenario")
	quantity := map[string]string{"bike": "distance", "order": "sets", "power": "used"}
	start := time.Date(w.year, 8, 1+pick(t, "day", 3), 0, 20*pick(t, "twenty minutes", 72), 0, 0, shanghai)
	end := start.Add(rapid.SampledFrom([]time.Duration{15, 5, 20, 21, 30, 45, 0, -1}).Draw(t, "minutes") * time.Minute)
	amount := rapid.SampledFrom([]int{5, 1, 10, 20, 30, 40, 50, 51, 0}).Draw(t, "amount")
	if l.programme == "home" {
		c.Scenario = "power"
		start = time.Date(w.year-2+pick(t, "year", 3), time.Month(1+pick(t, "month", 4)), 1, 0, 0, 0, 0, shanghai)
		end = start.AddDate(0, 1, 0)
	}
	c.Quantities = []claim.Quantity{{Name: quantity[c.Scenario], Text: fmt.Sprint(amount)}}
	c.Start, c.End = start.UnixMicro(), end.UnixMicro()
	if c.Scenario == "order" {
		c.Act = rapid.SampledFrom([]string{"a", "b", "c", ""}).Draw(t, "act")
	}
	switch pick(t, "oddity", 40) {
	case 1:
		c.Evidence = "hearsay"
	case 2:
		c.Sub = "nobody"
	case 3:
		c.Partner = "stranger"
	}
	return c
}

// pick draws a number below n, all as likely: rapid's own prefer the small.
func pick(t *rapid.T, what string, n int) int {
	return int(rapid.Uint64().Draw(t, what) * 11400714819323198485 >> 33 % uint64(n))
}

// send puts a request's claims into the queues of their partitions.
func (w *world) send(claims []claim.Claim) {
	for _, c := range claims {
		for i := range w.parts {
			if w.parts[i].model.links[c.Sub] != nil || c.Sub == "nobody" && i == 0 {
				w.parts[i].waiting = append(w.parts[i].waiting, c)
			}
		}
		w.sent = append(w.sent, c)
	}
}

// clock is what the server's clock says: it goes on, and steps back a few minutes now and then.
func (w *world) clock() int64 {
	w.now = w.now.Add(rapid.SampledFrom([]time.Duration{time.Minute, 10 * time.Minute, time.Hour, 10 * time.Hour, 0}).Draw(w.t, "time passes"))
	return w.now.Add(rapid.SampledFrom([]time.Duration{0, -4 * time.Minute, 4 * time.Minute, time.Second}).Draw(w.t, "the clock is off by")).UnixMicro()
}

// strike arms the stage, or not.
func (w *world) strike() {
	if pick(w.t, "fault", 3) == 0 {
		return
	}
	w.arm(pick(w.t, "after", 24), stroke(pick(w.t, "stroke", 4)))
}

// recover opens the database again if the process died, and reports whether a stroke fell.
func (w *world) recover() (on string, fell bool) {
	on, fell = w.disarm()
	if fell {
		w.fallen++
	}
	if w.died() {
		w.db.Close()
		db, err := w.open()
		if err != nil {
			w.t.Fatalf("opening again after dying at %q: %v", on, err)
		}
		w.db = db
	}
	return on, fell
}

// write has some of what waits for a partition judged. When that fails the partners know nothing, and
// send all of it again.
func (w *world) write(part int, faults bool) {
	p := &w.parts[part]
	if len(p.waiting) == 0 {
		return
	}
	n := rapid.IntRange(1, len(p.waiting)).Draw(w.t, "batch")
	claims, clock := p.waiting[:n:n], w.clock()
	if faults {
		w.strike()
	}
	verdicts, err := (&intake.Judge{DB: w.db}).Admit(ctx(), part, claims, clock)
	on, fell := w.recover()
	if err != nil && !fell {
		w.t.Fatalf("judging without a fault: %v", err)
	}
	if err == nil {
		p.waiting = p.waiting[n:]
	}
	heads, err2 := w.db.Heads(ctx())
	if err2 != nil {
		w.t.Fatalf("after %q: %v", on, err2)
	}
	switch heads[part] {
	case p.head:
		if err == nil {
			w.t.Fatalf("acknowledged, but lost: a stroke on %q", on)
		}
		return
	case p.head + 1:
	default:
		w.t.Fatalf("after batch %d comes %d", p.head, heads[part])
	}
	p.head++
	p.at = max(p.at, clock)
	for i := range claims {
		want := p.model.judge(&claims[i], p.at)
		if err == nil {
			w.compare(&claims[i], verdicts[i], want)
		}
	}
}

func (w *world) compare(c *claim.Claim, got claim.Verdict, want judged) {
	if got.Reason != want.reason || got.Milligrams != want.mg || got.Points != want.points {
		w.t.Fatalf("%+v:\n got %s, %d mg, %d points\nwant %s, %d mg, %d points", c, got.Reason, got.Milligrams, got.Points, want.reason, want.mg, want.points)
	}
}

// revoke ends a link. Where the outcome is unknown, looking tells it.
func (w *world) revoke() {
	p := &w.parts[rapid.IntRange(0, 1).Draw(w.t, "part")]
	sub := p.subs[rapid.IntRange(0, len(p.subs)-1).Draw(w.t, "sub")]
	l, part, err := w.db.LinkOf(ctx(), sub)
	if err != nil {
		w.t.Fatal(err)
	}
	clock := w.clock()
	if w.faults {
		w.strike()
	}
	failed := w.db.Update(ctx(), part, clock, func(tx *store.Tx) error { return tx.Revoke(ctx(), sub) })
	_, fell := w.recover()
	if failed != nil && !fell {
		w.t.Fatal(failed)
	}
	after, _, err := w.db.LinkOf(ctx(), sub)
	if err != nil {
		w.t.Fatal(err)
	}
	if want := max(clock, p.at+1); failed == nil && l.Revoked == 0 && after.Revoked != want || l.Revoked != 0 && after.Revoked != l.Revoked {
		w.t.Fatalf("a link revoked at %d is revoked at %d, before at %d", want, after.Revoked, l.Revoked)
	}
	p.model.links[sub].revoked = after.Revoked
}

// check holds a partition's rows against the model.
func (w *world) check(part int) {
	p := &w.parts[part]
	rows := 0
	for _, account := range p.accounts() {
		list, err := w.db.Claims(ctx(), store.AccountID{Part: part, Number: account}, store.Place{}, "", 10000)
		if err != nil {
			w.t.Fatal(err)
		}
		for i := range list {
			r := &list[i]
			key := fmt.Sprint(account, "/", r.Partner, "/", r.ID)
			want := p.model.seen[key]
			if want == nil {
				w.t.Fatalf("%s is recorded, and the model does not know it", key)
			}
			w.compare(&r.Claim, r.Verdict, *want)
		}
		rows += len(list)
		w.sameBalances(part, fmt.Sprint(account), nil)
	}
	if rows != len(p.model.seen) {
		w.t.Fatalf("%d claims are recorded, the model has %d: something was lost", rows, len(p.model.seen))
	}
	w.sameBalances(part, "applicant", p.applicant)
	w.empty("Σ", "SELECT asset, sum(amount) FROM balance WHERE part = $1 GROUP BY asset HAVING sum(amount) <> 0", part)
	w.empty("numbers", "SELECT p.next FROM partition p WHERE part = $1 AND next - 1 <> (SELECT count(*) FROM batch b WHERE b.part = p.part)", part)
	w.empty("chain", `SELECT b.batch FROM batch a JOIN batch b ON b.part = a.part AND b.batch = a.batch + 1
		WHERE a.part = $1 AND (b.prev <> a.hash OR b.at < a.at)`, part)
	if w.reasons == nil {
		w.reasons = map[reason.Code]int64{}
	}
	for code, n := range p.model.counts {
		w.reasons[code] += n
	}
}

func (p *modelPart) accounts() []int64 {
	var list []int64
	for _, l := range p.model.links {
		if !slices.Contains(list, l.account) {
			list = append(list, l.account)
		}
	}
	return list
}

// balances reads what an account, or the applicant, holds of reductions and, over all months, points.
func (w *world) balances(part int, holder string) map[string]int64 {
	number := holder
	if holder == "applicant" {
		number = "-2"
	}
	rows, err := w.db.Reader().QueryContext(ctx(), "SELECT asset, amount FROM balance WHERE part = $1 AND holder = "+number, part)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	list := map[string]int64{}
	for rows.Next() {
		var asset string
		var n int64
		if err := rows.Scan(&asset, &n); err != nil {
			w.t.Fatal(err)
		}
		switch kind, _, _ := strings.Cut(asset, "/"); kind {
		case "CO2E":
			list[asset] += n
		case "POINT":
			list[kind] += n
		}
	}
	return list
}

// sameBalances compares what a holder got since before with the model.
func (w *world) sameBalances(part int, holder string, before map[string]int64) {
	got := w.balances(part, holder)
	for asset, n := range before {
		got[asset] -= n
	}
	for key, n := range w.parts[part].model.balance {
		if asset, ok := strings.CutPrefix(key, holder+" "); ok && got[asset] != n {
			w.t.Fatalf("%s has %d of %s, the model %d", holder, got[asset], asset, n)
		}
	}
	for asset, n := range got {
		if n != 0 && w.parts[part].model.balance[holder+" "+asset] != n {
			w.t.Fatalf("%s has %d of %s, and the model nothing", holder, n, asset)
		}
	}
}

// empty makes sure that a query finds nothing.
func (w *world) empty(what, query string, part int) {
	rows, err := w.db.Reader().QueryContext(ctx(), query, part)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	if rows.Next() {
		w.t.Fatalf("%s of partition %d do not hold", what, part)
	}
}
