package correct_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

var documents = []publish.File{
	{Name: "g.groups.yaml", Text: []byte("trip: {kind: spans, tolerance: 60s, span: 24h, title: one trip}\n")},
	{Name: "bike.methodology.yaml", Text: []byte(`
id: BIKE
version: 1
title: riding
domain: travel
activity: bike
kind: reduction
use: points
region: CN
timezone: Asia/Shanghai
valid: {from: 2020-01-01}
sources: [{id: s, title: a source}]
evidence: {system: {weight: 1}}
group: trip
inputs: {distance: {unit: km, max: 50, source: s, seen: true}}
parameters: {credit: {value: 100, unit: gCO2e/km, source: s, seen: true}}
reduction: distance * credit
caps: [{per: day, of: distance, max: 60 km}]
`)},
	{Name: "city.programme.yaml", Text: []byte(programme)},
}

const programme = `
id: city
title: a city
region: CN
timezone: Asia/Shanghai
operator: {name: an operator, mode: platform}
applicant: {name: an applicant}
ownership: assigned
accepts: {late: 720h, early: 5m}
points: {name: points, per: 10 gCO2e, expires: end-of-next-year}
scenarios:
  bike: {methodology: BIKE, partners: [bikes, rivals]}
`

var noon = time.Date(2026, 8, 21, 4, 0, 0, 0, time.UTC)

// A city has two partners, and members that both know.
type city struct {
	*testing.T
	db      *store.DB
	desk    *correct.Desk
	judge   *intake.Judge
	now     time.Time
	members []map[string]string // subs, by partner
	ids     []store.AccountID
}

func newCity(t *testing.T, url string, members int) *city {
	t.Helper()
	db, err := store.Create(t.Context(), url, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	report, err := publish.Publish(t.Context(), db, documents)
	if err != nil {
		t.Fatal(err)
	}
	book, err := publish.Load(t.Context(), db, report.Rulebook)
	if err != nil {
		t.Fatal(err)
	}
	c := &city{T: t, db: db, desk: correct.New(db), judge: &intake.Judge{DB: db}, now: noon}
	for range members {
		consent := link.Consent{Programme: "city", Partner: "bikes", Purposes: claim.Purposes, Since: c.now.AddDate(0, 0, -40)}
		subs := map[string]string{}
		for _, consent.Partner = range []string{"bikes", "rivals"} {
			granted, err := link.Grant(t.Context(), db, book, consent, c.now)
			if err != nil {
				t.Fatal(err)
			}
			consent.Account, subs[consent.Partner] = granted.Account, granted.Sub
		}
		c.members, c.ids = append(c.members, subs), append(c.ids, consent.Account)
	}
	return c
}

func (c *city) ride(member int, partner, id string, from, minutes, km int) claim.Claim {
	start := noon.Add(-10 * time.Hour).Add(time.Duration(from) * time.Minute)
	return claim.Claim{Partner: partner, ID: id, Sub: c.members[member][partner], Scenario: "bike", Start: start.UnixMicro(),
		End: start.Add(time.Duration(minutes) * time.Minute).UnixMicro(), Evidence: "system", Quantities: []claim.Quantity{{Name: "distance", Text: fmt.Sprint(km)}}}
}

func (c *city) send(claims ...claim.Claim) (list []claim.Verdict) {
	c.Helper()
	for i := range claims {
		c.now = c.now.Add(time.Millisecond)
		verdicts, err := c.judge.Admit(c.Context(), c.db.Route(claims[i].Sub), claims[i:i+1], c.now.UnixMicro())
		if err != nil {
			c.Fatal(err)
		}
		list = append(list, verdicts...)
	}
	return list
}

func (c *city) request(member int, partner, id string) correct.Request {
	c.now = c.now.Add(time.Millisecond)
	return correct.Request{Subject: c.members[member][partner], Partner: partner, ID: id, By: partner, Reason: "a test"}
}

// told says what a correction did.
func told(done *correct.Done, err error) string {
	if err != nil {
		return fmt.Sprintf("%s: %v", fault.KindOf(err), err)
	}
	var list []string
	for _, c := range done.Changes {
		text := fmt.Sprintf("%s %s %d", c.Why, c.Was.Claim.ID, -c.Milligrams)
		if c.Next != nil {
			text += fmt.Sprintf(" => %s %s %d", c.Next.Claim.ID, c.Next.Verdict.Reason, c.Next.Verdict.Milligrams)
		}
		list = append(list, text)
	}
	return strings.Join(list, ", ")
}

func (c *city) want(got, want string) {
	c.Helper()
	if got != want {
		c.Errorf("got %q, want %q", got, want)
	}
}

func (c *city) points(member int) (n int64) {
	c.Helper()
	balances, _, err := c.db.Account(c.Context(), c.ids[member])
	if err != nil {
		c.Fatal(err)
	}
	for _, b := range balances {
		n += b.Amount
	}
	return n
}

func (c *city) clean() {
	c.Helper()
	r, err := audit.Run(context.Background(), c.db, audit.Options{})
	if err != nil {
		c.Fatal(err)
	}
	for _, f := range r.Findings {
		c.Error(f)
	}
}

func TestRetract(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		c := newCity(t, url, 1)
		c.send(c.ride(0, "bikes", "a", 0, 20, 3), c.ride(0, "rivals", "b", 5, 20, 2), c.ride(0, "rivals", "c", 60, 10, 1))
		first, err := c.desk.Retract(t.Context(), c.request(0, "bikes", "a"), c.now.UnixMicro())
		c.want(told(first, err), "retracted a -300000, rejudged b 0 => b ok 200000")
		again, err := c.desk.Retract(t.Context(), c.request(0, "bikes", "a"), c.now.UnixMicro())
		if c.want(told(again, err), told(first, nil)); err == nil && (again.Batch != first.Batch || again.At != first.At) {
			t.Errorf("sent again it is batch %d at %d, and was %d at %d", again.Batch, again.At, first.Batch, first.At)
		}
		if n := c.points(0); n != 30000 {
			t.Errorf("the member has %d thousandths of a point, want 30000", n)
		}
		c.want(told(c.desk.Retract(t.Context(), c.request(0, "bikes", "b"), c.now.UnixMicro())), `not-found: no claim with the id "b" was recorded for this member`)
		wrong := c.request(0, "bikes", "a")
		wrong.Partner = "rivals"
		c.want(told(c.desk.Retract(t.Context(), wrong, c.now.UnixMicro())), "not-found: there is no such link")
		c.want(told(c.desk.Replace(t.Context(), c.request(0, "bikes", "a"), c.ride(0, "bikes", "d", 0, 20, 3), c.now.UnixMicro())), `conflict: claim "a" was retracted`)
		// The claim itself, sent again, is what it was; and its time is taken.
		if v := c.send(c.ride(0, "bikes", "a", 0, 20, 3), c.ride(0, "bikes", "e", 6, 10, 3)); v[0].Reason != reason.Replay || v[1].Reason != reason.Overlap {
			t.Errorf("afterwards: %v", v)
		}
		c.want(told(c.desk.Retract(t.Context(), c.request(0, "rivals", "b"), c.now.UnixMicro())), "retracted b -200000, rejudged e 0 => e ok 300000")
		c.clean()
	})
}

