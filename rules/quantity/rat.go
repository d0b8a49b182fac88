// Package quantity holds exact numbers and the units that they come in.
//
// A formula's result must not depend on the order of its divisions, or an auditor who computes it again
// would find milligrams invented or lost. So numbers are rationals, and every unit's scale is one too.
package quantity

import (
	"math"
	"math/big"
	"math/bits"
)

// MaxBits bounds a numerator and a denominator. A result beyond it is no result: a formula fed by a
// stranger must not be able to make a number that takes minutes to print.
const MaxBits = 2048

// A Rat is an exact rational number. It is a value and never changes; the zero Rat is 0.
//
// Nearly every number met fits two int64; only those that do not are a big.Rat. The form is canonical:
// lowest terms, a positive denominator, and big only where it must be.
type Rat struct {
	num int64
	den int64    // 0 stands for 1, so that the zero Rat is 0
	big *big.Rat // when set, num and den mean nothing; never written to
}

// Int returns n as a Rat.
func Int(n int64) Rat {
	if n == math.MinInt64 { // its negation does not fit, so it is kept out of the fast path
		return Rat{big: new(big.Rat).SetInt64(n)}
	}
	return Rat{num: n}
}

func (a Rat) denominator() int64 {
	if a.den == 0 {
		return 1
	}
	return a.den
}

// small returns n/d, which must be in lowest terms with d > 0 and n not the least int64.
func small(n, d int64) Rat {
	if d == 1 {
		d = 0
	}
	return Rat{num: n, den: d}
}

// fraction returns n/d in lowest terms; d must be positive and n not the least int64.
func fraction(n, d int64) Rat {
	if d == 1 {
		return small(n, d)
	}
	g := gcd(n, d)
	return small(n/g, d/g)
}

// fromBig takes r over; ok is false when it is too large.
func fromBig(r *big.Rat) (a Rat, ok bool) {
	if r.Num().IsInt64() && r.Denom().IsInt64() && r.Num().Int64() != math.MinInt64 {
		return small(r.Num().Int64(), r.Denom().Int64()), true
	}
	if r.Num().BitLen() > MaxBits || r.Denom().BitLen() > MaxBits {
		return Rat{}, false
	}
	return Rat{big: r}, true
}

// asBig returns a as a big.Rat that must not be written to.
func (a Rat) asBig() *big.Rat {
	if a.big != nil {
		return a.big
	}
	return new(big.Rat).SetFrac64(a.num, a.denominator())
}

// gcd returns the greatest common divisor of |a| and b > 0, by Stein's method: shifts and subtractions
// cost a fraction of the divisions in Euclid's.
func gcd(a, b int64) int64 {
	if a == 0 {
		return b
	}
	u, v := uint64(max(a, -a)), uint64(b)
	shift := bits.TrailingZeros64(u | v)
	u >>= bits.TrailingZeros64(u)
	for {
		v >>= bits.TrailingZeros64(v)
		if u > v {
			u, v = v, u
		}
		v -= u
		if v == 0 {
			return int64(u << shift)
		}
	}
}

// product returns a·b; ok is false when it does not fit the fast path.
func product(a, b int64) (c int64, ok bool) {
	hi, lo := bits.Mul64(uint64(max(a, -a)), uint64(max(b, -b)))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	if (a < 0) != (b < 0) {
		return -int64(lo), true
	}
	return int64(lo), true
}

// sum returns a+b; ok is false when it does not fit the fast path.
func sum(a, b int64) (c int64, ok bool) {
	c = a + b
	if (a > 0 && b > 0 && c < 0) || (a < 0 && b < 0 && c >= 0) || c == math.MinInt64 {
		return 0, false
	}
	return c, true
}

// Add returns a+b; ok is false when the result is too large.
func (a Rat) Add(b Rat) (c Rat, ok bool) {
	if a.big == nil && b.big == nil {
		if c, ok := addSmall(a.num, a.denominator(), b.num, b.denominator()); ok {
			return c, true
		}
	}
	return fromBig(new(big.Rat).Add(a.asBig(), b.asBig()))
}

