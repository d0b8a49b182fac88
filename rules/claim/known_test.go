package claim_test

import (
	"maps"
	"testing"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/quantity"
	"github.com/tanpu/tanpu/rules/reason"
)

// What is kept as text reads back as it was, and only in its one form.
func TestCountsText(t *testing.T) {
	c := claim.Counts{{"", reason.NoLink}: 3, {"city", reason.NoLink}: 1, {"city", reason.InFuture}: 12}
	const text = "\tno-link\t3\ncity\tin-future\t12\ncity\tno-link\t1\n"
	if got := c.String(); got != text {
		t.Errorf("String = %q, want %q", got, text)
	}
	if got, ok := claim.ParseCounts(text); !ok || !maps.Equal(got, c) {
		t.Errorf("ParseCounts = %v, %v; want %v", got, ok, c)
	}
	if got, ok := claim.ParseCounts(""); !ok || len(got) != 0 {
		t.Errorf("ParseCounts of nothing = %v, %v", got, ok)
	}
	for _, s := range []string{"city", "city\tno-link", "city\tno-link\tx\n", "city\tno-link\t1", "city\tno-link\t01\n", "b\tno-link\t1\na\tno-link\t1\n", "a\tno-link\t1\na\tno-link\t1\n", "\n"} {
		if got, ok := claim.ParseCounts(s); ok {
			t.Errorf("ParseCounts(%q) = %v, want none", s, got)
		}
	}
}

func TestUsageText(t *testing.T) {
	third, err := quantity.ParseRat("1/3")
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]claim.Usage{
		"0":                            {},
		"12":                           {Claims: 12},
		"2 distance=1/3 reduction=100": {Claims: 2, Amounts: []claim.Amount{{Of: "distance", Value: third}, {Of: "reduction", Value: quantity.Int(100)}}},
	} {
		if got := want.String(); got != text {
			t.Errorf("String = %q, want %q", got, text)
		}
		if got, ok := claim.ParseUsage(text); !ok || got.String() != text || got.Claims != want.Claims {
			t.Errorf("ParseUsage(%q) = %v, %v", text, got, ok)
		}
	}
	for _, s := range []string{"", "x", "1 distance", "1 distance=", "1 distance=x", "1 distance=1/0", "1  distance=1"} {
		if got, ok := claim.ParseUsage(s); ok {
			t.Errorf("ParseUsage(%q) = %v, want none", s, got)
		}
	}
}
