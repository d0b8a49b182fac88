package importing_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/tanpu/tanpu/flows/importing"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

const (
	examples = "../../../shared/examples/"
	trips    = "../../../shared/data/valleybike-trips/trips.csv.gz"
	water    = "../../../shared/data/santamonica-water/water.csv.gz"
)

// waterProgramme stands where the examples have none for the water bills.
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

// The real files come to what an independent program found, on every engine, whatever the window; and a
// second import adds nothing.
func TestKnownAnswers(t *testing.T) {
	if _, err := os.Stat(trips); err != nil {
		t.Skip("the real files are not here")
	}
	if storetest.Raced {
		t.Skip("half a million claims take too long under the race detector, and other tests look for races here")
	}
	shuffled := byHash(t, trips)
	rides := importing.Config{Programme: "demo-city", Partner: "valleybike", Map: readMap(t, "trips.map.yaml"), Files: []string{trips}}
	hashed := rides
	hashed.Files, hashed.Window = []string{shuffled}, 20_000
	bills := importing.Config{Programme: "water", Partner: "city", Map: readMap(t, "water.map.yaml"), Files: []string{water}, Window: 1234}
	tests := []struct {
		name   string
		config importing.Config
		want   string
	}{
		{"trips", rides, "rows 120844 read 120844 members 12762 map[above-maximum:149 bad-time:192 below-minimum:24454 cap-reached:174 " +
			"implausible:121 ok:89141 overlap:6601 unknown-methodology:12] 37349751088 mg 3734935012 points 12339 credited"},
		{"trips by hash", hashed, "rows 120844 read 120844 members 12762 map[above-maximum:149 bad-time:192 below-minimum:24454 cap-reached:164 " +
			"implausible:121 ok:89180 overlap:6572 unknown-methodology:12] 37301747667 mg 3730134668 points 12339 credited"},
		{"water", bills, "rows 110146 read 85458 members 7456 map[above-maximum:97 id-reused:4135 no-history:71848 ok:9067 replay:311] " +
			"52403187391 mg 0 points 2993 credited"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, url string) {
				db := prepare(t, url)
				c := test.config
				c.Subs, c.Report = filepath.Join(t.TempDir(), "subs"), filepath.Join(t.TempDir(), "report.csv")
				c.Enrol, c.Backfill = true, true
				got, err := importing.Run(t.Context(), db, c)
				if err != nil {
					t.Fatal(err)
				}
				if s := tell(got); s != test.want {
					t.Errorf("import:\n got %s\nwant %s", s, test.want)
				}
				if test.name != "water" { // whose second import shows all that the others' would, and sooner
					return
				}
				reused := got.Verdicts[reason.IDReused]
				c.Window = 0
				if got, err = importing.Run(t.Context(), db, c); err != nil {
					t.Fatal(err)
				}
				if got.Verdicts[reason.Replay] != got.Read-reused || got.Verdicts[reason.IDReused] != reused || got.Milligrams != 0 || got.Credited != 0 {
					t.Errorf("second import: %s", tell(got))
				}
			})
		})
	}
}

func tell(s importing.Summary) string {
	return fmt.Sprintf("rows %d read %d members %d %v %d mg %d points %d credited",
		s.Rows, s.Read, s.Members, s.Verdicts, s.Milligrams, s.Points, s.Credited)
}

func readMap(t *testing.T, name string) *importing.Map {
	text, err := os.ReadFile(examples + name)
	if err != nil {
		t.Fatal(err)
	}
	m, err := importing.ParseMap(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func prepare(t *testing.T, url string) *store.DB {
	db, err := store.Create(t.Context(), url, store.DefaultParts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	files := []publish.File{{Name: "water.programme.yaml", Text: []byte(waterProgramme)}}
	for _, name := range []string{"activity.groups.yaml", "bike.methodology.yaml", "water.methodology.yaml", "demo.programme.yaml"} {
		text, err := os.ReadFile(examples + name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, publish.File{Name: name, Text: text})
	}
	if _, err := publish.Publish(t.Context(), db, files); err != nil {
		t.Fatal(err)
	}
	return db
}

// byHash writes the rows of a file in order of the SHA-256 of their first column.
func byHash(t *testing.T, path string) string {
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	hashes := make(map[string][32]byte, len(all))
	for _, row := range all {
		hashes[row[0]] = sha256.Sum256([]byte(row[0]))
	}
	slices.SortFunc(all[1:], func(a, b []string) int {
		x, y := hashes[a[0]], hashes[b[0]]
		return bytes.Compare(x[:], y[:])
	})
	out := filepath.Join(t.TempDir(), "by-hash.csv")
	to, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	if err := csv.NewWriter(to).WriteAll(all); err != nil {
		t.Fatal(err)
	}
	return out
}
