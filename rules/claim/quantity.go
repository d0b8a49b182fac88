package claim

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDigits is how many digits a number may have, written out. It leaves room for every quantity
// that a person could mean and keeps exact arithmetic small.
const maxDigits = 40

// Canonical puts a reported quantity into its one form, so that the same value always has the same
// bytes: a decimal without exponent, plus sign or needless zeros, then, after one space, the unit if
// there is one. What is no such number (1e400, "about 3") stays what was sent, shortened to
// MaxQuantity bytes of printable text, with false: whoever judges it then can say what was wrong.
func Canonical(text string) (string, bool) {
	text = strings.TrimSpace(text)
	n, rest, ok := scanNumber(text)
	if !ok {
		return literal(text), false
	}
	unit := strings.TrimLeft(rest, " ")
	if !validUnit(unit) {
		return literal(text), false
	}
	if n.plain && (rest == "" || len(rest) == len(unit)+1) && len(text) <= MaxQuantity {
		return text, true
	}
	written, ok := n.write()
	if unit != "" {
		written += " " + unit
	}
	if !ok || len(written) > MaxQuantity {
		return literal(text), false
	}
	return written, true
}

// A number is digits × 10^-scale as it was scanned.
type number struct {
	negative   bool
	whole, dec string // the digits before and after the point, as written
	exponent   int
	plain      bool // written in its canonical form already
}

// scanNumber reads the number that s begins with. Exponents stop counting far beyond maxDigits.
func scanNumber(s string) (n number, rest string, ok bool) {
	rest = s
	if n.negative = strings.HasPrefix(rest, "-"); n.negative {
		rest = rest[1:]
	}
	n.whole, rest = scanDigits(rest)
	if n.whole == "" {
		return n, s, false
	}
	if strings.HasPrefix(rest, ".") {
		n.dec, rest = scanDigits(rest[1:])
		if n.dec == "" {
			return n, s, false
		}
	}
	exp, after := scanExponent(rest)
	n.plain = exp == "" && (len(n.whole) == 1 || n.whole[0] != '0') && !strings.HasSuffix(n.dec, "0") &&
		len(n.whole)+len(n.dec) <= maxDigits && !(n.negative && n.whole == "0" && n.dec == "")
	for _, c := range strings.TrimLeft(exp, "+-") {
		if n.exponent < 1e6 {
			n.exponent = n.exponent*10 + int(c-'0')
		}
	}
	if strings.HasPrefix(exp, "-") {
		n.exponent = -n.exponent
	}
	return n, after, true
}

func scanDigits(s string) (digits, rest string) {
	i := 0
	for i < len(s) && '0' <= s[i] && s[i] <= '9' {
		i++
	}
	return s[:i], s[i:]
}

// scanExponent returns the exponent of "e-3 km" as "-3"; an e without digits begins a unit.
func scanExponent(s string) (exp, rest string) {
	if s == "" || s[0]|0x20 != 'e' {
		return "", s
	}
	sign := 0
	if len(s) > 1 && (s[1] == '+' || s[1] == '-') {
		sign = 1
	}
	digits, after := scanDigits(s[1+sign:])
	if digits == "" {
		return "", s
	}
	return s[1 : 1+sign+len(digits)], after
}

func (n number) write() (string, bool) {
	digits := n.whole + n.dec
	scale := len(n.dec) - n.exponent // digits after the point; negative: zeros before it
	if trimmed := strings.TrimRight(digits, "0"); len(trimmed) < len(digits) {
		scale -= len(digits) - len(trimmed)
		digits = trimmed
	}
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		return "0", true
	}
	if scale > maxDigits || len(digits)-scale > maxDigits || len(digits) > maxDigits {
		return "", false
	}
	if scale < 0 {
		digits, scale = digits+strings.Repeat("0", -scale), 0
	}
	if len(digits) <= scale {
		digits = strings.Repeat("0", scale+1-len(digits)) + digits
	}
	if len(digits) > maxDigits {
		return "", false
	}
	point := len(digits) - scale
	s := digits[:point]
	if scale > 0 {
		s += "." + digits[point:]
	}
	if n.negative {
		s = "-" + s
	}
	return s, true
}

// validUnit accepts anything written as units are, or nothing; whether it names one is for the
// methodology to say.
func validUnit(unit string) bool {
	for i, r := range unit {
		switch {
		case unicode.IsLetter(r), r == '%':
		case i == 0 && r != '1', !unicode.IsDigit(r) && !strings.ContainsRune("/*^-.·()", r):
			return false
		}
	}
	return true
}

// literal keeps what can be shown and stored of text. The mark of shortening also keeps what is left
// from being taken for a number.
func literal(text string) string {
	const mark = "…"
	var b strings.Builder
	for _, r := range text {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '?'
		}
		if b.Len()+utf8.RuneLen(r)+len(mark) > MaxQuantity {
			b.WriteString(mark)
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
