package audit_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/flows/testimony"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/rules/signature"
	"github.com/tanpu/tanpu/store"
)

var local = time.FixedZone("CST", 8*3600)

// A world is a small city that lives through some weeks: its members ride, walk, order and read their
// meters, and two partners and a utility report it, well and badly.
type world struct {
	t        testing.TB
	db       *store.DB
	book     *rulebook.Rulebook
	random   *rand.Rand
	now      time.Time
	members  []*member
	judge    *intake.Judge
	late     *intake.Judge
	seen     map[reason.Code]int
	trimmed  int           // accepted, but cut to what was left of a cap
	sent     []claim.Claim // some of them are sent again
	keeper   testimony.Keeper
	requests int // that were signed
	next     int // id of the next claim
	most     int // claims in a batch, at most
	desk     *correct.Desk
	told     map[store.AccountID]map[int64]bool // batches of corrections that were counted
	undone   map[claim.Why]int                  // reversals
	anew     int64                              // claims that took the place of others
}

type member struct {
	id    store.AccountID
	subs  map[string]string // by partner
	meter string
}

// documents are those of testdata.
func documents(t testing.TB) []publish.File {
	t.Helper()
	names, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(names) == 0 {
		t.Fatal("no documents: ", err)
	}
	var files []publish.File
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, publish.File{Name: filepath.Base(name), Text: text})
	}
	return files
}

func newWorld(t testing.TB, url string, parts, members int) *world {
	t.Helper()
	ctx := context.Background()
	db, err := store.Create(ctx, url, parts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	report, err := publish.Publish(ctx, db, documents(t))
	if err != nil {
		t.Fatal(err)
	}
	book, err := publish.Load(ctx, db, report.Rulebook)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, book: book, random: rand.New(rand.NewPCG(1, 2)), now: time.Date(2026, 3, 2, 12, 0, 0, 0, local),
		judge: &intake.Judge{DB: db}, late: &intake.Judge{DB: db, Backfill: true}, seen: map[reason.Code]int{}, most: 60,
		desk: correct.New(db), keeper: testimony.Keeper{DB: db}, told: map[store.AccountID]map[int64]bool{}, undone: map[claim.Why]int{}}
	if err := db.AddPartnerKey(ctx, store.PartnerKey{Partner: signer, Public: signerKey.Public().(ed25519.PublicKey), Created: 1}); err != nil {
		t.Fatal(err)
	}
	for range members {
		w.join()
	}
	return w
}

