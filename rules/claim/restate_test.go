package claim_test

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
)

// A claim that lost to another still lost to it where a restatement has put both into another group.
func TestLosersInAnotherGroup(t *testing.T) {
	files := documents(t)
	changed := maps.Clone(files)
	changed["bike.methodology.yaml"] = strings.NewReplacer("version: 1", "version: 2", "group: trip", "group: errand").Replace(files["bike.methodology.yaml"])
	one, two := library(t, files), library(t, changed)
	two.Number, two.Restated = 8, 8
	w := newMemory(one)
	w.links["b"] = &claim.Link{Sub: "b", Account: 1, Programme: "city", Partner: "bikes", Purposes: claim.Purposes}
	ride := func(id string, from int64) claim.Claim {
		start := august.Add(8*time.Hour).UnixMicro() + from*60e6
		return claim.Claim{Partner: "bikes", ID: id, Sub: "b", Scenario: "bike", Start: start, End: start + 600e6, Evidence: "system",
			Quantities: []claim.Quantity{{Name: "distance", Text: "2"}}}
	}
	w.judge(t, claim.Session{At: september}, []claim.Claim{ride("a", 0), ride("b", 5)})
	books := func(f *claim.File) {
		f.Book = func(b claim.Basis) (*rulebook.Rulebook, error) {
			if b.Restated != 0 || b.Rulebook >= two.Number {
				return two, nil
			}
			return one, nil
		}
		f.Batch = func(n int64) (claim.Basis, bool) { b, ok := w.basis[n]; return b, ok }
	}
	f := w.file(1)
	books(f)
	o, err := claim.Restate(f, two.Restated, "a test", w.batches+1)
	if err != nil {
		t.Fatal(err)
	}
	w.book = two
	w.write(t, o, september+1)
	row := o.Rows[0]
	b, err := w.correct(t, 1, &claim.Correction{Of: []claim.Ref{row.Verdict.Ref}, Why: claim.Retracted, By: "bikes"}, september+2, books)
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Rows) != 1 || b.Rows[0].Claim.ID != "b" || b.Rows[0].Verdict.Reason != reason.OK {
		t.Errorf("with the ride gone that it lost to, b is not credited: %v", b.Rows)
	}
}
