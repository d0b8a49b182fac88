package restate_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// What two texts of a methodology decide is found in two ways: tried on what was recorded under the first, and
// lived through under the second. A life is drawn at random, and both ways must agree on every claim and on all
// that claims leave.

const groups = `trip: {kind: spans, tolerance: 60s, span: 24h, title: {zh: 出行, en: a trip}}
steps: {kind: total, period: day, repeat: greatest, includes: {group: trip, activity: walk}, title: {zh: 步行, en: walking}}
power: {kind: total, period: month, repeat: refuse, title: {zh: 用电, en: power}}
`

// A draftText is a version of a methodology with what is drawn for it.
type draftText struct {
	id       string
	version  int
	from, to string
	edits    []string // lines
}

func (d draftText) String() string {
	activity := map[string]string{"BIKE": "bike", "WALK": "walk", "STEPS": "steps", "POWER": "power"}[d.id]
	valid := d.from
	if d.to != "" {
		valid += ", to: " + d.to
	}
	return fmt.Sprintf(`id: %s
version: %d
title: %s
domain: travel
activity: %s
kind: reduction
use: points
region: CN
timezone: Asia/Shanghai
valid: {from: %s}
sources: [{id: test, title: a test}]
%s
`, d.id, d.version, d.id, activity, valid, strings.Join(d.edits, "\n"))
}

// drawText draws what a version of a methodology says.
func drawText(t *rapid.T, id string) []string {
	of := func(what string, from ...string) string { return rapid.SampledFrom(from).Draw(t, what) }
	credit := of("credit", "93.3", "10", "186.61", "0.007")
	evidence := of("evidence", "evidence: {system: {weight: 1}}", "evidence: {system: {weight: 1}, self: {weight: 0.5}}", "evidence: {system: {weight: 0.3333}}")
	caps := ""
	trim := of("trim", "", ", trim: true")
	switch of("caps", "none", "claims", "input", "reduction") {
	case "claims":
		caps = "caps: [{per: day, claims: 2}]"
	case "input":
		if id == "BIKE" {
			caps = "caps: [{per: day, of: amount, max: 9 km" + trim + "}]"
		}
	case "reduction":
		if id != "POWER" {
			caps = "caps: [{per: month, of: reduction, max: 900 gCO2e" + trim + "}, {per: day, claims: 3}]"
		}
	}
	least := of("least", "0", "2", "5")
	switch id {
	case "BIKE":
		return []string{"group: " + of("group", "trip", "trip", "trip", "steps-not"), "inputs: {amount: {unit: km, min: " + least + ", max: 12, source: test, seen: false}}",
			"parameters: {credit: {value: " + credit + ", unit: gCO2e/km, source: test, seen: false}}", "reduction: amount * credit",
			"plausible: amount / duration <= " + of("speed", "10", "25", "90") + "[km/h]", evidence, caps}
	case "WALK", "STEPS":
		group := map[string]string{"WALK": "trip", "STEPS": "steps"}[id]
		return []string{"group: " + group, "inputs: {amount: {unit: step, min: " + least + ", source: test, seen: false}}",
			"parameters: {credit: {value: " + credit + ", unit: gCO2e/step, source: test, seen: false}}", "reduction: amount * credit", evidence, caps}
	}
	net := of("net", "net: year", "")
	return []string{"group: power", "inputs: {amount: {unit: kWh, min: " + least + ", max: 1000, keep: true, source: test, seen: false}}",
		"parameters: {credit: {value: " + credit + ", unit: gCO2e/kWh, source: test, seen: false}}",
		"baseline: history(amount, same_month, " + of("years", "1", "2") + ") * credit", "project: amount * credit", net, evidence, caps}
}

const programme = `id: %s
title: %s
region: CN-42
timezone: Asia/Shanghai
operator: {name: a city, mode: government}
applicant: {name: a company}
ownership: %s
accepts: {late: 72h, early: 5m}
points: {name: points, per: 10 gCO2e, expires: end-of-next-year}
scenarios:
%s`

