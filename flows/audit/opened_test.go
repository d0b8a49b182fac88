package audit_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// Sums that are opened to everybody must be those of their days, even where the operator writes them into the log himself.
func TestOpenedSums(t *testing.T) {
	storetest.OneByOne(t)
	for name, tt := range map[string]struct {
		lie  func(*store.Sum)
		want string // of a finding
	}{
		"the truth":    {nil, ""},
		"a gram more":  {func(s *store.Sum) { s.Milligrams += 1000 }, "are more by 0 claims, 1000 mg and 0 thousandths of a point"},
		"a point less": {func(s *store.Sum) { s.Points -= 1000 }, "are more by 0 claims, 0 mg and -1000 thousandths of a point"},
		"a claim more": {func(s *store.Sum) { s.Claims++ }, "are more by 1 claims, 0 mg and 0 thousandths of a point"},
	} {
		t.Run(name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, url string) {
				w := newWorld(t, url, 2, 4)
				signer, _ := newSigner(t, "example.org/log")
				if err := seal.Begin(t.Context(), w.db, signer, w.now); err != nil {
					t.Fatal(err)
				}
				for range 3 {
					w.day()
				}
				w.open(t, w.now.AddDate(0, 0, -2), nil)
				opened := w.open(t, w.now.AddDate(0, 0, -1), tt.lie)
				w.day() // which is in no sum yet
				seals(t, w, signer)
				r := run(t, w.db)
				if opened == 0 || (tt.want == "") != r.Clean() || len(r.Found) > 1 {
					t.Fatalf("%d sums were opened, and there is %v", opened, r.Findings)
				}
				if tt.want != "" && (r.Found[audit.Log] != 1 || !strings.Contains(r.Findings[0].Text, tt.want)) {
					t.Errorf("there is %v, want %q", r.Findings, tt.want)
				}
			})
		})
	}
}

// open opens all sums up to a day, the first of them with a lie if there is one.
func (w *world) open(t *testing.T, day time.Time, lie func(*store.Sum)) (n int64) {
	t.Helper()
	n, err := w.db.LastTotals(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, programme := range []string{"city", "home"} {
		sums, err := w.db.Unopened(t.Context(), programme, day.Format(time.DateOnly))
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range slices.SortedFunc(maps.Keys(sums), func(a, b store.Series) int { return strings.Compare(a.Method+a.Vintage, b.Method+b.Vintage) }) {
			s := sums[k]
			if lie != nil {
				lie(&s)
			}
			lie = nil
			n++
			body := record.Text(&record.Totals{Number: n, Programme: k.Programme, Method: k.Method, Vintage: k.Vintage, From: s.From, To: s.Upto,
				Least: 1, Claims: s.Claims, Reduction: s.Milligrams, Points: s.Points})
			if done, err := w.db.OpenTotals(t.Context(), n, k, s, body); err != nil || !done {
				t.Fatal(done, err)
			}
		}
	}
	return n
}
