package quantity

import (
	"slices"
	"strconv"
	"strings"
)

// A Dim is what a quantity is of: powers of the bases and of currencies. Two quantities can be added
// or compared only when their Dims are equal (==). The zero Dim is that of a plain number.
//
// CO2e is a base of its own, so that grams of goods never pass for grams credited; each currency is
// one too, so that yuan are not added to yen.
type Dim struct {
	exp   [nbases]int8
	money [2]money // in order of code; those unused are zero and come last
}

type money struct {
	code string
	exp  int8
}

// CO2e is the dimension of a reduction, Time that of a duration.
var (
	CO2e = named["gCO2e"].Dim
	Time = named["s"].Dim
)

// Mul returns the dimension of a product; ok is false when it has too high a power or a third currency.
func (d Dim) Mul(e Dim) (Dim, bool) { return d.combine(e, 1) }

// Quo returns the dimension of a quotient, as Mul that of a product.
func (d Dim) Quo(e Dim) (Dim, bool) { return d.combine(e, -1) }

func (d Dim) combine(e Dim, sign int8) (Dim, bool) {
	for i := range d.exp {
		d.exp[i] += sign * e.exp[i]
		if d.exp[i] > maxPower || d.exp[i] < -maxPower {
			return Dim{}, false
		}
	}
	if e.money == [2]money{} {
		return d, true
	}
	powers := map[string]int8{}
	for _, m := range d.money {
		powers[m.code] += m.exp
	}
	for _, m := range e.money {
		powers[m.code] += sign * m.exp
	}
	var all []money
	for code, exp := range powers {
		if exp > maxPower || exp < -maxPower {
			return Dim{}, false
		}
		if exp != 0 {
			all = append(all, money{code, exp})
		}
	}
	if len(all) > len(d.money) {
		return Dim{}, false
	}
	slices.SortFunc(all, func(a, b money) int { return strings.Compare(a.code, b.code) })
	d.money = [2]money{}
	copy(d.money[:], all)
	return d, true
}

// String names the dimension for people: "CO2e/distance", "area", "a plain number".
func (d Dim) String() string {
	return d.write("a plain number", func(base int) string { return bases[base].name })
}

// Unit returns the base unit of the dimension, named from its parts: "mgCO2e/m".
func (d Dim) Unit() Unit {
	name := d.write("1", func(base int) string { return bases[base].unit })
	return Unit{Name: name, Dim: d, Scale: Int(1)}
}

func (d Dim) write(none string, name func(base int) string) string {
	var over, under []string
	put := func(name string, exp int8) {
		switch {
		case exp > 0:
			over = append(over, power(name, exp))
		case exp < 0:
			under = append(under, power(name, -exp))
		}
	}
	for base, exp := range d.exp {
		put(name(base), exp)
	}
	for _, m := range d.money {
		put(m.code, m.exp)
	}
	switch {
	case len(over)+len(under) == 0:
		return none
	case len(under) == 0:
		return strings.Join(over, "*")
	case len(over) == 0:
		over = []string{"1"}
	}
	return strings.Join(over, "*") + "/" + strings.Join(under, "/")
}

// power writes name to a power, by its own word where there is one.
func power(name string, exp int8) string {
	switch {
	case exp == 1:
		return name
	case name == "distance" && exp == 2:
		return "area"
	case name == "distance" && exp == 3:
		return "volume"
	}
	return name + strconv.Itoa(int(exp))
}