// programmes are the two programmes; once revised, the bank may report no more rides.
func programmes(revised bool) []publish.File {
	bank := ", bank"
	if revised {
		bank = ""
	}
	city := fmt.Sprintf(programme, "city", "a city", "assigned", "  bike: {methodology: BIKE, partners: [rides"+bank+"]}\n  walk: {methodology: WALK, partners: [rides, bank]}\n  steps: {methodology: STEPS, partners: [rides, bank]}\n")
	home := fmt.Sprintf(programme, "home", "a home", "member", "  power: {methodology: POWER, partners: [grid]}\n")
	return []publish.File{{Name: "city.programme.yaml", Text: []byte(city)}, {Name: "home.programme.yaml", Text: []byte(home)}}
}

// A life is drawn before it is lived.
type life struct {
	id        string              // the methodology with a draft
	texts     map[string][]string // what each says before
	draft     []string            // what the draft says
	from, to  string              // its days, "" for all
	known     string              // since when the first version holds
	batches   []lived
	changes   []change
	revisedAt int // before which batch the programmes are revised
}

type lived struct {
	part     int
	backfill bool
	hours    int // that pass before
	claims   []said
}

// A change is a correction by the partner, or a judgement again by the operator, of a claim that was said before.
type change struct {
	after, batch, claim int // after which batch; of which claim of which batch
	how                 string
	amount              int
	failed              bool // nobody is told so in another life either
}

// said is a claim before its member has a sub.
type said struct {
	member  int
	partner string
	claim.Claim
}

var spring = time.Date(2026, 3, 1, 0, 0, 0, 0, time.FixedZone("CST", 8*3600))

func drawLife(t *rapid.T) life {
	l := life{texts: map[string][]string{}, known: rapid.SampledFrom([]string{"2020-01-01", "2020-01-01", "2026-03-02"}).Draw(t, "known")}
	for _, id := range []string{"BIKE", "WALK", "STEPS", "POWER"} {
		l.texts[id] = published(drawText(t, id))
	}
	l.id = rapid.SampledFrom([]string{"BIKE", "BIKE", "WALK", "STEPS", "POWER", "POWER"}).Draw(t, "drafted")
	l.draft = published(drawText(t, l.id))
	switch rapid.IntRange(0, 3).Draw(t, "window") {
	case 0:
		l.from, l.to = "2026-03-01", "2026-03-03"
	case 1:
		l.from = "2026-03-02"
	}
	ids := 0
	var all []said
	for range rapid.IntRange(1, 12).Draw(t, "batches") {
		b := lived{part: rapid.IntRange(0, 1).Draw(t, "part"), backfill: rapid.Bool().Draw(t, "backfill"), hours: rapid.IntRange(0, 20).Draw(t, "hours")}
		for range rapid.IntRange(1, 15).Draw(t, "claims") {
			if len(all) > 0 && rapid.IntRange(0, 9).Draw(t, "again") == 0 {
				b.claims = append(b.claims, rapid.SampledFrom(all).Draw(t, "which"))
				continue
			}
			ids++
			c := drawClaim(t)
			c.ID = fmt.Sprint(ids)
			b.claims = append(b.claims, c)
			if c.End < spring.AddDate(0, 0, 2).UnixMicro() { // one of the future, which leaves no row, could count when sent again
				all = append(all, c)
			}
		}
		l.batches = append(l.batches, b)
	}
	l.revisedAt = rapid.IntRange(0, len(l.batches)).Draw(t, "revised")
	return l
}

// published is a text in which a group that there is not is none.
func published(lines []string) []string {
	for i, line := range lines {
		if line == "group: steps-not" {
			lines[i] = ""
		}
	}
	return lines
}

