package quantity

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// numbers draws rationals of which many lie at the borders of the fast path.
var numbers = rapid.Custom(func(t *rapid.T) Rat {
	edge := rapid.SampledFrom([]int64{0, 1, -1, 2, 10, 1 << 31, math.MaxInt64, math.MaxInt64 - 1, math.MinInt64, math.MinInt64 + 1})
	n := rapid.OneOf(edge, rapid.Int64(), rapid.Int64Range(-1000, 1000)).Draw(t, "n")
	d := rapid.OneOf(edge, rapid.Int64(), rapid.Int64Range(1, 1000)).Filter(func(d int64) bool { return d != 0 }).Draw(t, "d")
	a, ok := Int(n).Quo(Int(d))
	if !ok {
		t.Fatalf("%d/%d is too large", n, d)
	}
	if rapid.Bool().Draw(t, "big") {
		a, _ = a.Mul(Int(d))
		a, _ = a.Mul(Int(math.MaxInt64))
	}
	return a
})

// canonical reports whether a is in its one form, on which equality of leaves rests.
func canonical(a Rat) bool {
	if a.big == nil {
		r := new(big.Rat).SetFrac64(a.num, a.denominator())
		return a.den >= 0 && a.den != 1 && a.num != math.MinInt64 && r.Num().Int64() == a.num && r.Denom().Int64() == a.denominator()
	}
	return !a.big.Num().IsInt64() || !a.big.Denom().IsInt64() || a.big.Num().Int64() == math.MinInt64
}

func TestRatAgreesWithBig(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := numbers.Draw(t, "a"), numbers.Draw(t, "b")
		x, y := a.asBig(), b.asBig()
		check := func(op string, got Rat, ok bool, want *big.Rat) {
			t.Helper()
			if !ok || got.asBig().Cmp(want) != 0 || !canonical(got) {
				t.Fatalf("%v %s %v = %v (%v, canonical %v), want %v", a, op, b, got, ok, canonical(got), want)
			}
		}
		c, ok := a.Add(b)
		check("+", c, ok, new(big.Rat).Add(x, y))
		c, ok = a.Sub(b)
		check("-", c, ok, new(big.Rat).Sub(x, y))
		c, ok = a.Mul(b)
		check("*", c, ok, new(big.Rat).Mul(x, y))
		if c, ok = a.Quo(b); y.Sign() != 0 {
			check("/", c, ok, new(big.Rat).Quo(x, y))
		} else if ok {
			t.Fatalf("%v / 0 = %v", a, c)
		}
		check("negated,", a.Neg(), true, new(big.Rat).Neg(x))
		if a.Cmp(b) != x.Cmp(y) || a.Sign() != x.Sign() {
			t.Fatalf("Cmp(%v, %v) = %d, Sign = %d, want %d, %d", a, b, a.Cmp(b), a.Sign(), x.Cmp(y), x.Sign())
		}
	})
}

func TestRatFloor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := numbers.Draw(t, "a")
		want := new(big.Int).Div(a.asBig().Num(), a.asBig().Denom())
		n, ok := a.Floor()
		if ok != want.IsInt64() || ok && n != want.Int64() {
			t.Fatalf("Floor(%v) = %d, %v, want %v", a, n, ok, want)
		}
	})
	for _, tt := range []struct {
		in   string
		want int64
	}{{"-470059.6534", -470060}, {"57592.58787", 57592}, {"-1", -1}, {"-0.5", -1}, {"0.5", 0}, {"-1/3", -1}} {
		a, err := ParseRat(tt.in)
		if got, ok := a.Floor(); err != nil || !ok || got != tt.want {
			t.Errorf("Floor(%s) = %d, %v (%v), want %d", tt.in, got, ok, err, tt.want)
		}
	}
}

func TestRatText(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := numbers.Draw(t, "a")
		b, err := ParseRat(a.String())
		if err != nil || a.Cmp(b) != 0 || !canonical(b) {
			t.Fatalf("ParseRat(%q) = %v, %v, want %v", a.String(), b, err, a)
		}
	})
}

func TestZeroRat(t *testing.T) {
	var z Rat
	if z.String() != "0" || z.Sign() != 0 || z != Int(0) {
		t.Errorf("the zero Rat is %v, want 0", z)
	}
	if c, ok := z.Add(Int(2)); !ok || c != Int(2) {
		t.Errorf("0 + 2 = %v", c)
	}
	if c, ok := Int(2).Quo(z); ok {
		t.Errorf("2 / 0 = %v", c)
	}
}

