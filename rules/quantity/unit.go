package quantity

import (
	"errors"
	"fmt"
	"strings"
)

// A Unit is a measure: a value in it, times Scale, is the value in base units (see bases).
type Unit struct {
	Name  string // as it was written
	Dim   Dim
	Scale Rat
}

// Bounds on a unit written by someone else.
const (
	maxUnitText    = 64
	maxUnitFactors = 8
	maxPower       = 9
)

// bases are the measures that the others are counted in. They are small enough that a reading in
// everyday units is a whole number of them, and chosen so that each scale below ends as a decimal.
var bases = [...]struct{ name, unit string }{
	co2e:     {"CO2e", "mgCO2e"},
	mass:     {"mass", "g"},
	distance: {"distance", "m"},
	duration: {"time", "s"},
	energy:   {"energy", "J"},
	count:    {"count", "item"},
}

const (
	co2e = iota
	mass
	distance
	duration
	energy
	count
	nbases
)

type simpleUnit struct {
	base, power int
	scale       string
}

// simple are the units that a name stands for. Area and volume are powers of distance, so that a
// depth of water times a floor is a volume; m2 and m3 need no entry, since any unit takes a power.
var simple = map[string]simpleUnit{
	"mgCO2e": {co2e, 1, "1"},
	"gCO2e":  {co2e, 1, "1000"},
	"kgCO2e": {co2e, 1, "1000000"},
	"tCO2e":  {co2e, 1, "1000000000"},

	"g":  {mass, 1, "1"},
	"kg": {mass, 1, "1000"},
	"t":  {mass, 1, "1000000"},

	"m":  {distance, 1, "1"},
	"km": {distance, 1, "1000"},

	"s":   {duration, 1, "1"},
	"min": {duration, 1, "60"},
	"h":   {duration, 1, "3600"},
	"day": {duration, 1, "86400"},

	"J":   {energy, 1, "1"},
	"kWh": {energy, 1, "3600000"},
	"MWh": {energy, 1, "3600000000"},
	"MJ":  {energy, 1, "1000000"},
	"GJ":  {energy, 1, "1000000000"},

	"L":   {distance, 3, "0.001"},
	"ccf": {distance, 3, "2.8316846592"}, // 100 cubic feet

	"step":   {count, 1, "1"},
	"trip":   {count, 1, "1"},
	"item":   {count, 1, "1"},
	"pair":   {count, 1, "1"},
	"person": {count, 1, "1"},
	"order":  {count, 1, "1"},

	"1": {count, 0, "1"},
	"%": {count, 0, "0.01"},
}

// named are the units of one name, ready to use: those in simple, and the currencies.
var named = func() map[string]Unit {
	m := make(map[string]Unit, len(simple)+200)
	for name, s := range simple {
		scale, err := ParseRat(s.scale)
		if err != nil {
			panic(err) // our own table is wrong
		}
		u := Unit{Name: name, Scale: scale}
		u.Dim.exp[s.base] = int8(s.power)
		m[name] = u
	}
	for code := range strings.FieldsSeq(currencies) {
		u := Unit{Name: code, Scale: Int(1)}
		u.Dim.money[0] = money{code, 1}
		m[code] = u
	}
	return m
}()

// ParseUnit reads a unit: names with an optional whole power, joined by * and /, as in "gCO2e/km",
// "m3", "kWh/m2" or "1/day". As in arithmetic, a/b/c is a/(b*c) and a/b*c is (a/b)*c.
func ParseUnit(s string) (Unit, error) {
	if u, ok := named[s]; ok {
		return u, nil
	}
	if len(s) > maxUnitText {
		return Unit{}, fmt.Errorf("a unit longer than %d bytes", maxUnitText)
	}
	u := Unit{Name: s, Scale: Int(1)}
	rest, divide := s, false
	for range maxUnitFactors {
		i := strings.IndexAny(rest, "*/")
		name := rest
		if i >= 0 {
			name = rest[:i]
		}
		f, err := parsePower(name)
		if err != nil {
			return Unit{}, err
		}
		if u, err = u.times(f, divide); err != nil {
			return Unit{}, err
		}
		if i < 0 {
			return u, nil
		}
		rest, divide = rest[i+1:], rest[i] == '/'
	}
	return Unit{}, fmt.Errorf("a unit of more than %d parts", maxUnitFactors)
}

// parsePower reads a name that may be followed by one digit: "m", "m2".
func parsePower(s string) (Unit, error) {
	if u, ok := named[s]; ok {
		return u, nil
	}
	last := len(s) - 1
	if last > 0 && '1' < s[last] && s[last] <= '9' {
		if f, ok := named[s[:last]]; ok && f.Dim != (Dim{}) { // "12" is no unit
			return f.power(int(s[last] - '0'))
		}
	}
	if s == "" {
		return Unit{}, errors.New("a unit with a part missing")
	}
	return Unit{}, fmt.Errorf("unknown unit %q", s)
}

func (u Unit) power(n int) (Unit, error) {
	p := Unit{Scale: Int(1)}
	for range n {
		var err error
		if p, err = p.times(u, false); err != nil {
			return Unit{}, err
		}
	}
	return p, nil
}

// times returns u·f, or u/f, under u's name.
func (u Unit) times(f Unit, divide bool) (Unit, error) {
	var ok1, ok2 bool
	if divide {
		u.Dim, ok1 = u.Dim.Quo(f.Dim)
		u.Scale, ok2 = u.Scale.Quo(f.Scale)
	} else {
		u.Dim, ok1 = u.Dim.Mul(f.Dim)
		u.Scale, ok2 = u.Scale.Mul(f.Scale)
	}
	if !ok1 || !ok2 {
		return Unit{}, errors.New("a unit of too high a power, or of more than two currencies")
	}
	return u, nil
}

// ParseQuantity reads a decimal number with or without a unit: "2.1 km", "5%", "12". Without one, the
// unit has no name and no dimension.
func ParseQuantity(s string) (Rat, Unit, error) {
	n := numberLength(s)
	if n == 0 {
		return Rat{}, Unit{}, errNumber
	}
	a, err := ParseDecimal(s[:n])
	if err != nil {
		return Rat{}, Unit{}, err
	}
	rest := strings.TrimLeft(s[n:], " ")
	if rest == "" {
		if n != len(s) {
			return Rat{}, Unit{}, errNumber
		}
		return a, Unit{Scale: Int(1)}, nil
	}
	u, err := ParseUnit(rest)
	return a, u, err
}

// Base returns value, which is in u, in base units; ok is false when it is too large.
func (u Unit) Base(value Rat) (base Rat, ok bool) { return value.Mul(u.Scale) }

// Of returns base, which is in base units, in u; ok is false when it is too large.
func (u Unit) Of(base Rat) (value Rat, ok bool) { return base.Quo(u.Scale) }

// currencies are the codes of ISO 4217 that money is kept in.
const currencies = `AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP
BYN BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT
LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD
OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC
SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XOF XPF YER ZAR
ZMW ZWG`