// drawClaim draws from so few times and values that claims often meet.
func drawClaim(t *rapid.T) said {
	scenario := rapid.SampledFrom([]string{"bike", "bike", "bike", "walk", "walk", "steps", "power", "power", "power"}).Draw(t, "scenario")
	c := said{member: rapid.IntRange(0, 1).Draw(t, "member"), partner: rapid.SampledFrom([]string{"rides", "bank"}).Draw(t, "partner")}
	c.Scenario, c.Evidence = scenario, rapid.SampledFrom([]string{"system", "system", "system", "self"}).Draw(t, "grade")
	amount := rapid.IntRange(0, 13).Draw(t, "amount")
	day := spring.AddDate(0, 0, rapid.IntRange(0, 2).Draw(t, "day"))
	start := day.Add(time.Duration(rapid.IntRange(0, 11).Draw(t, "quarter")) * 15 * time.Minute)
	end := start.Add(time.Duration(rapid.IntRange(5, 60).Draw(t, "minutes")) * time.Minute)
	switch scenario {
	case "steps":
		start, end = day, day.AddDate(0, 0, 1)
	case "power":
		c.partner = "grid"
		month := time.Date(2022+rapid.IntRange(0, 4).Draw(t, "year"), time.Month(1+rapid.IntRange(0, 2).Draw(t, "month")), 1, 0, 0, 0, 0, spring.Location())
		start, end = month, month.AddDate(0, 1, 0)
	}
	c.Start, c.End = start.UnixMicro(), end.UnixMicro()
	c.Quantities = []claim.Quantity{{Name: "amount", Text: fmt.Sprint(amount)}}
	return c
}

