package claim

import (
	"math/big"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestCanonical(t *testing.T) {
	tests := []struct {
		text, want string
		ok         bool
	}{
		{"2.1", "2.1", true},
		{" 2.10 ", "2.1", true},
		{"2100 m", "2100 m", true},
		{"2100   m", "2100 m", true},
		{"2.1km", "2.1 km", true},
		{"12%", "12 %", true},
		{"007", "7", true},
		{"-0", "0", true},
		{"-0.0", "0", true},
		{"0.50", "0.5", true},
		{"-12.50 CNY", "-12.5 CNY", true},
		{"1e3", "1000", true},
		{"1.5E+3 kWh", "1500 kWh", true},
		{"15e-3", "0.015", true},
		{"1e-30", "0.000000000000000000000000000001", true},
		{"0e400", "0", true},
		{"100.0", "100", true},
		{"1e39", "1" + strings.Repeat("0", 39), true},
		{strings.Repeat("9", 40), strings.Repeat("9", 40), true},
		{"0.10" + strings.Repeat("0", 10_000), "0.1", true},

		{"1e40", "1e40", false},
		{"1e400", "1e400", false},
		{"-1e-400", "-1e-400", false},
		{"1e99999999999999999999", "1e99999999999999999999", false},
		{strings.Repeat("9", 41), strings.Repeat("9", 41), false},
		{strings.Repeat("9", 10_000), strings.Repeat("9", 61) + "…", false},
		{"5 " + strings.Repeat("k", 100), "5 " + strings.Repeat("k", 59) + "…", false},
		{"", "", false},
		{"NaN", "NaN", false},
		{"Infinity", "Infinity", false},
		{"about 3", "about 3", false},
		{"+5", "+5", false},
		{".5", ".5", false},
		{"5.", "5.", false},
		{"1,000", "1,000", false},
		{"1_000", "1_000", false},
		{"1.2.3", "1.2.3", false},
		{"3 k m", "3 k m", false},
		{"３ km", "３ km", false},
		{"3\x00", "3?", false},
		{"3 \xff", "3 ?", false},
	}
	for _, tt := range tests {
		got, ok := Canonical(tt.text)
		if got != tt.want || ok != tt.ok {
			t.Errorf("Canonical(%.80q) = %q, %v; want %q, %v", tt.text, got, ok, tt.want, tt.ok)
		}
	}
}

// The canonical form says the same number, is its own canonical form, and fits.
func FuzzCanonical(f *testing.F) {
	for _, s := range []string{"2.1", "-0.50 km", "1e3m", "1e-30", "1e400", "007 %", "NaN", "9e39 kWh/m2", "\xff", "0A\xe90"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := Canonical(text)
		if len(got) > MaxQuantity || !utf8.ValidString(got) {
			t.Fatalf("Canonical(%q) = %q: too long or not UTF-8", text, got)
		}
		if again, ok2 := Canonical(got); again != got || ok2 != ok {
			t.Fatalf("Canonical(%q) = %q, %v but Canonical of that is %q, %v", text, got, ok, again, ok2)
		}
		if !ok {
			return
		}
		before, _, _ := scanNumber(strings.TrimSpace(text))
		after, _, _ := scanNumber(got)
		if before.exponent < -100 || before.exponent > 100 {
			return // 0e400
		}
		if a, b := rational(before), rational(after); a.Cmp(b) != 0 {
			t.Fatalf("Canonical(%q) = %q: %s became %s", text, got, a, b)
		}
	})
}

func rational(n number) *big.Rat {
	ten := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(max(n.exponent, -n.exponent))), nil)
	r, _ := new(big.Rat).SetString(n.whole + "." + n.dec + "0")
	if n.negative {
		r.Neg(r)
	}
	if n.exponent < 0 {
		return r.Quo(r, new(big.Rat).SetInt(ten))
	}
	return r.Mul(r, new(big.Rat).SetInt(ten))
}

func BenchmarkCanonical(b *testing.B) {
	b.ReportAllocs()
	for range b.N {
		Canonical("2.1")
		Canonical("2100 m")
	}
}