// join opens an account with links to all partners; some members keep title, some have no meter yet.
// Members go round the partitions.
func (w *world) join() {
	w.t.Helper()
	m := &member{subs: map[string]string{}, meter: fmt.Sprintf("meter-%d", len(w.members))}
	m.id.Part = len(w.members) % w.db.Parts
	err := w.db.Update(context.Background(), m.id.Part, w.now.UnixMicro(), func(tx *store.Tx) (err error) {
		m.id.Number, err = tx.OpenAccounts(context.Background(), 1)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	purposes := claim.Purposes
	if len(w.members)%5 == 4 {
		purposes = []string{claim.Credit}
	}
	w.link(m, "city", "rides", purposes)
	w.link(m, "city", "bank", purposes)
	if len(w.members)%3 != 2 {
		w.link(m, "home", "grid", purposes, m.meter)
	}
	w.members = append(w.members, m)
}

func (w *world) link(m *member, programme, partner string, purposes []string, objects ...string) {
	w.t.Helper()
	granted, err := link.Grant(context.Background(), w.db, w.book, link.Consent{Account: m.id, Programme: programme, Partner: partner,
		Purposes: purposes, Since: w.now.AddDate(0, 0, -40), Objects: objects}, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	m.id, m.subs[partner] = granted.Account, granted.Sub
}

// crowd opens accounts for many members at once, each linked to one partner only.
func (w *world) crowd(n int) {
	w.t.Helper()
	subs, err := link.Enrol(context.Background(), w.db, w.book, "city", "rides", n, w.now.AddDate(0, 0, -40))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, sub := range subs {
		w.members = append(w.members, &member{subs: map[string]string{"rides": sub}})
	}
}

func (w *world) claim(m *member, partner, scenario string, start time.Time, lasting time.Duration, quantities ...string) claim.Claim {
	w.next++
	if m.subs[partner] == "" {
		partner = "rides"
	}
	c := claim.Claim{Partner: partner, ID: fmt.Sprint(w.next), Sub: m.subs[partner], Scenario: scenario, Evidence: "system",
		Start: start.UnixMicro(), End: start.Add(lasting).UnixMicro()}
	for i := 0; i < len(quantities); i += 2 {
		text, _ := claim.Canonical(quantities[i+1])
		c.Quantities = append(c.Quantities, claim.Quantity{Name: quantities[i], Text: text})
	}
	return c
}

// day lets a day pass and has what was done on it reported, in batches of many sizes.
func (w *world) day() {
	w.now = w.now.AddDate(0, 0, 1)
	var claims []claim.Claim
	for _, m := range w.members {
		claims = append(claims, w.trips(m)...)
		claims = append(claims, w.others(m)...)
	}
	for range len(claims) / 10 {
		claims = append(claims, w.oddity())
	}
	w.random.Shuffle(len(claims), func(i, j int) { claims[i], claims[j] = claims[j], claims[i] })
	w.send(w.judge, claims)
}

func (w *world) trips(m *member) []claim.Claim {
	var claims []claim.Claim
	for range w.random.IntN(7) {
		start := w.midnight().Add(time.Duration(w.random.Int64N(int64(20 * time.Hour))))
		partner := []string{"rides", "bank"}[w.random.IntN(2)]
		minutes := 1 + w.random.IntN(40)
		if w.random.IntN(3) == 0 {
			claims = append(claims, w.claim(m, partner, "walk", start, time.Duration(minutes)*time.Minute, "steps", fmt.Sprint(90*minutes)))
			continue
		}
		c := w.claim(m, partner, "bike", start, time.Duration(minutes)*time.Minute, "distance", fmt.Sprintf("%d m", minutes*(200+w.random.IntN(230))))
		if w.random.IntN(8) == 0 {
			c.Evidence = []string{"self", "hearsay", ""}[w.random.IntN(3)]
		}
		claims = append(claims, c)
	}
	return claims
}

func (w *world) others(m *member) []claim.Claim {
	var claims []claim.Claim
	for _, partner := range []string{"bank", "rides"} {
		if w.random.IntN(2) == 0 {
			claims = append(claims, w.claim(m, partner, "steps", w.midnight(), 24*time.Hour, "steps", fmt.Sprint(w.random.IntN(18000))))
		}
	}
	for range w.random.IntN(2) {
		c := w.claim(m, "bank", "order", w.midnight().Add(time.Hour), 0, "orders", "1")
		c.Act = fmt.Sprintf("order-%d", w.random.IntN(40))
		claims = append(claims, c)
	}
	return claims
}

// oddity is a claim that cannot count, or one that was sent before.
func (w *world) oddity() claim.Claim {
	m := w.members[w.random.IntN(len(w.members))]
	c := w.claim(m, "rides", "bike", w.midnight().Add(time.Hour), 10*time.Minute, "distance", "2")
	switch w.random.IntN(10) {
	case 0:
		c.End = c.Start - 1
	case 1:
		c.Start = w.now.Add(time.Hour).UnixMicro()
		c.End = c.Start + 1e6
	case 2:
		c.Start, c.End = c.Start-35*86400e6, c.End-35*86400e6
	case 3:
		c.Region = "US"
	case 4:
		c.Quantities = []claim.Quantity{{Name: "distance", Text: ""}, {Name: "wheels", Text: "2"}}
	case 5:
		c.Sub = "aanosuchsubaaaaaaaaaaa"
	case 6:
		c.Scenario = "swim"
	case 7:
		c.ID = "a \"strange\" id 步\x01"
	default:
		if len(w.sent) > 0 {
			c = w.sent[w.random.IntN(len(w.sent))]
			if w.random.IntN(2) == 0 {
				c.Region = "CN-4201"
			}
		}
	}
	return c
}

// meters reports three years of monthly readings after the fact, some of a meter that is not the member's.
func (w *world) meters() {
	var claims []claim.Claim
	for i, m := range w.members {
		if m.subs["grid"] == "" {
			continue
		}
		for month := range 37 {
			start := time.Date(2022, time.Month(12+month), 1, 0, 0, 0, 0, local)
			c := w.claim(m, "grid", "meter", start, start.AddDate(0, 1, 0).Sub(start), "used", fmt.Sprintf("%d.%d kWh", 200+w.random.IntN(90), w.random.IntN(10)))
			c.Object = m.meter
			if i%7 == 0 && month%5 == 0 {
				c.Object = "meter-0"
			}
			claims = append(claims, c)
		}
	}
	w.send(w.late, claims)
}

func (w *world) midnight() time.Time {
	y, m, d := w.now.AddDate(0, 0, -1).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, local)
}

// send has claims judged, partition by partition, at instants that follow each other.
func (w *world) send(j *intake.Judge, claims []claim.Claim) {
	w.t.Helper()
	var signed []claim.Claim
	var came []claim.Verdict
	defer func() { w.sign(signed, came) }()
	parts := make([][]claim.Claim, w.db.Parts)
	for _, c := range claims {
		part := w.db.Route(c.Sub)
		parts[part] = append(parts[part], c)
	}
	for part, list := range parts {
		for len(list) > 0 {
			n := min(len(list), 1+w.random.IntN(w.most))
			w.now = w.now.Add(time.Millisecond)
			verdicts, err := j.Admit(context.Background(), part, list[:n], w.now.UnixMicro())
			if err != nil {
				w.t.Fatal(err)
			}
			for i, v := range verdicts {
				if list[i].Partner == signer {
					signed, came = append(signed, list[i]), append(came, v)
				}
				if w.seen[v.Reason]++; v.Reason == reason.OK && v.Operands != (reason.Operands{}) {
					w.trimmed++
				}
				if i == 0 && len(w.sent) < 10_000 {
					w.sent = append(w.sent, list[0])
				}
			}
			list = list[n:]
		}
	}
}

// signer is the partner that signs what it reports; the others send an API key.
const signer = "rides"

var signerKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

// sign keeps what the signer signed, in requests of some claims each.
func (w *world) sign(claims []claim.Claim, came []claim.Verdict) {
	w.t.Helper()
	for len(claims) > 0 {
		w.requests++
		n := min(len(claims), 1+w.requests%w.most)
		salt := sha256.Sum256(fmt.Append(nil, w.requests))
		leaves := claim.SaidLeaves(claims[:n], salt)
		r := &signature.Request{Method: "POST", Authority: "tanpu.example", Path: "/v1/claims", Root: signature.FormatRoot(ledger.Root(leaves))}
		input, text := signature.Sign(signerKey, r, w.now.Unix())
		read, err := signature.Read(r, input, text)
		if err == nil {
			err = w.keeper.Keep(context.Background(), &testimony.Request{Partner: signer, Signed: read, Salt: salt, Claims: claims[:n], Leaves: leaves, Verdicts: came[:n]})
		}
		if err != nil {
			w.t.Fatal(err)
		}
		claims, came = claims[n:], came[n:]
	}
}

// corrections has partners take back or replace some of what they reported.
func (w *world) corrections(n int) {
	w.t.Helper()
	for range n {
		c := w.sent[w.random.IntN(len(w.sent))]
		r := correct.Request{Subject: c.Sub, Partner: c.Partner, ID: c.ID, By: c.Partner, Reason: "the meter was read \"twice\""}
		w.now = w.now.Add(time.Millisecond)
		if w.random.IntN(2) == 0 {
			w.corrected(w.desk.Retract(context.Background(), r, w.now.UnixMicro()))
			continue
		}
		with := c
		w.next++
		with.ID = fmt.Sprint(w.next)
		if len(c.Quantities) > 0 && w.random.IntN(2) == 0 {
			with.Quantities = []claim.Quantity{{Name: c.Quantities[0].Name, Text: "2"}}
		} else if c.Scenario == "bike" || c.Scenario == "walk" {
			with.Start -= 3600e6 * w.random.Int64N(3)
			with.End = with.Start + 600e6
		}
		w.corrected(w.desk.Replace(context.Background(), r, with, w.now.UnixMicro()))
		w.sent = append(w.sent, with)
	}
}

// cure has what was refused for want of a scenario judged again, once there is one.
func (w *world) cure() {
	w.t.Helper()
	var refs []claim.Ref
	for _, row := range samples(w.t, w, 100)[reason.ScenarioOff] {
		if row.Reversed == 0 {
			refs = append(refs, row.Verdict.Ref)
		}
	}
	for i, f := range documents(w.t) {
		if f.Name == "city.programme.yaml" {
			text := strings.Replace(string(f.Text), "scenarios:\n", "scenarios:\n  swim: {methodology: BIKE, partners: [rides]}\n", 1)
			if _, err := publish.Publish(context.Background(), w.db, []publish.File{{Name: f.Name, Text: []byte(text)}}); err != nil {
				w.t.Fatal(i, err)
			}
		}
	}
	w.now = w.now.Add(time.Second)
	list, err := w.desk.Rejudge(context.Background(), refs, "the scenario was published late", w.now.UnixMicro())
	for _, done := range list {
		w.corrected(done, err)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) corrected(done *correct.Done, err error) {
	w.t.Helper()
	if err != nil {
		if fault.KindOf(err) == "" {
			w.t.Fatal(err)
		}
		return
	}
	if done.Batch == 0 || w.told[done.Account][done.Batch] {
		return
	}
	if w.told[done.Account] == nil {
		w.told[done.Account] = map[int64]bool{}
	}
	w.told[done.Account][done.Batch] = true
	for _, c := range done.Changes {
		w.undone[c.Why]++
		if c.Next != nil {
			w.anew++
		}
	}
}

// recorded is how many claims left a row.
func (w *world) recorded() (n int64) {
	for code, k := range w.seen {
		if code.Recorded() {
			n += int64(k)
		}
	}
	return n + w.anew
}

// live builds a world and lets it live: consents end, meters are registered after they were read.
func live(t testing.TB, url string, members, days int) *world {
	w := newWorld(t, url, 3, members)
	w.meters()
	for day := range days {
		w.day()
		if day > 1 { // damage is done to some of the batches before
			w.corrections(len(w.members))
		}
		switch day {
		case 4:
			for _, m := range w.members[:3] {
				w.now = w.now.Add(time.Second)
				if err := link.Revoke(context.Background(), w.db, m.subs["rides"], "", w.now); err != nil {
					t.Fatal(err)
				}
			}
		case 6:
			for _, m := range w.members {
				if m.subs["grid"] == "" {
					w.link(m, "home", "grid", claim.Purposes)
				}
			}
			w.meters()
			for i, m := range w.members {
				if i%3 == 2 {
					w.link(m, "home", "grid", claim.Purposes, m.meter)
				}
			}
			w.now = w.now.Add(time.Second)
			w.meters()
			w.cure()
		}
	}
	return w
}
