package quantity

import (
	"strings"
	"testing"
)

func TestParseUnit(t *testing.T) {
	for _, tt := range []struct{ in, dim, scale, base string }{
		{"mgCO2e", "CO2e", "1", "mgCO2e"}, {"gCO2e", "CO2e", "1000", "mgCO2e"}, {"kgCO2e", "CO2e", "1000000", "mgCO2e"}, {"tCO2e", "CO2e", "1000000000", "mgCO2e"},
		{"g", "mass", "1", "g"}, {"kg", "mass", "1000", "g"}, {"t", "mass", "1000000", "g"},
		{"m", "distance", "1", "m"}, {"km", "distance", "1000", "m"},
		{"s", "time", "1", "s"}, {"min", "time", "60", "s"}, {"h", "time", "3600", "s"}, {"day", "time", "86400", "s"},
		{"kWh", "energy", "3600000", "J"}, {"MWh", "energy", "3600000000", "J"}, {"MJ", "energy", "1000000", "J"}, {"GJ", "energy", "1000000000", "J"},
		{"L", "volume", "0.001", "m3"}, {"m3", "volume", "1", "m3"}, {"ccf", "volume", "2.8316846592", "m3"},
		{"m2", "area", "1", "m2"}, {"km2", "area", "1000000", "m2"},
		{"step", "count", "1", "item"}, {"trip", "count", "1", "item"}, {"item", "count", "1", "item"}, {"pair", "count", "1", "item"}, {"person", "count", "1", "item"}, {"order", "count", "1", "item"},
		{"CNY", "CNY", "1", "CNY"}, {"KRW", "KRW", "1", "KRW"},
		{"1", "a plain number", "1", "1"}, {"%", "a plain number", "0.01", "1"},
		{"gCO2e/km", "CO2e/distance", "1", "mgCO2e/m"}, {"km/h", "distance/time", "5/18", "m/s"}, {"kWh/m2", "energy/area", "3600000", "J/m2"},
		{"gCO2e/kWh", "CO2e/energy", "1/3600", "mgCO2e/J"}, {"m*m", "area", "1", "m2"}, {"L/m2", "distance", "0.001", "m"}, {"m3/m2", "distance", "1", "m"},
		{"1/day", "1/time", "1/86400", "1/s"}, {"gCO2e/km/person", "CO2e/distance/count", "1", "mgCO2e/m/item"}, {"s2", "time2", "1", "s2"},
		{"kgCO2e/CNY", "CO2e/CNY", "1000000", "mgCO2e/CNY"}, {"CNY/USD", "CNY/USD", "1", "CNY/USD"}, {"CNY/CNY", "a plain number", "1", "1"}, {"km/km*h", "time", "3600", "s"},
	} {
		u, err := ParseUnit(tt.in)
		if err != nil || u.Name != tt.in || u.Dim.String() != tt.dim || u.Scale.String() != tt.scale || u.Dim.Unit().Name != tt.base {
			t.Errorf("ParseUnit(%q) = %q, %v ×%v, base %s (%v), want %s ×%s, base %s", tt.in, u.Name, u.Dim, u.Scale, u.Dim.Unit().Name, err, tt.dim, tt.scale, tt.base)
		}
		back, err := ParseUnit(tt.base)
		if err != nil || back.Dim != u.Dim || back.Scale != Int(1) {
			t.Errorf("the base unit %s of %s is %v ×%v (%v)", tt.base, tt.in, back.Dim, back.Scale, err)
		}
	}
	for _, in := range []string{
		"", " ", "km ", " km", "KM", "CO2", "gCO2", "cny", "XXX", "m0", "m1", "m10", "m-2", "12", "%2", "/km", "km/", "km//h", "*", "km h", "千米", "km²",
		"m9*m", "1/m9/m", "CNY*USD*EUR", "m/s/m/s/m/s/m/s/m", strings.Repeat("m*", 40) + "m", "km/h\n", "m\x00",
	} {
		if u, err := ParseUnit(in); err == nil {
			t.Errorf("ParseUnit(%q) = %v ×%v, want an error", in, u.Dim, u.Scale)
		}
	}
}

