package claim_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
)

// TestLeaf holds leaves, their hashes, and the record of their batch against testdata/leaf.golden: their bytes are
// what receipts prove, so they must never change. The file can serve as vectors for other implementations.
func TestLeaf(t *testing.T) {
	w := newMemory(library(t, documents(t)))
	w.links["bike"] = &claim.Link{Sub: "bike", Account: 41, Key: [32]byte{0: 1, 31: 2}, Programme: "city", Partner: "bikes", Purposes: claim.Purposes}
	w.links["power"] = &claim.Link{Sub: "power", Account: 42, Key: [32]byte{0: 3, 31: 4}, Programme: "home", Partner: "utility",
		Purposes: []string{claim.Credit}, Objects: []string{"meter 1"}}
	day := claim.Micros(1787270400000000) // 2026-08-21T00:00Z
	month := func(start, end claim.Micros) claim.Claim {
		return claim.Claim{Partner: "utility", Sub: "power", Scenario: "electricity", Start: start * 1e6, End: end * 1e6, Evidence: "system", Object: "meter 1"}
	}
	earlier, later := month(1751299200, 1753977600), month(1782835200, 1785513600) // July of 2025 and 2026 in Shanghai
	earlier.ID, earlier.Quantities = "jul-2025", []claim.Quantity{{Name: "used", Text: "100"}}
	later.ID, later.Quantities = "jul-2026", []claim.Quantity{{Name: "used", Text: "90.5 kWh"}}
	b := w.judge(t, claim.Session{At: day}, []claim.Claim{
		{Partner: "bikes", ID: "a1", Sub: "bike", Scenario: "bike", Start: day - 3600e6, End: day - 1800e6, Evidence: "system",
			Quantities: []claim.Quantity{{Name: "distance", Text: "2.1"}}, Region: "CN-420100", Commitment: strings.Repeat("ab", 32)},
		{Partner: "bikes", ID: "a\"\\\n\x01\u2028骑行", Sub: "bike", Scenario: "errand", Start: day - 7200e6, End: day - 7000e6, Evidence: "self",
			Quantities: []claim.Quantity{{Name: "load", Text: "1.5"}}},
		{Partner: "bikes", ID: "a3", Sub: "bike", Scenario: "bike", Start: day - 3600e6, End: day - 1800e6, Evidence: "rumour",
			Quantities: []claim.Quantity{{Name: "distance", Text: "2.1"}}},
		{Partner: "bikes", ID: "a4", Sub: "stranger", Scenario: "bike", Start: day, End: day},
		earlier, later,
		{Partner: "bikes", ID: "a6", Sub: "bike", Scenario: "gone", Start: day, End: day},
	})
	var got strings.Builder
	for i := range b.Rows {
		leaf, private := claim.Leaf(nil, &b.Rows[i], privately(&b.Rows[i], i)), claim.Private(&b.Rows[i])
		if !json.Valid(leaf) || private != "" && !json.Valid([]byte(private)) {
			t.Errorf("leaf %d is no JSON: %s %s", i, leaf, private)
		}
		fmt.Fprintf(&got, "%s\n%s\n%x\n", leaf, private, b.Leaves[i])
	}
	got.WriteString(b.Counts.String())
	for _, p := range b.Outcome.Entry.Postings() {
		fmt.Fprintf(&got, "%d\t%s\t%d\n", p.Holder, p.Asset, p.Amount)
	}
	fmt.Fprintf(&got, "%s\n%x\n", b.Record(), b.Hash())
	const golden = "testdata/leaf.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("leaves\n got %s\nwant %s", got.String(), want)
	}
	if got, want := b.Batch.Root, ledger.Root(b.Leaves); got != want {
		t.Errorf("the root is %x, over the leaves it is %x", got, want)
	}
	checkSalt(t, b)
}

// checkSalt computes the first leaf's hash by the words of the design: H(0 ‖ HMAC(account key, batch ‖ ordinal) ‖ leaf).
func checkSalt(t *testing.T, b *claim.Batch) {
	t.Helper()
	for i := range b.Rows {
		place := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, 1), uint32(i))
		mac := hmac.New(sha256.New, b.Rows[i].Key[:])
		mac.Write(place)
		want := sha256.Sum256(append(mac.Sum([]byte{0}), claim.Leaf(nil, &b.Rows[i], privately(&b.Rows[i], i))...))
		if b.Leaves[i] != want {
			t.Errorf("leaf %d has the hash %x, want %x", i, b.Leaves[i], want)
		}
	}
}

// privately computes by the same words what only the member may see: H(HMAC(account key, batch ‖ ordinal ‖ 1) ‖ text).
func privately(r *claim.Row, i int) (h ledger.Hash) {
	if text := claim.Private(r); text != "" {
		mac := hmac.New(sha256.New, r.Key[:])
		mac.Write(append(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, 1), uint32(i)), 1))
		h = sha256.Sum256(append(mac.Sum(nil), text...))
	}
	return h
}

