package store_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/store"
)

// The tests of the store use the flows above it to fill a database as it would be filled.

var documents = []publish.File{
	{Name: "g.groups.yaml", Text: []byte(`
trip: {kind: spans, tolerance: 60s, span: 24h, title: one trip}
electricity: {kind: total, period: month, repeat: refuse, title: electricity}
order: {kind: act, title: one order}
`)},
	{Name: "bike.methodology.yaml", Text: []byte(method("BIKE", `
group: trip
inputs: {distance: {unit: km, max: 50, source: s, seen: true}}
parameters: {credit: {value: 100, unit: gCO2e/km, source: s, seen: true}}
reduction: distance * credit
caps: [{per: day, of: distance, max: 60 km}]
`))},
	{Name: "power.methodology.yaml", Text: []byte(method("POWER", `
group: electricity
inputs: {used: {unit: kWh, keep: true}}
parameters: {grid: {value: 0.5, unit: kgCO2e/kWh, source: s, seen: true}}
baseline: history(used, same_month, 1) * grid
project: used * grid
net: year
`))},
	{Name: "order.methodology.yaml", Text: []byte(method("ORDER", `
group: order
inputs: {sets: {unit: item}}
parameters: {credit: {value: 46, unit: gCO2e/item, source: s, seen: true}}
reduction: sets * credit
`))},
	{Name: "city.programme.yaml", Text: []byte(`
id: city
title: a city
region: CN
timezone: Asia/Shanghai
operator: {name: an operator, mode: platform}
applicant: {name: an applicant}
ownership: assigned
accepts: {late: 87600h, early: 5m}
points: {name: points, per: 10 gCO2e, expires: end-of-next-year}
scenarios:
  bike: {methodology: BIKE, partners: [bikes]}
  order: {methodology: ORDER, partners: [bikes]}
`)},
	{Name: "home.programme.yaml", Text: []byte(`
id: home
title: at home
region: CN
timezone: Asia/Shanghai
operator: {name: an operator, mode: platform}
ownership: member
accepts: {late: 87600h, early: 5m}
points: none
scenarios:
  power: {methodology: POWER, partners: [utility]}
`)},
}

func method(id, rest string) string {
	return "id: " + id + `
version: 1
title: a methodology
domain: travel
activity: ` + strings.ToLower(id) + `
kind: reduction
use: points
region: CN
timezone: Asia/Shanghai
valid: {from: 2020-01-01}
sources: [{id: s, title: a source}]
evidence: {system: {weight: 1}}
` + rest
}

func ctx() context.Context { return context.Background() }

func create(t testing.TB, url string, parts int) *store.DB {
	t.Helper()
	db, err := store.Create(ctx(), url, parts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func put(t testing.TB, db *store.DB, files ...publish.File) {
	t.Helper()
	if _, err := publish.Publish(ctx(), db, files); err != nil {
		t.Fatal(err)
	}
}

// noon is a clock of the tests: noon in Shanghai on 21 August 2026.
var noon = time.Date(2026, 8, 21, 4, 0, 0, 0, time.UTC).UnixMicro()

// retract takes a claim back.
func retract(t testing.TB, db *store.DB, clock int64, sub, partner, id string) *correct.Done {
	t.Helper()
	done, err := correct.New(db).Retract(ctx(), correct.Request{Subject: sub, Partner: partner, ID: id, By: partner, Reason: "it never was"}, clock)
	if err != nil {
		t.Fatal(err)
	}
	return done
}

// members opens n accounts in a partition and links each to a partner; it returns their subs.
func members(t testing.TB, db *store.DB, part, n int, programme, partner string) []string {
	t.Helper()
	var subs []string
	err := db.Update(ctx(), part, 1, func(tx *store.Tx) error {
		first, err := tx.OpenAccounts(ctx(), n)
		if err != nil {
			return err
		}
		var links []claim.Link
		for i := range n {
			links = append(links, claim.Link{Account: first + int64(i), Programme: programme, Partner: partner, Purposes: claim.Purposes})
		}
		if err := tx.Grant(ctx(), links); err != nil {
			return err
		}
		for i := range links {
			subs = append(subs, links[i].Sub)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return subs
}

// ride is a trip of a kilometre that begins so many minutes after the first minute of August 2026.
func ride(sub, id string, minute int) claim.Claim {
	start := time.Date(2026, 7, 31, 16, minute, 0, 0, time.UTC).UnixMicro()
	return claim.Claim{Partner: "bikes", ID: id, Sub: sub, Scenario: "bike", Start: start, End: start + 5*60e6, Evidence: "system",
		Quantities: []claim.Quantity{{Name: "distance", Text: "1"}}}
}

func admit(t testing.TB, db *store.DB, part int, clock int64, claims ...claim.Claim) []claim.Verdict {
	t.Helper()
	j := &intake.Judge{DB: db}
	verdicts, err := j.Admit(ctx(), part, claims, clock)
	if err != nil {
		t.Fatal(err)
	}
	return verdicts
}

// cells reads a query's rows as text, for comparison.
func cells(t testing.TB, db *store.DB, query string, args ...any) string {
	t.Helper()
	rows, err := db.Reader().QueryContext(ctx(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if b, ok := v.([]byte); ok {
				v = fmt.Sprintf("%x", b)
			}
			fmt.Fprint(&out, v, "\t")
		}
		out.WriteString("\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// month is what a household used in a month.
func month(sub, id string, year int, m time.Month, used string) claim.Claim {
	first := time.Date(year, m, 1, 0, 0, 0, 0, time.FixedZone("", 8*3600))
	return claim.Claim{Partner: "utility", ID: id, Sub: sub, Scenario: "power", Start: first.UnixMicro(), End: first.AddDate(0, 1, 0).UnixMicro(),
		Evidence: "system", Quantities: []claim.Quantity{{Name: "used", Text: used}}}
}