func TestReplace(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		c := newCity(t, url, 1)
		c.send(c.ride(0, "bikes", "a", 0, 20, 30), c.ride(0, "rivals", "b", 15, 20, 2), c.ride(0, "bikes", "c", 90, 20, 40))
		with := c.ride(0, "bikes", "a2", 0, 12, 3)
		c.now = c.now.AddDate(1, 0, 0) // far too late for a claim
		first, err := c.desk.Replace(t.Context(), c.request(0, "bikes", "a"), with, c.now.UnixMicro())
		c.want(told(first, err), "replaced a -3000000 => a2 ok 300000, rejudged b 0 => b ok 200000")
		again, err := c.desk.Replace(t.Context(), c.request(0, "bikes", "a"), with, c.now.UnixMicro())
		if c.want(told(again, err), told(first, nil)); err == nil && again.Batch != first.Batch {
			t.Errorf("sent again it is batch %d, and was %d", again.Batch, first.Batch)
		}
		other := with
		other.Quantities = []claim.Quantity{{Name: "distance", Text: "4"}}
		c.want(told(c.desk.Replace(t.Context(), c.request(0, "bikes", "a"), other, c.now.UnixMicro())), `conflict: claim "a" was replaced by "a2": correct that one`)
		c.want(told(c.desk.Retract(t.Context(), c.request(0, "bikes", "a2"), c.now.UnixMicro())), "retracted a2 -300000")
		if n := c.points(0); n != 20000 {
			t.Errorf("the member has %d thousandths of a point, want 20000", n)
		}
		c.clean()
	})
}

func TestRejudge(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		c := newCity(t, url, 3)
		var refs []claim.Ref
		for i := range 3 {
			late := c.ride(i, "bikes", "a", 0, 20, 3)
			late.Scenario = "scooter"
			v := c.send(late, c.ride(i, "rivals", "b", 60*i, 20, 2))
			refs = append(refs, v[0].Ref)
		}
		list, err := c.desk.Rejudge(t.Context(), refs, "too early", c.now.UnixMicro())
		if err != nil || len(list) != 0 {
			t.Fatalf("before there is such a scenario: %v, %v", list, err)
		}
		text := programme + "  scooter: {methodology: BIKE, partners: [bikes]}\n"
		if _, err := publish.Publish(t.Context(), c.db, []publish.File{{Name: "city.programme.yaml", Text: []byte(text)}}); err != nil {
			t.Fatal(err)
		}
		c.now = c.now.AddDate(0, 6, 0)
		for range 2 { // again, it says what it said
			list, err = c.desk.Rejudge(t.Context(), refs, "the scenario was published late", c.now.UnixMicro())
			if err != nil || len(list) != 3 {
				t.Fatalf("%d accounts, %v", len(list), err)
			}
			for _, done := range list {
				want := "rejudged a 0 => a ok 300000"
				if done.Account == c.ids[0] { // whose time was taken meanwhile
					want = "rejudged a 0 => a overlap 0"
				}
				c.want(told(done, nil), want)
			}
		}
		c.clean()
	})
}

// With everything taken back, in any order, nothing is left.
func TestRetractAll(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		c := newCity(t, url, 2)
		for i := range 40 {
			c.send(c.ride(i%2, []string{"bikes", "rivals"}[i/2%2], fmt.Sprint(i), (i*37)%500, 5+i%50, 1+i%9))
		}
		for i := range 40 {
			k := (i * 11) % 40
			if _, err := c.desk.Retract(t.Context(), c.request(k%2, []string{"bikes", "rivals"}[k/2%2], fmt.Sprint(k)), c.now.UnixMicro()); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 2 {
			if n := c.points(i); n != 0 {
				t.Errorf("member %d still has %d", i, n)
			}
			if left, err := c.db.Reductions(t.Context(), c.ids[i]); err != nil || len(left) != 0 {
				t.Errorf("member %d is still credited for %v, %v", i, left, err)
			}
		}
		c.clean()
	})
}
