package quantity

import (
	"errors"
	"fmt"
	"math/big"
	"math/bits"
	"strconv"
	"strings"
)

// Bounds on a number written by someone else.
const (
	maxDigits   = 40
	maxExponent = 30
)

// maxText bounds what ParseRat reads: the longest number that String writes is 2,048 binary places.
const maxText = 4096

var errNumber = errors.New("not a decimal number such as 12, 0.5 or 1.2e-3")

// ParseDecimal reads a decimal number as JSON writes it, exactly.
func ParseDecimal(s string) (Rat, error) {
	n := numberLength(s)
	if n == 0 || n != len(s) {
		return Rat{}, errNumber
	}
	if a, ok := parseShort(s); ok {
		return a, nil
	}
	mantissa, exp, _ := strings.Cut(strings.ToLower(s), "e")
	digits := len(mantissa) - strings.Count(mantissa, "-") - strings.Count(mantissa, ".")
	if digits > maxDigits {
		return Rat{}, fmt.Errorf("more than %d digits", maxDigits)
	}
	if exp != "" {
		if e, err := strconv.Atoi(exp); len(exp) > 4 || err != nil || e > maxExponent || e < -maxExponent {
			return Rat{}, fmt.Errorf("an exponent beyond ±%d", maxExponent)
		}
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return Rat{}, errNumber
	}
	a, _ := fromBig(r) // 70 digits are far below MaxBits
	return a, nil
}

// numberLength returns the length of the JSON number that s begins with, 0 if there is none.
func numberLength(s string) int {
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	whole := digitsAt(s, i)
	if whole == 0 || whole > 1 && s[i] == '0' {
		return 0
	}
	i += whole
	if i < len(s) && s[i] == '.' {
		places := digitsAt(s, i+1)
		if places == 0 {
			return 0
		}
		i += 1 + places
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		j := i + 1
		if j < len(s) && (s[j] == '+' || s[j] == '-') {
			j++
		}
		if e := digitsAt(s, j); e > 0 {
			i = j + e
		}
	}
	return i
}

func digitsAt(s string, i int) int {
	n := 0
	for i+n < len(s) && '0' <= s[i+n] && s[i+n] <= '9' {
		n++
	}
	return n
}

// tens are the powers of ten that fit the fast path.
var tens = func() (t [19]int64) {
	t[0] = 1
	for i := 1; i < len(t); i++ {
		t[i] = t[i-1] * 10
	}
	return t
}()

// parseShort reads what nearly every number is: up to 18 digits without an exponent. s is a JSON number.
func parseShort(s string) (a Rat, ok bool) {
	if len(s) > 18 {
		return Rat{}, false
	}
	var n int64
	places, point := 0, false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '.':
			point = true
		case c == '-':
		case '0' <= c && c <= '9':
			n = n*10 + int64(c-'0')
			if point {
				places++
			}
		default:
			return Rat{}, false
		}
	}
	if s[0] == '-' {
		n = -n
	}
	return lowestDecimal(n, places), true
}

// lowestDecimal returns n/10^places. Only twos and fives can cancel, which is quicker than a gcd.
func lowestDecimal(n int64, places int) Rat {
	if n == 0 {
		return Rat{}
	}
	fives := places
	for fives > 0 && n%5 == 0 {
		n /= 5
		fives--
	}
	twos := min(places, bits.TrailingZeros64(uint64(n)))
	d := tens[places] >> twos
	for range places - fives {
		d /= 5
	}
	return small(n>>twos, d)
}

// String writes a exactly: as a decimal where that ends ("2.1"), else as a fraction ("1/3").
func (a Rat) String() string {
	if a.big == nil && a.den == 0 {
		return strconv.FormatInt(a.num, 10)
	}
	r := a.asBig()
	if places, exact := r.FloatPrec(); exact {
		return r.FloatString(places)
	}
	return r.RatString()
}

// ParseRat reads what String wrote.
func ParseRat(s string) (Rat, error) {
	num, den, fraction := strings.Cut(s, "/")
	if len(s) > maxText || !plainDecimal(num) || fraction && (!plainDecimal(den) || strings.ContainsAny(den, "-.")) {
		return Rat{}, errNumber
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return Rat{}, errNumber // a denominator of zero
	}
	a, ok := fromBig(r)
	if !ok {
		return Rat{}, errors.New("a number that is too large")
	}
	return a, nil
}

// plainDecimal reports whether s is a JSON number without an exponent.
func plainDecimal(s string) bool {
	return s != "" && numberLength(s) == len(s) && !strings.ContainsAny(s, "eE")
}

// Decimal writes a for people with the given number of places, rounded toward −∞ as credit is.
func (a Rat) Decimal(places int) string {
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(places)), nil)
	r := new(big.Rat).Mul(a.asBig(), new(big.Rat).SetInt(scale))
	n := Rat{big: r}.floorBig()
	return new(big.Rat).SetFrac(n, scale).FloatString(places)
}
