package restate_test

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tanpu/tanpu/flows/importing"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

const (
	examples = "../../../shared/examples/"
	trips    = "../../../shared/data/valleybike-trips/trips.csv.gz"
	water    = "../../../shared/data/santamonica-water/water.csv.gz"
)

// allRows names the environment variable that has the real files tried to their end and not only begun.
const allRows = "TANPU_TRY_ALL"

// waterProgramme stands where the examples have none for these readings.
const waterProgramme = `id: water
title: {zh: 节水, en: Water saved}
region: KR
timezone: Asia/Seoul
operator: {name: {zh: 示范, en: Demonstration}, mode: platform}
applicant: {name: {zh: 示范, en: Demonstration}}
ownership: member
accepts: {late: 720h, early: 5m}
points: {name: {zh: 碳积分, en: points}, per: 10 gCO2e, expires: end-of-next-year}
scenarios:
  household-water: {methodology: KR-WATER-SAVED, partners: [city]}
`

// A file is real input with the documents by which it is judged.
type file struct {
	config    importing.Config
	id        string // of the methodology
	documents []publish.File
	method    string // its text
}

func rides(t *testing.T) *file {
	f := open(t, trips, 1_000, "trips.map.yaml", "bike.methodology.yaml", "demo.programme.yaml")
	f.config.Programme, f.config.Partner, f.id = "demo-city", "valleybike", "DEMO-BIKE"
	return f
}

func bills(t *testing.T) *file {
	f := open(t, water, 5_000, "water.map.yaml", "water.methodology.yaml", "")
	f.documents = append(f.documents, publish.File{Name: "water.programme.yaml", Text: []byte(waterProgramme)})
	f.config.Programme, f.config.Partner, f.id = "water", "city", "KR-WATER-SAVED"
	return f
}

// open reads the documents for a file and takes its first rows.
func open(t *testing.T, path string, rows int, mapping, method, programme string) *file {
	t.Helper()
	if _, err := os.Stat(path); err != nil {
		t.Skip("the real files are not here")
	}
	f := &file{method: text(t, method)}
	m, err := importing.ParseMap(mapping, []byte(text(t, mapping)))
	if err != nil {
		t.Fatal(err)
	}
	f.documents = []publish.File{{Name: "activity.groups.yaml", Text: []byte(text(t, "activity.groups.yaml"))}}
	if programme != "" {
		f.documents = append(f.documents, publish.File{Name: programme, Text: []byte(text(t, programme))})
	}
	f.config = importing.Config{Map: m, Files: []string{path}, Enrol: true, Backfill: true}
	if os.Getenv(allRows) == "" {
		f.config.Files = []string{begin(t, path, rows)}
	}
	return f
}

func text(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(examples + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// begin writes the first rows of a file.
func begin(t *testing.T, path string, rows int) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "begin.csv")
	to, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	w := csv.NewWriter(to)
	each(t, path, func(row []string) bool {
		w.Write(row)
		rows--
		return rows >= 0
	})
	w.Flush()
	return out
}

