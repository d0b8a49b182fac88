// Package figure writes numbers as people read them, in Chinese and in English: grouped, with a real minus, and
// with no more places than their size deserves. Masses and points are rounded down, as credit is; differences and
// shares to the nearest. A figure and its unit never part at the end of a line.
package figure

import (
	"math/big"
	"strconv"
	"strings"
)

const (
	minus = "−"
	space = "\u00a0" // between a figure and its unit, which stay together
)

// Count is a whole number, 12,762.
func Count(n int64) string { return decimal(n, 1, 0, down) }

// Signed is a difference of whole numbers: +12, −3, 0.
func Signed(n int64) string { return plus(n) + Count(n) }

// Compact is a large whole number in a few digits, for where there is little room: 1.27 万, 12.7k, −34.02 万.
func Compact(n int64, lang string) string {
	steps := []struct {
		from   int64
		name   string
		places int
	}{{1e9, "B", 2}, {1e6, "M", 2}, {1e4, "k", 1}}
	if lang == "zh" {
		steps[0].from, steps[0].name = 1e8, space+"亿"
		steps[1].from, steps[1].name = 1e4, space+"万"
		steps = steps[:2]
	}
	for _, s := range steps {
		if n >= s.from || n <= -s.from {
			per := s.from
			if s.name == "k" {
				per = 1000
			}
			return decimal(n, per, s.places, nearest) + s.name
		}
	}
	return Count(n)
}

// Points is thousandths of a point with one decimal, 19.5.
func Points(thousandths int64) string { return decimal(thousandths, 1000, 1, down) }

// SignedPoints is a difference of thousandths of a point.
func SignedPoints(thousandths int64) string {
	if thousandths == 0 {
		return "0"
	}
	return plus(thousandths) + decimal(thousandths, 1000, 1, nearest)
}

// Change is how much more b is than a, +3.1%; "—" where a is nothing.
func Change(a, b int64) string {
	if a == 0 {
		return "—"
	}
	more := new(big.Rat).SetInt64(b)
	more.Sub(more, new(big.Rat).SetInt64(a)).Mul(more, big.NewRat(1000, 1)).Quo(more, new(big.Rat).SetInt64(max(a, -a)))
	tenths := round(more, nearest)
	return plus(tenths) + decimal(tenths, 10, 1, nearest) + "%"
}

// A Unit is one in which masses of CO2e are told.
type Unit struct {
	Name   string // g, kg or t
	per    int64  // mg
	places int
}

var (
	grams     = Unit{"g", 1000, 1}
	kilograms = Unit{"kg", 1_000_000, 2}
	tonnes    = Unit{"t", 1_000_000_000, 2}
	named     = map[string]string{"g": "克", "kg": "千克", "t": "吨"}
)

// Fitting is the unit for a column, axis or key whose largest amounts these are, in milligrams.
func Fitting(amounts ...int64) Unit {
	most := int64(0)
	for _, mg := range amounts {
		most = max(most, mg, -mg)
	}
	switch {
	case most < kilograms.per:
		return grams
	case most < tonnes.per:
		return kilograms
	}
	return tonnes
}

// Of is an amount in the unit, without its name.
func (u Unit) Of(mg int64) string { return decimal(mg, u.per, u.places, down) }

// More is a difference in the unit: +1.20, −0.05, 0. What is too small to be seen keeps its sign.
func (u Unit) More(mg int64) string {
	size := decimal(max(mg, -mg), u.per, u.places, nearest)
	switch {
	case mg > 0:
		return "+" + size
	case mg < 0:
		return minus + size
	}
	return "0"
}

// Exact is an amount in grams to the milligram.
func Exact(mg int64) string { return decimal(mg, 1000, 3, down) }

// Plain is an amount of the unit without needless places, for an axis.
func (u Unit) Plain(mg int64) string {
	s := decimal(mg, u.per, u.places, nearest)
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// Mass is an amount with its unit, for a sentence: 37.34 吨, 37.34 t.
func Mass(mg int64, lang string) string {
	u := Fitting(mg)
	return u.Of(mg) + space + u.in(lang)
}

// Difference is an amount by which something is more or less, without a sign.
func Difference(mg int64, lang string) string {
	u := Fitting(mg)
	return decimal(max(mg, -mg), u.per, u.places, nearest) + space + u.in(lang)
}

func (u Unit) in(lang string) string {
	if lang == "zh" {
		return named[u.Name]
	}
	return u.Name
}

func plus(n int64) string {
	if n > 0 {
		return "+"
	}
	return ""
}

type rounding int

const (
	down rounding = iota // toward −∞
	nearest
)

// decimal writes n/per with so many places.
func decimal(n, per int64, places int, how rounding) string {
	scale := int64(1)
	for range places {
		scale *= 10
	}
	r := new(big.Rat).SetFrac64(n, per)
	v := round(r.Mul(r, new(big.Rat).SetInt64(scale)), how)
	sign := ""
	if v < 0 {
		sign, v = minus, -v
	}
	whole := group(strconv.FormatInt(v/scale, 10))
	if places == 0 {
		return sign + whole
	}
	part := strconv.FormatInt(v%scale, 10)
	return sign + whole + "." + strings.Repeat("0", places-len(part)) + part
}

// round makes a whole number; halves go away from zero.
func round(r *big.Rat, how rounding) int64 {
	r = new(big.Rat).Set(r)
	if how == nearest {
		half := big.NewRat(1, 2)
		if r.Sign() < 0 {
			return -round(r.Neg(r), nearest)
		}
		r.Add(r, half)
	}
	return new(big.Int).Div(r.Num(), r.Denom()).Int64() // Euclidean, and the denominator is positive: down
}

func group(digits string) string {
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}
