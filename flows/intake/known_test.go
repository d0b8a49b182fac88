package intake_test

import (
	"compress/gzip"
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

const shared = "../../../shared/"

func TestTrips(t *testing.T) {
	f, err := os.Open(filepath.Join(shared, "data/valleybike-trips/trips.csv.gz"))
	if err != nil {
		t.Skip("needs the real trips: ", err)
	}
	z, _ := gzip.NewReader(f)
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	rows = rows[1:]
	storetest.Each(t, func(t *testing.T, url string) {
		ctx := context.Background()
		db, err := store.Create(ctx, url, 16)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var files []publish.File
		for _, n := range []string{"activity.groups.yaml", "bike.methodology.yaml", "demo.programme.yaml"} {
			b, err := os.ReadFile(shared + "examples/" + n)
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, publish.File{Name: n, Text: b})
		}
		if _, err := publish.Publish(ctx, db, files); err != nil {
			t.Fatal(err)
		}
		book, err := publish.Load(ctx, db, 3)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		members := map[string]string{}
		for _, r := range rows {
			members[r[1]] = ""
		}
		subs, err := link.Enrol(ctx, db, book, "demo-city", "valleybike", len(members), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		i := 0
		for m := range members {
			members[m] = subs[i]
			i++
		}
		fmt.Println("enrolled", time.Since(began))
		srv := intake.New(db, intake.Config{Backfill: true})
		defer srv.Close()
		began = time.Now()
		counts := map[reason.Code]int{}
		var mg, pts int64
		credited := map[string]bool{}
		for from := 0; from < len(rows); from += 5000 {
			w := rows[from:min(from+5000, len(rows))]
			var cs []claim.Claim
			for _, r := range w {
				s, _ := time.Parse(time.RFC3339, r[3])
				e, _ := time.Parse(time.RFC3339, r[4])
				m, _ := strconv.Atoi(r[10])
				text, _ := claim.Canonical(fmt.Sprintf("%d m", m))
				cs = append(cs, claim.Claim{Partner: "valleybike", ID: r[0], Sub: members[r[1]], Scenario: "shared-bike",
					Start: s.AddDate(0, 0, 338*7).UnixMicro(), End: e.AddDate(0, 0, 338*7).UnixMicro(), Evidence: "system",
					Quantities: []claim.Quantity{{Name: "distance", Text: text}}})
			}
			vs, err := srv.Submit(ctx, cs)
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range vs {
				counts[v.Reason]++
				mg += v.Milligrams
				pts += v.Points
				if v.Milligrams > 0 {
					credited[cs[i].Sub] = true
				}
			}
		}
		fmt.Println(counts, mg, pts, len(credited), time.Since(began), float64(len(rows))/time.Since(began).Seconds())
	})
}