// each runs f on the rows of a file, its head included, until it says no.
func each(t *testing.T, path string, f func(row []string) bool) {
	t.Helper()
	from, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	var r io.Reader = from
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(from); err != nil {
			t.Fatal(err)
		}
	}
	for c := csv.NewReader(r); ; {
		row, err := c.Read()
		if err == io.EOF || err == nil && !f(row) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// imported makes a database in which this text was in force when the file came in.
func (f *file) imported(t *testing.T, url, method string) *store.DB {
	t.Helper()
	db, err := store.Create(t.Context(), url, 4)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	documents := append([]publish.File{{Name: "x.methodology.yaml", Text: []byte(method)}}, f.documents...)
	if _, err := publish.Publish(t.Context(), db, documents); err != nil {
		t.Fatal(err)
	}
	c := f.config
	c.Subs, c.Report = filepath.Join(t.TempDir(), "subs"), filepath.Join(t.TempDir(), "report.csv")
	if _, err := importing.Run(t.Context(), db, c); err != nil {
		t.Fatal(err)
	}
	return db
}

// edit replaces passages of a text, each of which must be there.
func edit(t *testing.T, text string, pairs ...string) string {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q does not stand in the text", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return text
}

func try(t *testing.T, db *store.DB, draft string) *restate.Report {
	t.Helper()
	r, err := restate.Try(t.Context(), db, restate.Draft{File: "draft.yaml", Text: []byte(draft)}, restate.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !r.Whole() {
		t.Errorf("not everything could be judged again: %v", r.Unjudged)
	}
	return r
}

// An outcome is what a claim came to.
type outcome struct {
	reason     reason.Code
	mg, points int64
	method     string
}

// tried is what would become of each claim, by its id.
func tried(t *testing.T, db *store.DB, draft string) map[string]outcome {
	t.Helper()
	all := map[string]outcome{}
	err := restate.Cases(t.Context(), db, restate.Draft{File: "draft.yaml", Text: []byte(draft)}, func(c *restate.Case) {
		v := &c.New.Verdict
		all[c.Old.ID] = outcome{v.Reason, v.Milligrams, v.Points, v.Method}
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// judged is what became of each claim that stands, by its id.
func judged(t *testing.T, db *store.DB) map[string]outcome {
	t.Helper()
	all := map[string]outcome{}
	for part := range db.Parts {
		err := db.Snapshot(t.Context(), part, func(s *store.Snapshot) error {
			return s.Claims(t.Context(), store.Range{From: 1, To: s.Accounts}, func(c *store.ClaimRow) {
				if v := &c.Verdict; c.Reversed == 0 {
					all[c.ID] = outcome{v.Reason, v.Milligrams, v.Points, v.Method}
				}
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// TestKnownAnswers: a draft tried on real rows comes to what importing them under it comes to, claim by claim and to the
// milligram, and so does applying it, upon what was applied before; the published text itself changes nothing.
func TestKnownAnswers(t *testing.T) {
	if storetest.Raced {
		t.Skip("so many claims take too long under the race detector, and other tests look for races here")
	}
	type test struct {
		name  string
		edits []string
	}
	for _, of := range []struct {
		name  string
		file  func(*testing.T) *file
		tests []test
	}{
		{"rides", rides, []test{
			{"lower speed", []string{"value: 25", "value: 12"}},
			{"doubled", []string{"value: 93.3", "value: 186.6", "195.93", "391.86", "57.592", "115.185"}},
			{"stricter and trimmed", []string{"min: 0.1", "min: 1.5", "max: 100 km", "max: 9 km, trim: true", "claims: 20", "claims: 3",
				"distance: 1.2345678 km, duration: 10 min, evidence: self", "distance: 2.469 km, duration: 12 min, evidence: self", "57.592", "115.178"}},
			{"capped reduction", []string{"{per: day, claims: 20}", "{per: month, of: reduction, max: 3 kgCO2e, trim: true}"}},
		}},
		{"bills", bills, []test{
			{"one year of history", []string{"same_month, 2", "same_month, 1", "[12 ccf, 13 ccf]", "[12.5 ccf]"}},
			{"no net", []string{"net: year\n", "", "-470.06", "0"}},
		}},
	} {
		t.Run(of.name, func(t *testing.T) {
			f := of.file(t)
			drafts, fresh := make([]string, len(of.tests)), make([]map[string]outcome, len(of.tests))
			for i, test := range of.tests {
				drafts[i] = edit(t, f.method, append(test.edits, "version: 1", fmt.Sprint("version: ", i+2))...)
				fresh[i] = judged(t, f.imported(t, storetest.SQLite(t), drafts[i]))
			}
			storetest.Each(t, func(t *testing.T, url string) {
				db := f.imported(t, url, f.method)
				if r := try(t, db, f.method); r.Total.Changed != 0 || r.Renamed != 0 || r.Total.Old != r.Total.New || r.Total.Claims == 0 {
					t.Errorf("the published text itself: %+v, %d renamed", r.Total, r.Renamed)
				}
				for i, test := range of.tests {
					t.Log(test.name)
					same(t, "tried", tried(t, db, drafts[i]), fresh[i])
					r := try(t, db, drafts[i])
					agree(t, r, judged(t, db), fresh[i])
					o := restate.Order{Name: fmt.Sprint("known-", i), Reason: test.name, Draft: []byte(drafts[i]), Report: r}
					done, err := restate.Apply(t.Context(), db, o, restate.Options{})
					if err != nil || !bytes.Equal(written(t, r), written(t, done.Applied)) {
						t.Fatalf("applied: %v\n%s\n%s", err, written(t, r), written(t, done.Applied))
					}
					same(t, "applied", judged(t, db), fresh[i])
				}
				clean(t, db)
			})
		})
	}
}

// same holds what became of claims in two databases against each other. A refusal that stays is told by the text that first
// refused it.
func same(t *testing.T, how string, got, fresh map[string]outcome) {
	t.Helper()
	if len(got) != len(fresh) || len(got) == 0 {
		t.Errorf("%d claims were %s, and %d recorded under the draft", len(got), how, len(fresh))
	}
	wrong := 0
	for id, want := range fresh {
		o := got[id]
		if o.reason == want.reason && o.reason.Kind() != reason.Accepted {
			o.method = want.method
		}
		if o != want {
			if wrong++; wrong < 10 {
				t.Errorf("%s: %s %v, imported under the draft %v", id, how, got[id], want)
			}
		}
	}
	if wrong > 0 {
		t.Errorf("%d of %d claims differ", wrong, len(fresh))
	}
}

// agree holds a report against the outcomes of two databases.
func agree(t *testing.T, r *restate.Report, old, fresh map[string]outcome) {
	t.Helper()
	var want restate.Sum
	for id, n := range fresh {
		o := old[id]
		want.Old, want.New, want.OldPoints, want.NewPoints = want.Old+o.mg, want.New+n.mg, want.OldPoints+o.points, want.NewPoints+n.points
		if o.reason != n.reason || o.mg != n.mg || o.points != n.points {
			want.Changed++
		}
	}
	want.Claims = r.Total.Claims
	if r.Total != want || r.Judged.Claims != int64(len(fresh)) || want.Changed == 0 {
		t.Errorf("the report says %+v of %d claims, the two databases %+v of %d", r.Total, r.Judged.Claims, want, len(fresh))
	}
	t.Logf("%d claims, %d changed, %d mg → %d mg", r.Total.Claims, r.Total.Changed, r.Total.Old, r.Total.New)
	sum := func(name string, sums []restate.Sum) {
		t.Helper()
		var all restate.Sum
		for _, s := range sums {
			all.Claims, all.Changed, all.Old, all.New = all.Claims+s.Claims, all.Changed+s.Changed, all.Old+s.Old, all.New+s.New
			all.OldPoints, all.NewPoints = all.OldPoints+s.OldPoints, all.NewPoints+s.NewPoints
		}
		if all != r.Total {
			t.Errorf("%s sum to %+v, the total is %+v", name, all, r.Total)
		}
	}
	var months, reasons, schemes, texts []restate.Sum
	for _, m := range r.Months {
		months = append(months, m.Sum)
	}
	for _, x := range r.Reasons {
		reasons = append(reasons, x.Sum)
	}
	for _, x := range r.Schemes {
		schemes = append(schemes, x.Sum)
	}
	for _, x := range r.Texts {
		texts = append(texts, x.Sum)
	}
	sum("months", months)
	sum("reasons", reasons)
	sum("programmes", schemes)
	sum("methodologies", texts)
	var claims, accounts int64
	for _, b := range r.Spread {
		claims, accounts = claims+b.Claims, accounts+b.Accounts
	}
	if claims != r.Total.Claims || accounts != r.Accounts.Concerned {
		t.Errorf("the buckets hold %d claims of %d accounts, want %d of %d", claims, accounts, r.Total.Claims, r.Accounts.Concerned)
	}
}

// TestDoubled: twice the credit is twice the sum, computed from the file itself. Amounts are whole milligrams,
// rounded down, so that of a claim with half a milligram twice is one more than two times the once.
func TestDoubled(t *testing.T) {
	if storetest.Raced {
		t.Skip("so many claims take too long under the race detector, and other tests look for races here")
	}
	f := rides(t)
	db := f.imported(t, storetest.SQLite(t), f.method)
	draft := edit(t, f.method, "value: 93.3", "value: 186.6", "195.93", "391.86", "57.592", "115.185")
	metres := map[string]string{}
	each(t, f.config.Files[0], func(row []string) bool {
		metres[row[0]] = row[10]
		return true
	})
	old := judged(t, db)
	var want int64
	for id, now := range tried(t, db, draft) {
		was := old[id]
		if was.reason != now.reason {
			t.Fatalf("%s: %v became %v", id, was, now)
		}
		if now.reason != reason.OK {
			continue
		}
		exact, ok := new(big.Rat).SetString(metres[id])
		if !ok {
			t.Fatalf("%s has %q metres", id, metres[id])
		}
		exact.Mul(exact, big.NewRat(1866, 10)) // 186.6 g a kilometre are 186.6 mg a metre
		mg := new(big.Int).Quo(exact.Num(), exact.Denom()).Int64()
		if now.mg != mg || mg-2*was.mg < 0 || mg-2*was.mg > 1 {
			t.Errorf("%s of %s m: %d mg, before %d, want %d", id, metres[id], now.mg, was.mg, mg)
		}
		want += mg
	}
	if r := try(t, db, draft); r.Total.New != want || want == 0 {
		t.Errorf("%d mg, want %d", r.Total.New, want)
	}
}