// Grams of goods, grams of CO2e, money of two kinds, and a count are never the same thing.
func TestDimsDiffer(t *testing.T) {
	seen := map[Dim]string{}
	for _, name := range []string{"g", "gCO2e", "m", "m2", "m3", "s", "J", "item", "1", "CNY", "USD", "CNY/USD", "USD/CNY", "gCO2e/g", "1/CNY"} {
		u, err := ParseUnit(name)
		if other, taken := seen[u.Dim]; err != nil || taken {
			t.Errorf("%s has the dimension of %s (%v)", name, other, err)
		}
		seen[u.Dim] = name
	}
}

func TestParseQuantity(t *testing.T) {
	for _, tt := range []struct{ in, number, unit, base string }{
		{"2.1 km", "2.1", "km", "2100"}, {"2100 m", "2100", "m", "2100"}, {"2.1km", "2.1", "km", "2100"}, {"5%", "5", "%", "0.05"}, {"12", "12", "", "12"},
		{"-3.5 kWh", "-3.5", "kWh", "-12600000"}, {"1e3 g", "1000", "g", "1000"}, {"25 km/h", "25", "km/h", "125/18"}, {"10   ccf", "10", "ccf", "28.316846592"},
		{"1 EUR", "1", "EUR", "1"}, {"1EUR", "1", "EUR", "1"},
	} {
		a, u, err := ParseQuantity(tt.in)
		base, ok := u.Base(a)
		if err != nil || !ok || a.String() != tt.number || u.Name != tt.unit || base.String() != tt.base {
			t.Errorf("ParseQuantity(%q) = %v %q = %v (%v), want %s %q = %s", tt.in, a, u.Name, base, err, tt.number, tt.unit, tt.base)
		}
		if back, ok := u.Of(base); !ok || back.Cmp(a) != 0 {
			t.Errorf("%q and back is %v", tt.in, back)
		}
	}
	for _, in := range []string{"", "km", "km 2", "2.1 km 3", "2.1 lots", "12 ", "about 3", "1e400", "1e400 km", "NaN", "2.1\tkm", "2..1 km", "1/3 km", "- 2 km"} {
		if a, u, err := ParseQuantity(in); err == nil {
			t.Errorf("ParseQuantity(%q) = %v %s, want an error", in, a, u.Name)
		}
	}
}

func FuzzParseUnit(f *testing.F) {
	for _, s := range []string{"km", "gCO2e/km", "kWh/m2", "m3", "1", "%", "CNY/USD", "m9*m", "a/b*c", "1/1/1/1/1/1/1/1/1", "ccf2", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		u, err := ParseUnit(s)
		if err != nil {
			return
		}
		if u.Name != s || u.Scale.Sign() <= 0 || !canonical(u.Scale) {
			t.Errorf("ParseUnit(%q) = %q ×%v", s, u.Name, u.Scale)
		}
		if back, err := ParseUnit(u.Dim.Unit().Name); err != nil || back.Dim != u.Dim {
			t.Errorf("the base unit of %q, %s, is %v (%v), want %v", s, u.Dim.Unit().Name, back.Dim, err, u.Dim)
		}
	})
}

func FuzzParseQuantity(f *testing.F) {
	for _, s := range []string{"2.1 km", "2100 m", "5%", "-0", "1e30 tCO2e", "1e-30 mgCO2e/day", "12", "0.1e1EUR", "9223372036854775808 J", "1e400", "NaN km"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, u, err := ParseQuantity(s)
		if err != nil {
			return
		}
		if again, err := ParseRat(a.String()); err != nil || again.Cmp(a) != 0 || !canonical(a) {
			t.Errorf("ParseRat(%q) = %v, %v, from %q", a, again, err, s)
		}
		base, ok := u.Base(a)
		if !ok {
			return
		}
		if back, ok := u.Of(base); !ok || back.Cmp(a) != 0 {
			t.Errorf("%q in base units and back is %v, want %v", s, back, a)
		}
	})
}