// A leaf gives away neither who else reported an act nor what was known of the member's other acts.
func TestLeafIsDiscreet(t *testing.T) {
	c := claim.Claim{Partner: "p", ID: "i", Sub: "s"}
	r := claim.Row{Claim: &c, Body: "{}", Verdict: claim.Verdict{Reason: reason.Overlap, Operands: reason.Operands{Other: "rival"}},
		Used: []methodology.Use{{What: "usage 2026-08", Value: "77"}}}
	if leaf := string(claim.Leaf(nil, &r, ledger.Hash{1})); strings.Contains(leaf, "rival") || strings.Contains(leaf, "77") {
		t.Errorf("the leaf says %s", leaf)
	}
	if private := claim.Private(&r); !strings.Contains(private, "rival") || !strings.Contains(private, "77") {
		t.Errorf("and in private it says %s", private)
	}
}

// Any change of a claim or its outcome changes its leaf, and no two fields can be mistaken for each other.
func TestLeafSaysEverything(t *testing.T) {
	base := claim.Claim{Partner: "p", ID: "i", Sub: "s", Scenario: "c", Start: 1, End: 2, Evidence: "e", Region: "r", Act: "a", Object: "o", Commitment: "m",
		Quantities: []claim.Quantity{{Name: "q", Text: "1"}}}
	leaf := func(c claim.Claim, v claim.Verdict, h ledger.Holder) string {
		r := claim.Row{Claim: &c, Body: claim.Body(&c), Verdict: v, Holder: h}
		return string(claim.Leaf(nil, &r, ledger.Hash{})) + claim.Private(&r)
	}
	seen := map[string]string{}
	try := func(what string, c claim.Claim, v claim.Verdict, h ledger.Holder) {
		l := leaf(c, v, h)
		if other, twice := seen[l]; twice {
			t.Errorf("%s and %s have the same leaf %s", what, other, l)
		}
		seen[l] = what
	}
	v := claim.Verdict{Reason: reason.OK}
	try("base", base, v, 0)
	for what, change := range map[string]func(*claim.Claim){
		"partner": func(c *claim.Claim) { c.Partner = "x" }, "id": func(c *claim.Claim) { c.ID = "x" }, "sub": func(c *claim.Claim) { c.Sub = "x" },
		"scenario": func(c *claim.Claim) { c.Scenario = "x" }, "start": func(c *claim.Claim) { c.Start = 9 }, "end": func(c *claim.Claim) { c.End = 9 },
		"evidence": func(c *claim.Claim) { c.Evidence = "x" }, "region": func(c *claim.Claim) { c.Region = "x" }, "act": func(c *claim.Claim) { c.Act = "x" },
		"object": func(c *claim.Claim) { c.Object = "x" }, "commitment": func(c *claim.Claim) { c.Commitment = "x" }, "no region": func(c *claim.Claim) { c.Region = "" },
		"quantity": func(c *claim.Claim) { c.Quantities = []claim.Quantity{{Name: "q", Text: "2"}} },
		"name":     func(c *claim.Claim) { c.Quantities = []claim.Quantity{{Name: "x", Text: "1"}} },
		"none":     func(c *claim.Claim) { c.Quantities = nil },
		"two":      func(c *claim.Claim) { c.Quantities = append(c.Quantities, claim.Quantity{Name: "r", Text: "1"}) },
		"quotes":   func(c *claim.Claim) { c.Act = `a","evidence":"e` },
	} {
		c := base
		change(&c)
		try(what, c, v, 0)
	}
	for what, change := range map[string]func(*claim.Verdict){
		"reason": func(v *claim.Verdict) { v.Reason = reason.Overlap }, "method": func(v *claim.Verdict) { v.Method = "M@1" },
		"milligrams": func(v *claim.Verdict) { v.Milligrams = -1 }, "points": func(v *claim.Verdict) { v.Points = 1 },
		"got": func(v *claim.Verdict) { v.Operands.Got = "x" }, "limit": func(v *claim.Verdict) { v.Operands.Limit = "x" },
		"other": func(v *claim.Verdict) { v.Operands.Other = "x" },
	} {
		v := v
		change(&v)
		try(what, base, v, 0)
	}
	try("the member's", base, v, 5)
	try("the applicant's", base, v, ledger.Applicant)
	if leaf(base, v, 5) != leaf(base, v, 6) {
		t.Error("a leaf gives away the account's number")
	}
}

func TestRef(t *testing.T) {
	for _, s := range []string{"0.1.0", "1023.9223372036854775807.1999"} {
		if r, ok := claim.ParseRef(s); !ok || r.String() != s {
			t.Errorf("ParseRef(%q) = %v, %v", s, r, ok)
		}
	}
	for _, s := range []string{"", "1", "1.2", "1.2.3.4", "01.2.3", "1.2.x", "1.2.3 ", "0.0.0", "+1.2.3"} {
		if r, ok := claim.ParseRef(s); ok {
			t.Errorf("ParseRef(%q) = %v, want none", s, r)
		}
	}
}
