package correct_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/store/storetest"
)

var walks = []publish.File{
	{Name: "g.groups.yaml", Text: []byte("steps: {kind: total, period: day, repeat: greatest, title: a day's walking}\n")},
	{Name: "steps.methodology.yaml", Text: []byte(`
id: STEPS
version: 1
title: a day's steps
domain: travel
activity: steps
kind: reduction
use: points
region: CN
timezone: Asia/Shanghai
valid: {from: 2020-01-01}
sources: [{id: s, title: a source}]
evidence: {system: {weight: 1}}
group: steps
inputs: {steps: {unit: step, source: s, seen: true}}
parameters: {credit: {value: 1, unit: gCO2e/step, source: s, seen: true}}
reduction: steps * credit
caps: [{per: day, of: reduction, max: 300 gCO2e, trim: true}]
`)},
	{Name: "city.programme.yaml", Text: []byte(`
id: city
title: a city
region: CN
timezone: Asia/Shanghai
operator: {name: an operator, mode: platform}
ownership: member
accepts: {late: 720h, early: 5m}
points: none
scenarios:
  steps: {methodology: STEPS, partners: [phones]}
`)},
}

func (c *city) steps(id string, day, n int) claim.Claim {
	start := time.Date(2026, 8, day, 0, 0, 0, 0, time.FixedZone("", 8*3600))
	return claim.Claim{Partner: "phones", ID: id, Sub: c.members[0]["phones"], Scenario: "steps", Start: start.UnixMicro(),
		End: start.AddDate(0, 0, 1).UnixMicro(), Evidence: "system", Quantities: []claim.Quantity{{Name: "steps", Text: fmt.Sprint(n)}}}
}

// A day's greatest total fills its cap, also when it is one that was reported otherwise: what the others of the day had
// of the cap is divided anew, and stands in nobody's way.
func TestReplaceTotalUnderCap(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		c := newHome(t, url, walks, "city", "phones")
		c.send(c.steps("a", 20, 50), c.steps("b", 20, 100), c.steps("c", 20, 340), c.steps("d", 19, 10))
		c.want(told(c.desk.Replace(t.Context(), c.request(0, "phones", "a"), c.steps("a2", 20, 350), c.now.UnixMicro())),
			"replaced a -50000 => a2 ok 300000, rejudged b -50000 => b ok 0, rejudged c -200000 => c ok 0")
		c.want(fmt.Sprint(c.points(0)), "310000")
		c.states()
		// One of another day leaves the others what they have of this one's.
		c.want(told(c.desk.Replace(t.Context(), c.request(0, "phones", "a2"), c.steps("a3", 19, 500), c.now.UnixMicro())),
			"replaced a2 -300000 => a3 ok 290000, rejudged b 0 => b ok 100000, rejudged c 0 => c ok 200000")
		c.states()
		c.clean()
	})
}

// What counts against a cap can be below zero, and then what is left without a claim as well.
func TestRetractUnderCap(t *testing.T) {
	documents := slices.Clone(walks)
	documents[0].Text = bytes.Replace(documents[0].Text, []byte("greatest"), []byte("refuse"), 1)
	documents[1].Text = bytes.Replace(documents[1].Text, []byte("{unit: step,"), []byte("{unit: step, min: -1000,"), 1)
	documents[1].Text = bytes.Replace(documents[1].Text, []byte("{per: day, of: reduction, max: 300 gCO2e, trim: true}"), []byte("{per: month, of: steps, max: 300 step}"), 1)
	storetest.Each(t, func(t *testing.T, url string) {
		c := newHome(t, url, documents, "city", "phones")
		c.send(c.steps("a", 19, 50), c.steps("b", 20, -20))
		c.want(told(c.desk.Retract(t.Context(), c.request(0, "phones", "a"), c.now.UnixMicro())), "retracted a -50000")
		c.want(told(c.desk.Retract(t.Context(), c.request(0, "phones", "b"), c.now.UnixMicro())), "retracted b 0")
		c.states()
		c.clean()
	})
}