// A number fed by a stranger grows no further than MaxBits, in either part.
func TestRatTooLarge(t *testing.T) {
	for _, step := range []string{"1e30", "1e-30"} {
		s, err := ParseDecimal(step)
		if err != nil {
			t.Fatal(err)
		}
		a, ok, n := Int(1), true, 0
		for ; ok && n < 1000; n++ {
			a, ok = a.Mul(s)
		}
		if ok || n < 20 || n > 21 {
			t.Errorf("powers of %s are too large after %d, want about %d", step, n, 2048/100)
		}
	}
}

func TestParseDecimal(t *testing.T) {
	digits := strings.Repeat("9", 40)
	for _, tt := range []struct{ in, want string }{
		{"0", "0"}, {"-0", "0"}, {"0.0", "0"}, {"2.1", "2.1"}, {"2.10", "2.1"}, {"-2.5", "-2.5"}, {"5130", "5130"},
		{"1e3", "1000"}, {"1E3", "1000"}, {"1e+3", "1000"}, {"1.5e-3", "0.0015"}, {"1e30", "1" + strings.Repeat("0", 30)},
		{"1.2345678", "1.2345678"}, {"0.000000000000000001", "0.000000000000000001"}, {"123456789012345678", "123456789012345678"},
		{"9223372036854775807", "9223372036854775807"}, {"9223372036854775808", "9223372036854775808"},
		{"-9223372036854775808", "-9223372036854775808"}, {digits, digits}, {"-" + digits[:20] + "." + digits[:20], "-" + digits[:20] + "." + digits[:20]},
	} {
		if got, err := ParseDecimal(tt.in); err != nil || got.String() != tt.want || !canonical(got) {
			t.Errorf("ParseDecimal(%q) = %v, %v, want %s", tt.in, got, err, tt.want)
		}
	}
	for _, in := range []string{
		"", "-", ".", "1.", ".5", "+1", "01", "-01", "1e", "1e+", "e5", "1e400", "1e31", "1e-31", "1e99999999999999999999",
		"NaN", "Inf", "-Inf", "0x10", "1_000", "1,5", "１", "1 ", " 1", "1\n", "1/2", "1i", "--1", "1e1.5", "1.2.3", digits + "9", "0." + digits,
	} {
		if got, err := ParseDecimal(in); err == nil {
			t.Errorf("ParseDecimal(%q) = %v, want an error", in, got)
		}
	}
}

func TestParseRat(t *testing.T) {
	for _, in := range []string{"", "1/0", "1/-2", "1/2.5", "1/2/3", "1e5", "/2", "1/", "x", strings.Repeat("9", 5000), strings.Repeat("9", 700)} {
		if got, err := ParseRat(in); err == nil {
			t.Errorf("ParseRat(%.20q) = %v, want an error", in, got)
		}
	}
}

func TestDecimal(t *testing.T) {
	for _, tt := range []struct {
		in     string
		places int
		want   string
	}{
		{"195.93", 1, "195.9"}, {"195.99", 1, "195.9"}, {"-195.91", 1, "-196.0"}, {"1/3", 4, "0.3333"}, {"-1/3", 4, "-0.3334"},
		{"2", 2, "2.00"}, {"2.5", 0, "2"}, {"-2.5", 0, "-3"}, {"0", 3, "0.000"},
	} {
		a, err := ParseRat(tt.in)
		if got := a.Decimal(tt.places); err != nil || got != tt.want {
			t.Errorf("Decimal(%s, %d) = %s (%v), want %s", tt.in, tt.places, got, err, tt.want)
		}
	}
}

func TestGCD(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := rapid.Int64Min(math.MinInt64+1).Draw(t, "a")
		b := rapid.Int64Min(1).Draw(t, "b")
		want := new(big.Int).GCD(nil, nil, new(big.Int).Abs(big.NewInt(a)), big.NewInt(b))
		if got := gcd(a, b); got != want.Int64() {
			t.Fatalf("gcd(%d, %d) = %d, want %v", a, b, got, want)
		}
	})
}

func ExampleRat() {
	third, _ := Int(1).Quo(Int(3))
	whole, _ := third.Mul(Int(3))
	fmt.Println(third, whole)
	// Output: 1/3 1
}
