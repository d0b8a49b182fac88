package publish_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

const groups = `
trip: {kind: spans, tolerance: 60s, span: 24h, title: one trip}
steps: {kind: total, period: day, repeat: greatest, includes: {group: trip, activity: walk}, title: steps}
`

const factors = `
grid-average:
  kind: average
  unit: kgCO2e/kWh
  level: province
  title: grid
  sources: [{id: s, title: a source}]
  values:
    - {region: CN-42, from: 2024-01-01, to: 2025-01-01, value: 0.4, source: s, seen: true}
    - {region: CN-42, from: 2025-01-01, value: 0.5, source: s, seen: true}
`

func bike(version int, from string) string {
	return fmt.Sprintf(`
id: BIKE
version: %d
title: riding
domain: travel
activity: bike
kind: reduction
use: points
region: CN
timezone: Asia/Shanghai
valid: {from: %s}
sources: [{id: s, title: a source}]
group: trip
inputs: {distance: {unit: km}}
parameters: {credit: {value: %d, unit: gCO2e/km, source: s, seen: true}}
reduction: distance * credit
evidence: {system: {weight: 1}}
examples:
  - {given: {distance: 1 km, evidence: system}, want: {reduction: %d gCO2e}}
`, version, from, version, version)
}

const city = `
id: city
title: a city
region: CN
timezone: Asia/Shanghai
operator: {name: an operator, mode: platform}
applicant: {name: an applicant}
ownership: assigned
accepts: {late: 720h, early: 5m}
points: none
scenarios:
  bike: {methodology: BIKE, partners: [bikes]}
`

func file(name, text string) publish.File { return publish.File{Name: name, Text: []byte(text)} }

var all = []publish.File{ // in no order that helps
	file("city.programme.yaml", city), file("bike.methodology.yaml", bike(1, "2024-01-01")),
	file("documents/grid.factors.yaml", factors), file("g.groups.yaml", groups),
}

func create(t *testing.T, url string) *store.DB {
	t.Helper()
	db, err := store.Create(t.Context(), url, 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Documents are put in force in the order in which they build on each other; what is there stays as it is.
func TestPublish(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url)
		report, err := publish.Publish(t.Context(), db, all)
		if err != nil {
			t.Fatal(err)
		}
		if want := []string{"g", "grid", "BIKE@1", "city"}; report.Rulebook != 4 || !slices.Equal(report.Published, want) || report.Unchanged != nil {
			t.Errorf("first: %+v, want %v", report, want)
		}
		report, err = publish.Publish(t.Context(), db, all)
		if err != nil || report.Rulebook != 4 || report.Published != nil || len(report.Unchanged) != 4 {
			t.Errorf("again: %+v, %v", report, err)
		}
		tomorrow := time.Now().AddDate(0, 0, 2).Format(time.DateOnly)
		revised := strings.Replace(city, "late: 720h", "late: 24h", 1)
		report, err = publish.Publish(t.Context(), db, []publish.File{file("b2.methodology.yaml", bike(2, tomorrow)), file("c.programme.yaml", revised), all[3]})
		if err != nil || report.Rulebook != 6 || !slices.Equal(report.Published, []string{"BIKE@2", "city"}) || !slices.Equal(report.Unchanged, []string{"g"}) {
			t.Errorf("a version and a revision: %+v, %v", report, err)
		}
		checkBooks(t, db)
	})
}

// checkBooks loads old and new rulebooks: each shows what was in force then.
func checkBooks(t *testing.T, db *store.DB) {
	t.Helper()
	for number, want := range map[int64]string{0: "0 0h", 3: "1 0h", 4: "1 720h", 5: "2 720h", 6: "2 24h"} {
		book, err := publish.Load(t.Context(), db, number)
		if err != nil {
			t.Fatal(err)
		}
		late := time.Duration(0)
		if p := book.Programmes["city"]; p != nil {
			late = p.Late
		}
		if got := fmt.Sprintf("%d %.0fh", len(book.Versions("BIKE")), late.Hours()); got != want || book.Number != number {
			t.Errorf("rulebook %d: %s, want %s", number, got, want)
		}
	}
}

