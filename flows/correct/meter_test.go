package correct_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/flows/statement"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

const home = `
id: home
title: homes
region: CN
timezone: Asia/Shanghai
operator: {name: an operator, mode: platform}
ownership: member
accepts: {late: 40000h, early: 5m}
points: none
scenarios:
  meter: {methodology: METER, partners: [grid]}
`

var meters = []publish.File{
	{Name: "g.groups.yaml", Text: []byte("electricity: {kind: total, period: month, repeat: refuse, title: a household's electricity}\n")},
	{Name: "meter.methodology.yaml", Text: []byte(`
id: METER
version: 1
title: electricity saved
domain: life
activity: electricity
kind: reduction
use: points
region: CN
timezone: Asia/Shanghai
valid: {from: 2020-01-01}
sources: [{id: s, title: a source}]
evidence: {system: {weight: 1}}
group: electricity
inputs: {used: {unit: kWh, max: 5000, keep: true, source: s, seen: true}}
parameters: {grid: {value: 1, unit: gCO2e/kWh, source: s, seen: true}}
baseline: history(used, same_month, 1) * grid
project: used * grid
net: year
`)},
	{Name: "home.programme.yaml", Text: []byte(home)},
}

// newHome is a city with one member, and one partner that knows it.
func newHome(t *testing.T, url string, documents []publish.File, programme, partner string) *city {
	t.Helper()
	db, err := store.Create(t.Context(), url, 1)
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
	granted, err := link.Grant(t.Context(), db, book, link.Consent{Programme: programme, Partner: partner, Purposes: claim.Purposes, Since: noon.AddDate(-4, 0, 0)}, noon)
	if err != nil {
		t.Fatal(err)
	}
	c.members, c.ids = []map[string]string{{partner: granted.Sub}}, []store.AccountID{granted.Account}
	return c
}

func (c *city) reading(id string, year int, month time.Month, kWh int) claim.Claim {
	start := time.Date(year, month, 1, 0, 0, 0, 0, time.FixedZone("", 8*3600))
	return claim.Claim{Partner: "grid", ID: id, Sub: c.members[0]["grid"], Scenario: "meter", Start: start.UnixMicro(),
		End: start.AddDate(0, 1, 0).UnixMicro(), Evidence: "system", Quantities: []claim.Quantity{{Name: "used", Text: fmt.Sprint(kWh)}}}
}

// states holds what the statement of now says against the balances.
func (c *city) states() {
	c.Helper()
	said, err := statement.Of(context.Background(), &c.desk.Books, c.ids[0], c.now.Add(time.Hour).UnixMicro())
	if err != nil {
		c.Fatal(err)
	}
	balances, _, err := c.db.Account(context.Background(), c.ids[0])
	if err != nil {
		c.Fatal(err)
	}
	got, want := sums(said.Balances), sums(balances)
	if !maps.Equal(got, want) {
		c.Errorf("the statement says %v, and the balances are %v", got, want)
	}
}

func sums(list []store.Balance) map[ledger.Asset]int64 {
	m := map[ledger.Asset]int64{}
	for _, b := range slices.DeleteFunc(slices.Clone(list), func(b store.Balance) bool { return b.Amount == 0 }) {
		m[b.Asset] = b.Amount
	}
	return m
}

// A refusal that is cured can bring the value that another claim lacked: that one is judged again as well, and the
// audit must know which of the two was asked for.
func TestCureBringsHistory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		c := newHome(t, url, meters, "home", "grid")
		early := c.reading("a", 2024, 7, 100)
		early.Scenario = "old-meter"
		v := c.send(early, c.reading("b", 2025, 7, 70))
		text := home + "  old-meter: {methodology: METER, partners: [grid]}\n"
		if _, err := publish.Publish(t.Context(), c.db, []publish.File{{Name: "home.programme.yaml", Text: []byte(text)}}); err != nil {
			t.Fatal(err)
		}
		list, err := c.desk.Rejudge(t.Context(), []claim.Ref{v[0].Ref}, "published late", c.now.UnixMicro())
		if err != nil || len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		c.want(told(list[0], nil), "rejudged a 0 => a no-history 0, rejudged b 0 => b ok 30000")
		c.states()
		c.clean()
	})
}

// A claim whose result changes and whose credit does not is judged again for all that: what the year adds up is another.
func TestNetOfHistory(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		c := newHome(t, url, meters, "home", "grid")
		c.send(c.reading("a", 2024, 7, 100), c.reading("b", 2025, 7, 150), c.reading("c", 2024, 8, 100), c.reading("d", 2025, 8, 80))
		done, err := c.desk.Replace(t.Context(), c.request(0, "grid", "a"), c.reading("a2", 2024, 7, 90), c.now.UnixMicro())
		c.want(told(done, err), "replaced a 0 => a2 no-history 0, rejudged b 0 => b ok 0")
		c.states()
		c.clean()
	})
}

// A claim that cannot be computed any more counts no more, and then its value is no history either; until it can be again.
func TestHistoryOfHistory(t *testing.T) {
	documents := slices.Clone(meters)
	text := string(documents[1].Text)
	text = text[:strings.Index(text, "baseline:")] + "reduction: (history(used, same_month, 1) - used) / history(used, same_month, 1) * 1 [kWh] * grid\n"
	documents[1].Text = []byte(text)
	storetest.Each(t, func(t *testing.T, url string) {
		c := newHome(t, url, documents, "home", "grid")
		c.send(c.reading("a", 2023, 7, 100), c.reading("b", 2024, 7, 50), c.reading("c", 2025, 7, 25), c.reading("d", 2026, 7, 20))
		done, err := c.desk.Replace(t.Context(), c.request(0, "grid", "a"), c.reading("a2", 2023, 7, 0), c.now.UnixMicro())
		c.want(told(done, err), "replaced a 0 => a2 no-history 0, rejudged b -500 => b cannot-compute 0, rejudged c -500 => c no-history 0")
		done, err = c.desk.Replace(t.Context(), c.request(0, "grid", "a2"), c.reading("a3", 2023, 7, 200), c.now.UnixMicro())
		c.want(told(done, err), "replaced a2 0 => a3 no-history 0, rejudged b 0 => b ok 750, rejudged c 0 => c ok 500")
		// What cannot be computed is not judged again beside the one that takes its place, though that leaves its value.
		c.send(c.reading("e", 2023, 6, 0), c.reading("f", 2024, 6, 50))
		done, err = c.desk.Replace(t.Context(), c.request(0, "grid", "f"), c.reading("f2", 2023, 6, 10), c.now.UnixMicro())
		c.want(told(done, err), "replaced f 0 => f2 overlap 0")
		c.states()
		c.clean()
	})
}