func addSmall(an, ad, bn, bd int64) (c Rat, ok bool) {
	if ad == bd {
		n, ok := sum(an, bn)
		return fraction(n, ad), ok
	}
	x, ok1 := product(an, bd)
	y, ok2 := product(bn, ad)
	d, ok3 := product(ad, bd)
	n, ok4 := sum(x, y)
	if !ok1 || !ok2 || !ok3 || !ok4 {
		return Rat{}, false
	}
	return fraction(n, d), true
}

// Sub returns a−b; ok is false when the result is too large.
func (a Rat) Sub(b Rat) (c Rat, ok bool) { return a.Add(b.Neg()) }

// Mul returns a·b; ok is false when the result is too large.
func (a Rat) Mul(b Rat) (c Rat, ok bool) {
	if a.big == nil && b.big == nil {
		if c, ok := mulSmall(a.num, a.denominator(), b.num, b.denominator()); ok {
			return c, true
		}
	}
	return fromBig(new(big.Rat).Mul(a.asBig(), b.asBig()))
}

// mulSmall cancels crosswise first, so that the product is in lowest terms and overflows least.
func mulSmall(an, ad, bn, bd int64) (c Rat, ok bool) {
	if bd != 1 {
		g := gcd(an, bd)
		an, bd = an/g, bd/g
	}
	if ad != 1 {
		g := gcd(bn, ad)
		bn, ad = bn/g, ad/g
	}
	n, ok1 := product(an, bn)
	d, ok2 := product(ad, bd)
	return small(n, d), ok1 && ok2
}

// Quo returns a/b; ok is false when b is 0 or the result is too large.
func (a Rat) Quo(b Rat) (c Rat, ok bool) {
	if b.Sign() == 0 {
		return Rat{}, false
	}
	if a.big == nil && b.big == nil {
		n, d := b.denominator(), b.num // the inverse of b
		if d < 0 {
			n, d = -n, -d
		}
		if c, ok := mulSmall(a.num, a.denominator(), n, d); ok {
			return c, true
		}
	}
	return fromBig(new(big.Rat).Quo(a.asBig(), b.asBig()))
}

// Neg returns −a.
func (a Rat) Neg() Rat {
	if a.big == nil {
		return Rat{num: -a.num, den: a.den}
	}
	c, _ := fromBig(new(big.Rat).Neg(a.big)) // as large as a is, so never too large
	return c
}

// Sign returns −1, 0 or +1.
func (a Rat) Sign() int {
	switch {
	case a.big != nil:
		return a.big.Sign()
	case a.num < 0:
		return -1
	case a.num > 0:
		return 1
	}
	return 0
}

// Cmp returns −1, 0 or +1 as a is less than, equal to or greater than b.
func (a Rat) Cmp(b Rat) int {
	if a.big != nil || b.big != nil {
		return a.asBig().Cmp(b.asBig())
	}
	if s, t := a.Sign(), b.Sign(); s != t {
		return order(s < t, s > t)
	}
	// Of one sign: compare |a|·bd with |b|·ad in 128 bits, which cannot overflow.
	xhi, xlo := bits.Mul64(uint64(max(a.num, -a.num)), uint64(b.denominator()))
	yhi, ylo := bits.Mul64(uint64(max(b.num, -b.num)), uint64(a.denominator()))
	less, more := xhi < yhi || xhi == yhi && xlo < ylo, xhi > yhi || xhi == yhi && xlo > ylo
	if a.num < 0 {
		less, more = more, less
	}
	return order(less, more)
}

func order(less, more bool) int {
	switch {
	case less:
		return -1
	case more:
		return 1
	}
	return 0
}

// Floor returns the greatest integer not above a; ok is false when it does not fit.
func (a Rat) Floor() (n int64, ok bool) {
	if a.big == nil {
		d := a.denominator()
		n = a.num / d
		if a.num%d < 0 {
			n--
		}
		return n, true
	}
	f := a.floorBig()
	if !f.IsInt64() {
		return 0, false
	}
	return f.Int64(), true
}

// floorBig rounds toward −∞: big.Int's Div is Euclidean, which is that when the divisor is positive.
func (a Rat) floorBig() *big.Int {
	r := a.asBig()
	return new(big.Int).Div(r.Num(), r.Denom())
}