// live lives a life under versions of the drafted methodology.
func (l *life) live(t *testing.T, url string, versions []draftText) *store.DB {
	t.Helper()
	ctx := context.Background()
	db, err := store.Create(ctx, url, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	files := append(programmes(false), publish.File{Name: "x.groups.yaml", Text: []byte(groups)})
	for id, lines := range l.texts {
		if id != l.id {
			versions = append(versions, draftText{id: id, version: 1, from: "2020-01-01", edits: lines})
		}
	}
	for i, v := range versions {
		files = append(files, publish.File{Name: fmt.Sprintf("%d.methodology.yaml", i), Text: []byte(v.String())})
	}
	book := putOut(t, db, files)
	subs := l.join(t, db, book)
	l.say(t, db, subs)
	return db
}

// say has all batches judged.
func (l *life) say(t *testing.T, db *store.DB, subs map[string]string) {
	judges := map[bool]*intake.Judge{false: {DB: db}, true: {DB: db, Backfill: true}}
	now := spring.AddDate(0, 0, 2)
	for i, b := range l.batches {
		if i == l.revisedAt {
			putOut(t, db, programmes(true))
		}
		now = now.Add(time.Duration(b.hours) * time.Hour)
		var claims []claim.Claim
		for _, c := range b.claims {
			c.Partner, c.Sub = c.partner, subs[fmt.Sprint(b.part, c.member, c.partner)]
			claims = append(claims, c.Claim)
		}
		if _, err := judges[b.backfill].Admit(context.Background(), b.part, claims, now.UnixMicro()); err != nil {
			t.Error(err)
			return
		}
		for k := range l.changes {
			if c := &l.changes[k]; c.after == i {
				l.change(t, db, subs, c, now)
			}
		}
	}
}

// change corrects a claim, unless that failed in another life.
func (l *life) change(t *testing.T, db *store.DB, subs map[string]string, c *change, now time.Time) {
	if c.failed {
		return
	}
	said := l.batches[c.batch].claims[c.claim]
	ctx, desk, part := context.Background(), correct.New(db), l.batches[c.batch].part
	r := correct.Request{Subject: subs[fmt.Sprint(part, said.member, said.partner)], Partner: said.partner, ID: said.ID, By: said.partner, Reason: "it was so"}
	var err error
	switch c.how {
	case "retract":
		_, err = desk.Retract(ctx, r, now.UnixMicro())
	case "replace":
		with := said.Claim
		with.ID, with.Partner, with.Sub = said.ID+"r", said.partner, r.Subject
		with.Quantities = []claim.Quantity{{Name: "amount", Text: fmt.Sprint(c.amount)}}
		_, err = desk.Replace(ctx, r, with, now.UnixMicro())
	case "rejudge":
		var refs []claim.Ref
		db.Snapshot(ctx, part, func(s *store.Snapshot) error {
			return s.Claims(ctx, store.Range{From: 1, To: s.Accounts}, func(k *store.ClaimRow) {
				if k.ID == said.ID && k.Reversed == 0 && claim.Curable(k.Verdict.Reason) {
					refs = append(refs, k.Verdict.Ref)
				}
			})
		})
		_, err = desk.Rejudge(ctx, refs, "published late", now.UnixMicro())
	}
	if err != nil {
		if fault.KindOf(err) == "" {
			t.Errorf("%s of %s: %v", c.how, said.ID, err)
		}
		c.failed = true
	}
}

// drawCorrected draws a life with corrections of what is said.
func drawCorrected(t *rapid.T) life {
	l := drawLife(t)
	for range rapid.IntRange(0, 5).Draw(t, "changes") {
		c := change{batch: rapid.IntRange(0, len(l.batches)-1).Draw(t, "of batch"), how: rapid.SampledFrom([]string{"retract", "replace", "replace", "rejudge"}).Draw(t, "how"),
			amount: rapid.IntRange(0, 13).Draw(t, "amount")}
		c.after = rapid.IntRange(c.batch, len(l.batches)-1).Draw(t, "after")
		c.claim = rapid.IntRange(0, len(l.batches[c.batch].claims)-1).Draw(t, "of claim")
		l.changes = append(l.changes, c)
	}
	return l
}

func putOut(t *testing.T, db *store.DB, files []publish.File) int64 {
	t.Helper()
	r, err := publish.Publish(context.Background(), db, files)
	if err != nil {
		t.Fatal(err)
	}
	return r.Rulebook
}

// join opens two accounts in each partition, with consents to all.
func (l *life) join(t *testing.T, db *store.DB, number int64) map[string]string {
	t.Helper()
	ctx := context.Background()
	book, err := publish.Load(ctx, db, number)
	if err != nil {
		t.Fatal(err)
	}
	subs := map[string]string{}
	for part := range 2 {
		for member := range 2 {
			id := store.AccountID{Part: part}
			err := db.Update(ctx, part, spring.AddDate(-5, 0, 0).UnixMicro(), func(tx *store.Tx) (err error) {
				id.Number, err = tx.OpenAccounts(ctx, 1)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			for partner, programme := range map[string]string{"rides": "city", "bank": "city", "grid": "home"} {
				purposes := claim.Purposes
				if member == 1 && partner == "bank" {
					purposes = []string{claim.Credit}
				}
				granted, err := link.Grant(ctx, db, book, link.Consent{Account: id, Programme: programme, Partner: partner, Purposes: purposes, Since: spring.AddDate(-4, 0, 0)}, spring)
				if err != nil {
					t.Fatal(err)
				}
				subs[fmt.Sprint(part, member, partner)] = granted.Sub
			}
		}
	}
	return subs
}

// before is the one version that was in force; after are those that the draft amounts to.
func (l *life) before() []draftText {
	return []draftText{{id: l.id, version: 1, from: l.known, edits: l.texts[l.id]}}
}

func (l *life) after() []draftText {
	draft := draftText{id: l.id, version: 2, from: l.from, to: l.to, edits: l.draft}
	if l.from == "" {
		draft.from = l.known
		return []draftText{draft}
	}
	all := []draftText{draft}
	if l.known < l.from {
		all = append(all, l.before()...)
	}
	if l.to != "" {
		all = append(all, draftText{id: l.id, version: 3, from: l.to, edits: l.texts[l.id]})
	}
	return all
}

// state is what claims left in a database, and what the courses of a trial leave.
type state map[string]string

func (s state) take(part int, k *claim.Known) {
	for p, u := range k.Usage {
		s[fmt.Sprint("usage ", part, p)] = u.String()
	}
	for slot, c := range k.Slots {
		s[fmt.Sprint("slot ", part, slot)] = c.String() + " " + c.By
	}
	for key, v := range k.Kept {
		s[fmt.Sprint("kept ", part, key)] = v.String()
	}
}

func recorded(t *testing.T, db *store.DB) state {
	t.Helper()
	all := state{}
	for part := range db.Parts {
		err := db.Snapshot(context.Background(), part, func(s *store.Snapshot) error {
			ctx, in := context.Background(), store.Range{From: 1, To: s.Accounts}
			err := s.Usage(ctx, in, func(p claim.Period, used string) { all[fmt.Sprint("usage ", part, p)] = used })
			if err == nil {
				err = s.Slots(ctx, in, func(slot claim.Slot, c claim.Counted) { all[fmt.Sprint("slot ", part, slot)] = c.String() + " " + c.By })
			}
			if err == nil {
				err = s.History(ctx, in, func(k claim.Kept, v string) { all[fmt.Sprint("kept ", part, k)] = v })
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// agrees lives a life both ways, and returns how they differ.
func (l *life) agrees(t *testing.T, one, other string) (wrong []string, r *restate.Report) {
	t.Helper()
	db, fresh := l.live(t, one, l.before()), l.live(t, other, l.after())
	defer db.Close()
	defer fresh.Close()
	want := judged(t, fresh)
	draft := restate.Draft{File: "draft.yaml", Text: []byte(l.after()[0].String())}
	got, left := map[string]outcome{}, state{}
	err := restate.Courses(context.Background(), db, draft, func(c *restate.Course) {
		for i := range c.Cases {
			v := &c.Cases[i].New.Verdict
			got[c.Cases[i].Old.ID] = outcome{v.Reason, v.Milligrams, v.Points, strings.Replace(v.Method, l.id+"@3", l.id+"@1", 1)}
		}
		left.take(c.Part, c.Known)
	})
	if err != nil {
		t.Fatal(err)
	}
	for id, o := range got {
		w, ok := want[id]
		w.method = strings.Replace(w.method, l.id+"@3", l.id+"@1", 1)
		if o != w && (ok || o.reason.Recorded() || o.mg != 0) {
			wrong = append(wrong, fmt.Sprintf("claim %s: tried %v, lived through %v", id, o, w))
		}
		delete(want, id)
	}
	for id, w := range want {
		wrong = append(wrong, fmt.Sprintf("claim %s: lived through %v, and left no row before", id, w))
	}
	if lived := recorded(t, fresh); !maps.Equal(left, lived) {
		wrong = append(wrong, fmt.Sprintf("what is left:\ntried         %v\nlived through %v", left, lived))
	}
	if r, err = restate.Try(context.Background(), db, draft, restate.Options{}); err != nil {
		t.Fatal(err)
	}
	return wrong, r
}

// eachLife runs f on lives that are drawn; under the race detector, which takes ten times as long, on a few, always the same.
func eachLife(t *testing.T, draw func(*rapid.T) life, f func(l life, fatal func(...any))) {
	if storetest.Raced {
		for seed := range 4 {
			f(rapid.Custom(draw).Example(seed), t.Fatal)
		}
		return
	}
	rapid.Check(t, func(rt *rapid.T) { f(draw(rt), rt.Fatal) })
}

func TestAgreesProperty(t *testing.T) {
	t.Run("sqlite", func(t *testing.T) {
		seen := map[reason.Code]int{}
		changed, others := 0, 0
		eachLife(t, drawLife, func(l life, fatal func(...any)) {
			wrong, r := l.agrees(t, storetest.SQLite(t), storetest.SQLite(t))
			if len(wrong) > 0 {
				fatal(strings.Join(wrong, "\n"))
			}
			for _, x := range r.Reasons {
				if x.From != x.To {
					seen[x.To]++
				}
			}
			if r.Total.Changed > 0 {
				changed++
			}
			for _, x := range r.Texts {
				if !strings.HasPrefix(x.To, l.id) {
					others++
				}
			}
		})
		t.Logf("%d lives changed, in %d of them claims under other texts; reasons that came: %v", changed, others, seen)
		if changed == 0 || others == 0 && !storetest.Raced {
			t.Error("nothing changed, or never under another text: this tried little")
		}
	})
	t.Run("postgres", func(t *testing.T) {
		for seed := range 2 {
			l := rapid.Custom(drawLife).Example(seed)
			if wrong, _ := l.agrees(t, storetest.Postgres(t), storetest.Postgres(t)); len(wrong) > 0 {
				t.Error(strings.Join(wrong, "\n"))
			}
		}
	})
}
