package mirror_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"github.com/tanpu/tanpu/api"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/mirror"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

var documents = []publish.File{
	{Name: "meter.methodology.yaml", Text: []byte(`
id: METER
version: 1
title: a meter
domain: life
activity: meter
kind: reduction
use: points
region: CN
timezone: Asia/Shanghai
valid: {from: 2020-01-01}
sources: [{id: s, title: a source}]
inputs: {used: {unit: kWh}}
parameters: {grid: {value: 0.5, unit: kgCO2e/kWh, source: s, seen: true}}
reduction: used * grid
evidence: {system: {weight: 1}}
`)},
	{Name: "city.programme.yaml", Text: []byte(`
id: city
title: a city
region: CN
timezone: Asia/Shanghai
operator: {name: an operator, mode: platform}
applicant: {name: an applicant}
ownership: assigned
accepts: {late: 87600h, early: 5m}
points: none
scenarios: {meter: {methodology: METER, partners: [utility]}}
`)},
}

// A real server of a database that is judged and sealed again and again is checked in between, over one copy, by its
// key and by its own word.
func TestServer(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		now := time.Date(2026, 8, 21, 12, 0, 0, 0, time.UTC)
		db, err := store.Create(t.Context(), url, 3)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		published, err := publish.Publish(t.Context(), db, documents)
		if err != nil {
			t.Fatal(err)
		}
		book, err := publish.Load(t.Context(), db, published.Rulebook)
		if err != nil {
			t.Fatal(err)
		}
		key := filepath.Join(t.TempDir(), "log-key")
		vkey, err := seal.CreateKey(key, "example.org/log")
		if err != nil {
			t.Fatal(err)
		}
		signer, err := seal.LoadSigner(key, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := seal.Begin(t.Context(), db, signer, now); err != nil {
			t.Fatal(err)
		}
		sealer, err := seal.New(t.Context(), seal.Config{DB: db, Signer: signer})
		if err != nil {
			t.Fatal(err)
		}
		subs, err := link.Enrol(t.Context(), db, book, "city", "utility", 30, now.AddDate(0, -1, 0))
		if err != nil {
			t.Fatal(err)
		}
		in := intake.New(db, intake.Config{})
		defer in.Close(t.Context())
		server := httptest.NewServer(api.New(api.Config{DB: db, Intake: in, Log: slog.New(slog.DiscardHandler)}).Handler)
		defer server.Close()
		named, blind := t.TempDir(), t.TempDir()
		judge, judged, known := &intake.Judge{DB: db}, 0, int64(0)
		for _, more := range []int{0, 3, 250, 0, 1, 270} {
			for range more {
				judged++
				c := claim.Claim{Partner: "utility", ID: fmt.Sprint(judged), Sub: subs[judged%len(subs)], Scenario: "meter",
					Start: now.UnixMicro(), End: now.UnixMicro(), Evidence: "system", Quantities: []claim.Quantity{{Name: "used", Text: fmt.Sprint(judged)}}}
				if _, err := judge.Admit(t.Context(), db.Route(c.Sub), []claim.Claim{c}, now.UnixMicro()); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := sealer.Step(t.Context(), now); err != nil {
				t.Fatal(err)
			}
			for _, c := range []mirror.Config{{Keys: []string{vkey}}, {Keys: []string{vkey}, Dir: named}, {Dir: blind}} {
				c.URL = server.URL + "/log/"
				r, err := mirror.Run(t.Context(), c)
				if err != nil {
					t.Fatal(err)
				}
				clean(t, r, signer.Last().Size)
				if r.Types[record.BatchType] != int64(judged) || r.Types[record.DocumentType] != 2 || c.Dir != "" && r.Known != known {
					t.Errorf("after %d claims %d entries were known, and there are %v", judged, r.Known, r.Types)
				}
			}
			known = signer.Last().Size
		}
	})
}