// What is published cannot be changed, and what cannot run is not published; then nothing of a call is.
func TestRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url)
		if _, err := publish.Publish(t.Context(), db, all); err != nil {
			t.Fatal(err)
		}
		edit := func(text, old, new string) string {
			edited := strings.Replace(text, old, new, 1)
			if edited == text {
				t.Fatalf("%q is not there", old)
			}
			return edited
		}
		later := time.Now().AddDate(1, 0, 0).Format(time.DateOnly)
		for what, tt := range map[string]struct {
			file publish.File
			kind fault.Kind
			says string
		}{
			"a name":                    {file("bike.yaml", "id: x"), fault.Invalid, "name ends in"},
			"no YAML":                   {file("x.groups.yaml", "a: ["), fault.Invalid, "x.groups.yaml:1:"},
			"a version's text":          {file("b.methodology.yaml", bike(1, "2024-01-01")+"# changed\n"), fault.Conflict, "new version"},
			"a version from the past":   {file("b.methodology.yaml", bike(2, "2025-01-01")), fault.Conflict, "starts in the future"},
			"a wrong example":           {file("b.methodology.yaml", edit(bike(2, later), "reduction: 2 gCO2e", "reduction: 3 gCO2e")), fault.Invalid, "b.methodology.yaml:"},
			"a group that is not":       {file("b.methodology.yaml", edit(bike(2, later), "group: trip", "group: trips")), fault.Invalid, "trips"},
			"a group's rules":           {file("g.groups.yaml", edit(groups, "tolerance: 60s", "tolerance: 90s")), fault.Conflict, "only its title"},
			"a group's inclusion":       {file("g.groups.yaml", edit(groups, "activity: walk", "activity: run")), fault.Conflict, "only its title"},
			"a group left out":          {file("g.groups.yaml", edit(groups, "steps:", "paces:")), fault.Conflict, "cannot be left out"},
			"a group elsewhere":         {file("h.groups.yaml", groups), fault.Invalid, "trip"},
			"a factor's value":          {file("grid.factors.yaml", edit(factors, "value: 0.4", "value: 0.3")), fault.Conflict, "changed or is gone"},
			"a factor's end":            {file("grid.factors.yaml", edit(factors, "from: 2025-01-01, value", "from: 2025-01-01, to: 2025-06-01, value")), fault.Conflict, "changed or is gone"},
			"a factor's kind":           {file("grid.factors.yaml", edit(factors, "kind: average", "kind: margin")), fault.Conflict, "its kind"},
			"a factor left out":         {file("grid.factors.yaml", edit(factors, "grid-average:", "grid-mean:")), fault.Conflict, "cannot be left out"},
			"a programme's zone":        {file("c.programme.yaml", edit(city, "Asia/Shanghai", "Asia/Urumqi")), fault.Conflict, "time zone"},
			"a programme's ownership":   {file("c.programme.yaml", edit(city, "ownership: assigned", "ownership: member")), fault.Conflict, "ownership"},
			"a methodology that is not": {file("c.programme.yaml", edit(city, "methodology: BIKE", "methodology: BIKES")), fault.Invalid, "there is no methodology BIKES; did you mean"},
		} {
			good := file("new.groups.yaml", "new: {kind: act, title: new}")
			_, err := publish.Publish(t.Context(), db, []publish.File{good, tt.file})
			if fault.KindOf(err) != tt.kind || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%s: %v, want %s: %q", what, err, tt.kind, tt.says)
			}
		}
		if n, err := db.Rulebook(t.Context()); n != 4 || err != nil {
			t.Errorf("something was published: rulebook %d, %v", n, err)
		}
	})
}

// A title may be mended, a factor gets values for later times, and a group or factor may be added.
func TestRevised(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url)
		if _, err := publish.Publish(t.Context(), db, all); err != nil {
			t.Fatal(err)
		}
		later := time.Now().AddDate(1, 0, 0).Format(time.DateOnly)
		for _, tt := range []struct { // in this order: a document that is revised twice keeps what the first added
			what string
			file publish.File
		}{
			{"a title", file("g.groups.yaml", strings.Replace(groups, "title: one trip", "title: a trip", 1))},
			{"a group more", file("g.groups.yaml", groups+"order: {kind: act, title: an order}\n")},
			{"a value more", file("grid.factors.yaml", strings.Replace(factors, "2025-01-01, value: 0.5", "2025-01-01, to: "+later+", value: 0.5", 1)+
				"    - {region: CN-42, from: "+later+", value: 0.6, source: s, seen: true}\n")},
		} {
			if report, err := publish.Publish(t.Context(), db, []publish.File{tt.file}); err != nil || len(report.Published) != 1 {
				t.Errorf("%s: %+v, %v", tt.what, report, err)
			}
		}
	})
}

// Several operators who publish at once all get what they published, one after the other.
func TestPublishAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url)
		errs := make([]error, 5)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				name := fmt.Sprintf("g%d", i)
				_, errs[i] = publish.Publish(t.Context(), db, []publish.File{file(name+".groups.yaml", name+": {kind: act, title: a group}")})
			})
		}
		wg.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Error(err)
		}
		book, err := publish.Load(t.Context(), db, int64(len(errs)))
		if err != nil || len(book.Groups) != len(errs) {
			t.Errorf("%d groups are published, %v", len(book.Groups), err)
		}
	})
}

// A document that a server publishes whose clock is behind is not earlier than the one before it: the audit found such a
// database at fault (simulation, seed 237).
func TestPublishByClocksThatDiffer(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, err := store.Create(t.Context(), url, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		ahead := time.Now().Add(time.Minute)
		for i, at := range []time.Time{ahead, ahead.Add(-2 * time.Minute)} {
			text := []publish.File{{Name: fmt.Sprint("x", i, ".groups.yaml"), Text: []byte(fmt.Sprintf("g%d: {kind: act, title: one}\n", i))}}
			if _, err := publish.PublishAt(t.Context(), db, text, at); err != nil {
				t.Fatal(err)
			}
		}
		documents, err := db.Documents(t.Context(), 2)
		if err != nil || len(documents) != 2 || documents[1].At < documents[0].At {
			t.Errorf("%d documents, %v: the second is of %d, the first of %d", len(documents), err, documents[1].At, documents[0].At)
		}
	})
}
