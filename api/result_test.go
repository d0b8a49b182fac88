package api

import (
	"encoding/json"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
)

// What is written by hand is what the documented type says, and a partner never learns of others.
func TestWriteResults(t *testing.T) {
	every := reason.Operands{Field: `"distance"`, Got: "1\n", Limit: "2", Want: "3", Need: "4", From: "5", Until: "6", Rule: "a < b", Other: "secret"}
	var claims []claim.Claim
	var verdicts []claim.Verdict
	for _, code := range append(reason.All, reason.Retry) {
		claims = append(claims, claim.Claim{ID: `"` + string(code) + "电"}, claim.Claim{ID: "empty"})
		verdicts = append(verdicts,
			claim.Verdict{Reason: code, Operands: every, Method: "M@1", Milligrams: -5, Points: 7, Ref: claim.Ref{Part: 1, Batch: 2, Ord: 3}, First: reason.OK},
			claim.Verdict{Reason: code})
	}
	for range 200 { // more than is written at once
		claims, verdicts = append(claims, claims[0]), append(verdicts, verdicts[0])
	}
	for _, lang := range []string{"en", "zh"} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("POST", "/v1/claims", nil)
		r.Header.Set("Accept-Language", lang)
		writeResults(w, r, claims, verdicts)
		if strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: a partner learns of another", lang)
		}
		d := json.NewDecoder(w.Body)
		d.DisallowUnknownFields()
		var results Results
		if err := d.Decode(&results); err != nil {
			t.Fatal(err)
		}
		if len(results.Results) != len(claims) {
			t.Fatalf("%d results for %d claims", len(results.Results), len(claims))
		}
		for i, got := range results.Results {
			v := verdicts[i]
			if got.ID != claims[i].ID || got.Reason != v.Reason || got.Status != status(v.Reason) || got.Detail == "" || got.Method != v.Method ||
				got.Mg != v.Milligrams || got.Points != v.Points || got.Ref != v.Ref.String() || got.First != v.First {
				t.Errorf("%s: got %+v\nwant %+v", lang, got, v)
			}
			if want := forPartner(v.Operands); got.Operands == nil && want != (reason.Operands{}) || got.Operands != nil && *got.Operands != want {
				t.Errorf("%s: operands %+v, want %+v", lang, got.Operands, want)
			}
		}
	}
}

func BenchmarkWriteResults(b *testing.B) {
	claims, verdicts := make([]claim.Claim, 500), make([]claim.Verdict, 500)
	for i := range claims {
		claims[i] = rideClaim
		verdicts[i] = claim.Verdict{Reason: reason.OK, Method: "DEMO-BIKE@1", Milligrams: 195930, Points: 19593, Ref: claim.Ref{Part: 3, Batch: 12000, Ord: i}}
	}
	r := httptest.NewRequest("POST", "/v1/claims", nil)
	b.ReportAllocs()
	for range b.N {
		writeResults(httptest.NewRecorder(), r, claims, verdicts)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*500), "ns/result")
}
