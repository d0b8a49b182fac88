package intake_test

import (
	"compress/gzip"
	"crypto/sha256"
	"encoding/csv"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
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

// The real files and the documents for them lie outside the project.
const shared = "../../../shared/"

// A file of real acts with what must come of it.
type known struct {
	programme, partner string
	members            []string // who each claim is about, by the partner's own ids
	claims             []claim.Claim
	want               string
}

// TestKnownAnswers submits the real trips, in the order of their file and in that of the SHA-256 of
// their ids, and the real water bills. What an independent program found must come out to the milligram,
// on both engines, in requests and batches of several sizes; sent again, all of it is a replay.
func TestKnownAnswers(t *testing.T) {
	if _, err := os.Stat(shared + "data"); err != nil {
		t.Skip("the real files lie outside the project and are absent")
	}
	if storetest.Raced {
		t.Skip("half a million claims take too long under the race detector, and other tests look for races here")
	}
	trips, water := readTrips(t), readWater(t)
	hashed := byHash(trips)
	trips.want = "12762 members: above-maximum:149 bad-time:192 below-minimum:24454 cap-reached:174 implausible:121 ok:89141 overlap:6601 unknown-methodology:12" +
		" = 37349751088 mg, 3734935012 thousandths, 12339 credited"
	hashed.want = "12762 members: above-maximum:149 bad-time:192 below-minimum:24454 cap-reached:164 implausible:121 ok:89180 overlap:6572 unknown-methodology:12" +
		" = 37301747667 mg, 3730134668 thousandths, 12339 credited"
	water.want = "7456 members: above-maximum:97 id-reused:4135 no-history:71848 ok:9067 replay:311 = 52403187391 mg, 0 thousandths, 2993 credited"
	for _, tt := range []struct {
		name          string
		known         *known
		engine        string
		request, most int  // claims in a request, and at most in a batch
		again         bool // send all of it twice
	}{
		{"trips", trips, "sqlite", 20_000, 0, false},
		{"trips", trips, "postgres", 5001, 97, false},
		{"trips by hash", hashed, "sqlite", 40_000, 333, false},
		{"trips by hash", hashed, "postgres", 10_000, 0, false},
		{"water", water, "sqlite", 30_011, 1003, false},
		{"water", water, "postgres", 30_000, 0, true},
	} {
		t.Run(fmt.Sprintf("%s, %s, %d", tt.name, tt.engine, tt.request), func(t *testing.T) {
			url := storetest.SQLite(t)
			if tt.engine == "postgres" {
				url = storetest.Postgres(t)
			}
			db := open(t, url)
			server := intake.New(db, intake.Config{Backfill: true, Most: tt.most})
			defer server.Close(t.Context())
			tt.known.enrol(t, db)
			got, first := tt.known.submit(t, server, tt.request)
			if got != tt.known.want {
				t.Errorf("verdicts\n got %s\nwant %s", got, tt.known.want)
			}
			if tt.again {
				tt.known.submitAgain(t, db, server, tt.request, first)
			}
		})
	}
}

func open(t *testing.T, url string) *store.DB {
	t.Helper()
	db, err := store.Create(t.Context(), url, store.DefaultParts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	var files []publish.File
	for _, n := range []string{"activity.groups.yaml", "bike.methodology.yaml", "water.methodology.yaml", "demo.programme.yaml", "water.programme.yaml"} {
		text, err := os.ReadFile(shared + "examples/" + n)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, publish.File{Name: n, Text: text})
	}
	if _, err := publish.Publish(t.Context(), db, files); err != nil {
		t.Fatal(err)
	}
	return db
}

// enrol gives every member a sub, and every claim that of its member.
func (k *known) enrol(t *testing.T, db *store.DB) {
	t.Helper()
	number, err := db.Rulebook(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	book, err := publish.Load(t.Context(), db, number)
	if err != nil {
		t.Fatal(err)
	}
	subs := map[string]string{}
	for _, m := range k.members {
		subs[m] = ""
	}
	granted, err := link.Enrol(t.Context(), db, book, k.programme, k.partner, len(subs), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for m := range subs {
		subs[m], granted = granted[0], granted[1:]
	}
	for i := range k.claims {
		k.claims[i].Sub = subs[k.members[i]]
	}
}

// submit sends the claims in order, and sums up what came back.
func (k *known) submit(t *testing.T, server *intake.Server, size int) (string, []claim.Verdict) {
	t.Helper()
	counts := map[string]int{}
	var mg, points int64
	var all []claim.Verdict
	members := map[string]int64{}
	for from := 0; from < len(k.claims); from += size {
		request := k.claims[from:min(from+size, len(k.claims))]
		verdicts, err := server.Submit(t.Context(), request)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, verdicts...)
		for i, v := range verdicts {
			counts[string(v.Reason)]++
			members[request[i].Sub] += 0
			if v.Reason == reason.OK {
				mg, points = mg+v.Milligrams, points+v.Points
				members[request[i].Sub] += v.Milligrams
			}
		}
	}
	credited := 0
	for _, n := range members {
		if n > 0 {
			credited++
		}
	}
	return fmt.Sprintf("%d members: %s = %d mg, %d thousandths, %d credited", len(members), strings.TrimSuffix(strings.TrimPrefix(fmt.Sprint(counts), "map["), "]"), mg, points, credited), all
}

// submitAgain sends the claims a second time: nothing new may come of it.
func (k *known) submitAgain(t *testing.T, db *store.DB, server *intake.Server, size int, first []claim.Verdict) {
	t.Helper()
	before := balances(t, db)
	_, again := k.submit(t, server, size)
	for i, v := range again {
		want := first[i]
		if want.Reason != reason.Replay && want.Reason != reason.IDReused {
			want.First, want.Reason = want.Reason, reason.Replay
		}
		if v != want {
			t.Fatalf("claim %d: first %+v, and sent again %+v", i, first[i], v)
		}
	}
	if after := balances(t, db); after != before {
		t.Errorf("sending everything again moved balances:\n%s\n%s", before, after)
	}
}

// balances sums what the members hold, by what it is.
func balances(t *testing.T, db *store.DB) string {
	t.Helper()
	sums := map[string]int64{}
	for part := range db.Parts {
		for n := int64(1); ; n++ {
			list, _, err := db.Account(t.Context(), store.AccountID{Part: part, Number: n})
			if err != nil {
				break
			}
			for _, b := range list {
				sums[string(b.Asset)] += b.Amount
				sums["holders of "+string(b.Asset)] += n * 31 * b.Amount // notices what moved between members
			}
		}
	}
	return fmt.Sprint(sums)
}

// readTrips reads the bike trips as examples/trips.map.yaml says.
func readTrips(t *testing.T) *known {
	const weeks = 338 // these trips are from 2018 and 2019, before the methodology
	k := &known{programme: "demo-city", partner: "valleybike"}
	for _, row := range readCSV(t, "data/valleybike-trips/trips.csv.gz") {
		start, end := parseTime(t, row["start_time_utc"]), parseTime(t, row["end_time_utc"])
		k.add(claim.Claim{Partner: k.partner, ID: row["route_id"], Scenario: "shared-bike", Evidence: "system",
			Start: start.AddDate(0, 0, 7*weeks).UnixMicro(), End: end.AddDate(0, 0, 7*weeks).UnixMicro()},
			row["user_id"], "distance", row["track_m"]+" m")
	}
	return k
}

// readWater reads the water bills as examples/water.map.yaml says.
func readWater(t *testing.T) *known {
	k := &known{programme: "water-bank", partner: "waterworks"}
	seoul, err := time.LoadLocation("Asia/Seoul")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range readCSV(t, "data/santamonica-water/water.csv.gz") {
		if c := row["cust_class"]; c != "RESIDENTIAL_SINGLE" && c != "RESIDENTIAL_MULTI" {
			continue
		}
		year, err1 := strconv.Atoi(row["usage_year"])
		month, err2 := strconv.Atoi(row["usage_month"])
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		first := time.Date(year, time.Month(month), 1, 0, 0, 0, 0, seoul)
		k.add(claim.Claim{Partner: k.partner, ID: row["cust_id"] + "/" + row["usage_year"] + "-" + row["usage_month"], Scenario: "household-water",
			Evidence: "system", Start: first.UnixMicro(), End: first.AddDate(0, 1, 0).UnixMicro()},
			row["cust_id"], "used", row["usage_ccf"]+" ccf")
	}
	return k
}

func (k *known) add(c claim.Claim, member, quantity, text string) {
	text, _ = claim.Canonical(text)
	c.Quantities = []claim.Quantity{{Name: quantity, Text: text}}
	k.claims = append(k.claims, c)
	k.members = append(k.members, member)
}

// byHash returns the claims in order of the SHA-256 of their ids.
func byHash(k *known) *known {
	order := make([]int, len(k.claims))
	hashes := make([][32]byte, len(k.claims))
	for i := range order {
		order[i], hashes[i] = i, sha256.Sum256([]byte(k.claims[i].ID))
	}
	slices.SortFunc(order, func(a, b int) int { return slices.Compare(hashes[a][:], hashes[b][:]) })
	sorted := &known{programme: k.programme, partner: k.partner}
	for _, i := range order {
		sorted.claims = append(sorted.claims, k.claims[i])
		sorted.members = append(sorted.members, k.members[i])
	}
	return sorted
}

func readCSV(t *testing.T, path string) []map[string]string {
	f, err := os.Open(shared + path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(z).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	list := make([]map[string]string, 0, len(rows)-1)
	for _, row := range rows[1:] {
		m := make(map[string]string, len(row))
		for i, name := range rows[0] {
			m[name] = row[i]
		}
		list = append(list, m)
	}
	return list
}

func parseTime(t *testing.T, s string) time.Time {
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
