package methodology

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/rules/quantity"
	"github.com/tanpu/tanpu/rules/reason"
	"pgregory.net/rapid"
)

// withFormulas compiles the ride of testdata with other formulas.
func withFormulas(t testing.TB, formulas string) *Methodology {
	t.Helper()
	text := strings.Replace(string(read(t, "testdata/ride.methodology.yaml")), "reduction: distance * credit", formulas, 1)
	text, _, _ = strings.Cut(text, "examples:")
	m, err := Parse("ride", []byte(text), testLibrary(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// ride is a claim about so many kilometres in ten minutes.
func ride(distance string) *Given {
	start := time.Date(2025, 3, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	return &Given{Start: start, End: start + 600*second, Region: "CN-420100", Evidence: "system", Quantities: []Reported{{"distance", distance}}}
}

func TestFormulas(t *testing.T) {
	for _, tt := range []struct {
		formula, distance string
		want              int64
		code              reason.Code
	}{
		{"reduction: distance * credit", "2.1", 195930, reason.OK},
		{"reduction: distance * credit", "2100 m", 195930, reason.OK},
		{"reduction: 1[trip] * 212.5[gCO2e/trip]", "2.1", 212500, reason.OK},
		{"reduction: 2 * distance * credit - distance * credit", "2.1", 195930, reason.OK},
		{"reduction: -distance * credit + 200[gCO2e]", "2.1", 4070, reason.OK},
		{"reduction: distance * credit - 200[gCO2e]", "2.1", 0, reason.OK}, // not net: year, so nothing is taken back
		{"reduction: distance * (100[gCO2e/km] - 50[%] * 13.4[gCO2e/km])", "2.1", 195930, reason.OK},
		{"reduction: min(distance, 2[km]) * credit", "2.1", 186600, reason.OK},
		{"reduction: max(distance, 2[km], 3[km]) * credit", "2.1", 279900, reason.OK},
		{"reduction: min(distance, 5[km], 1[km]) * credit", "2.1", 93300, reason.OK},
		{"reduction: distance * credit / 3", "1", 31100, reason.OK},
		{"reduction: distance * credit / 7", "1", 13328, reason.OK}, // 13328.57…
		{"reduction: distance / (duration * 12.6[km/h]) * 195.93[gCO2e]", "2.1", 195930, reason.OK},
		{"reduction: distance * credit / (distance - 2[km]) * 1[km]", "2", 0, reason.CannotCompute},
		{"reduction: 1e30[tCO2e]", "2", 0, reason.CannotCompute},
		{"baseline: distance * 200[gCO2e/km]\nproject: distance * 100[gCO2e/km]\nleakage: distance * 6.7[gCO2e/km]", "2.1", 195930, reason.OK},
		{"baseline: distance * 200[gCO2e/km]\nproject: distance * 100[gCO2e/km]\nreduction: max(0[gCO2e], baseline - project) / 2", "2", 100000, reason.OK},
		{"baseline: distance * credit", "2.1", 195930, reason.OK},
	} {
		m := withFormulas(t, tt.formula)
		q, code, ops := m.Try(ride(tt.distance))
		if code != tt.code || q.Milligrams != tt.want {
			t.Errorf("%s with %s gives %d mg, %s %+v, want %d mg, %s", tt.formula, tt.distance, q.Milligrams, code, ops, tt.want, tt.code)
		}
	}
}

func TestPlausibleRules(t *testing.T) {
	for _, tt := range []struct {
		rule, distance string
		want           string
	}{
		{"distance / duration <= speed", "4", "ok"},
		{"distance / duration <= speed", "4.2", "implausible distance / duration <= speed: got 25.2 km/h, limit 25 km/h"},
		{"speed >= distance / duration", "4.2", "implausible speed >= distance / duration: got 25 km/h, limit 25.2 km/h"},
		{"distance > 1[km] && distance / duration <= speed", "0.5", "implausible distance > 1[km]: got 0.5 km, limit 1 km"},
		{"distance > 1[km] && distance / duration <= speed", "4.2", "implausible distance / duration <= speed: got 25.2 km/h, limit 25 km/h"},
		{"distance == 1[km] || distance != 2[km]", "2", "implausible distance == 1[km] || distance != 2[km]: got , limit "},
		{"distance == 1[km] || distance != 2[km]", "3", "ok"},
		{"!(distance < 3[km])", "2", "implausible !(distance < 3[km]): got , limit "},
		{"!(distance < 3[km])", "3", "ok"},
		{"distance > 1[km] || 1[km] / (distance - 1[km]) > 0", "2", "ok"}, // the right side is not needed
		{"1[km] / (distance - 1[km]) > 0", "1", "implausible 1[km] / (distance - 1[km]) > 0: got , limit 0"},
		{"distance * distance * distance < 27[m3]", "0.1", "implausible distance * distance * distance < 27[m3]: got 1000000 m3, limit 27 m3"},
		{"duration * 3 >= 30[min]", "1", "ok"},
	} {
		text := strings.Replace(string(read(t, "testdata/ride.methodology.yaml")), "distance / duration <= speed", `"`+tt.rule+`"`, 1)
		m, err := Parse("ride", []byte(text), testLibrary(t))
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		g := ride(tt.distance)
		in, code, _ := m.Read(g)
		if code != reason.OK {
			t.Errorf("%s: Read gives %s", tt.distance, code)
		}
		code, ops := m.Plausible(g, in)
		got := string(code)
		if code != reason.OK {
			got += fmt.Sprintf(" %s: got %s, limit %s", ops.Rule, ops.Got, ops.Limit)
		}
		if got != tt.want {
			t.Errorf("%s with %s gives %s, want %s", tt.rule, tt.distance, got, tt.want)
		}
	}
}

func TestPlausibleNeedsTime(t *testing.T) {
	m := parseTest(t, "ride")
	g := ride("2")
	g.End = g.Start
	if _, code, _ := m.Try(g); code != reason.Implausible {
		t.Errorf("a ride without length gives %s, want implausible", code)
	}
}

// A random sum of products computes to what the same sum gives in plain arithmetic, whatever the order.
func TestFormulasAreExact(t *testing.T) {
	lib := testLibrary(t)
	base := string(read(t, "testdata/ride.methodology.yaml"))
	base, _, _ = strings.Cut(base, "examples:")
	rapid.Check(t, func(t *rapid.T) {
		cents := rapid.Int64Range(10, 5000) // distances of 0.10 to 50.00 km
		d := cents.Draw(t, "d")
		factors := rapid.SliceOfN(rapid.Int64Range(1, 1e6), 1, 6).Draw(t, "factors")
		divisor := rapid.Int64Range(1, 1000).Draw(t, "divisor")
		var terms []string
		total := int64(0)
		for _, f := range factors {
			terms = append(terms, fmt.Sprintf("distance * %d[mgCO2e/km] / %d", f, divisor))
			total += f * d
		}
		text := strings.Replace(base, "distance * credit", strings.Join(terms, " + "), 1)
		m, err := Parse("ride", []byte(text), lib)
		if err != nil {
			t.Fatal(err)
		}
		g := ride(fmt.Sprintf("%d.%02d", d/100, d%100))
		g.End = g.Start + 24*3600*second
		q, code, ops := m.Try(g)
		if want := floorDiv(total, 100*divisor); code != reason.OK || q.Milligrams != want {
			t.Fatalf("%s of %d cents gives %d, %s %v, want %d", terms, d, q.Milligrams, code, ops, want)
		}
	})
}

func TestRead(t *testing.T) {
	m := parseTest(t, "ride")
	for _, tt := range []struct {
		name string
		g    Given
		code reason.Code
		ops  reason.Operands
	}{
		{"good", Given{Evidence: "system", Quantities: []Reported{{"distance", "2.1"}}}, reason.OK, reason.Operands{}},
		{"least", Given{Evidence: "system", Quantities: []Reported{{"distance", "100 m"}}}, reason.OK, reason.Operands{}},
		{"most", Given{Evidence: "system", Quantities: []Reported{{"distance", "50"}}}, reason.OK, reason.Operands{}},
		{"no evidence", Given{Quantities: []Reported{{"distance", "2.1"}}}, reason.BadEvidence, reason.Operands{Field: "evidence", Want: "system"}},
		{"evidence comes first", Given{Evidence: "hearsay"}, reason.BadEvidence, reason.Operands{Field: "evidence", Got: "hearsay", Want: "system"}},
		{"nothing", Given{Evidence: "system"}, reason.BadQuantity, reason.Operands{Field: "distance", Want: "0.1 – 50 km"}},
		{"no number", Given{Evidence: "system", Quantities: []Reported{{"distance", "far"}}}, reason.BadQuantity, reason.Operands{Field: "distance", Got: "far", Want: "0.1 – 50 km"}},
		{"another kind", Given{Evidence: "system", Quantities: []Reported{{"distance", "2 kg"}}}, reason.BadQuantity, reason.Operands{Field: "distance", Got: "2 kg", Want: "0.1 – 50 km"}},
		{"infinite", Given{Evidence: "system", Quantities: []Reported{{"distance", "1e400"}}}, reason.BadQuantity, reason.Operands{Field: "distance", Got: "1e400", Want: "0.1 – 50 km"}},
		{"unknown name", Given{Evidence: "system", Quantities: []Reported{{"distance", "2"}, {"steps", "3"}}}, reason.BadQuantity, reason.Operands{Field: "steps", Got: "3", Want: "distance"}},
		{"short", Given{Evidence: "system", Quantities: []Reported{{"distance", "99.9 m"}}}, reason.BelowMinimum, reason.Operands{Field: "distance", Got: "0.0999 km", Limit: "0.1 km"}},
		{"negative", Given{Evidence: "system", Quantities: []Reported{{"distance", "-2"}}}, reason.BelowMinimum, reason.Operands{Field: "distance", Got: "-2 km", Limit: "0.1 km"}},
		{"long", Given{Evidence: "system", Quantities: []Reported{{"distance", "50.001"}}}, reason.AboveMaximum, reason.Operands{Field: "distance", Got: "50.001 km", Limit: "50 km"}},
	} {
		in, code, ops := m.Read(&tt.g)
		if code != tt.code || ops != tt.ops {
			t.Errorf("%s: Read = %v, %s, %+v, want %s, %+v", tt.name, in, code, ops, tt.code, tt.ops)
		}
	}
}

func TestHistory(t *testing.T) {
	m := parseTest(t, "meter")
	start, end := m.Period(time.Date(2024, 8, 21, 9, 0, 0, 0, m.Zone))
	g := &Given{Start: start, End: end, Region: "CN-420100", Evidence: "system", Quantities: []Reported{{"used", "265"}}}
	keep := map[string]string{"2023-08": "290", "2022-08": "310"}
	g.History = func(input, period string) (quantity.Rat, bool) {
		text, ok := keep[period]
		v, _ := m.Inputs[0].Base(text)
		return v, ok && input == "used"
	}
	q, code, ops := m.Try(g)
	if code != reason.OK || q.Milligrams != 14154000 {
		t.Errorf("with history: %d mg, %s %+v, want 14154000 mg", q.Milligrams, code, ops)
	}
	want := []Use{{"history used 2023-08", "290 kWh"}, {"history used 2022-08", "310 kWh"}, {"factor grid-average CN-42 2023-01-01", "0.4044 kgCO2e/kWh"}}
	if fmt.Sprint(q.Used) != fmt.Sprint(want) {
		t.Errorf("used %v, want %v", q.Used, want)
	}
	if got := m.NeedsHistory(start); fmt.Sprint(got) != "[{used 2023-08} {used 2022-08}]" {
		t.Errorf("NeedsHistory = %v", got)
	}
	if got := m.KeepPeriod(start); got != "2024-08" || !m.Keeps() {
		t.Errorf("KeepPeriod = %s, Keeps = %v", got, m.Keeps())
	}

	delete(keep, "2022-08")
	if q, code, ops = m.Try(g); code != reason.NoHistory || !q.NoHistory || ops.Need != "2022-08" || q.Milligrams != 0 {
		t.Errorf("without a year: %+v, %s, %+v, want no-history of 2022-08", q, code, ops)
	}
	g.History = nil
	if _, code, ops = m.Try(g); code != reason.NoHistory || ops.Need != "2023-08, 2022-08" {
		t.Errorf("without history: %s, %+v, want no-history of both years", code, ops)
	}
	g.Region = "CN-31" // no factor there: that nothing can be computed weighs more than what is missing
	if _, code, ops = m.Try(g); code != reason.CannotCompute || ops.Rule == "" {
		t.Errorf("without a factor: %s, %+v, want cannot-compute", code, ops)
	}
}

func TestTrailingHistory(t *testing.T) {
	text := strings.NewReplacer("household-electricity", "day-electricity", "same_month, 2", "trailing, 7").Replace(string(read(t, "testdata/meter.methodology.yaml")))
	text, _, _ = strings.Cut(text, "examples:")
	m, err := Parse("meter", []byte(text), testLibrary(t))
	if err != nil {
		t.Fatal(err)
	}
	start, end := m.Period(time.Date(2024, 3, 3, 9, 0, 0, 0, m.Zone))
	g := &Given{Start: start, End: end, Region: "CN-42", Evidence: "system", Quantities: []Reported{{"used", "5"}}}
	var asked []string
	g.History = func(_, period string) (quantity.Rat, bool) {
		asked = append(asked, period)
		v, _ := m.Inputs[0].Base(fmt.Sprint(len(asked) + 3))
		return v, true
	}
	q, code, _ := m.Try(g)
	if code != reason.OK || q.Milligrams != 808800 { // the mean of 4…10 is 7, less 5, times 404.4 g
		t.Errorf("gives %d mg, %s, want 808800 mg", q.Milligrams, code)
	}
	if got := strings.Join(asked, " "); got != "2024-03-02 2024-03-01 2024-02-29 2024-02-28 2024-02-27 2024-02-26 2024-02-25" {
		t.Errorf("asked for %s", got)
	}
	if got := m.KeepPeriod(start); got != "2024-03-03" {
		t.Errorf("KeepPeriod = %s", got)
	}
}

// The period in force at the start decides, by the local day; no other level answers.
func TestFactors(t *testing.T) {
	lib := testLibrary(t)
	for _, tt := range []struct{ factor, region, at, want string }{
		{"grid-average", "CN-42", "2024-12-31T23:59", "0.4044"},
		{"grid-average", "CN-42", "2025-01-01T00:00", "0.4"},
		{"grid-average", "CN-420100", "2030-01-01T00:00", "0.4"},
		{"grid-average", "CN-44", "2024-01-01T00:00", "0.4419"},
		{"grid-average", "CN-42", "2022-12-31T23:59", ""},
		{"grid-average", "CN-31", "2024-01-01T00:00", ""},
		{"grid-average", "CN", "2024-01-01T00:00", ""},
		{"grid-average", "", "2024-01-01T00:00", ""},
		{"grid-average-region", "CN-420100", "2024-01-01T00:00", "0.5271"},
		{"grid-average-region", "CN-44", "2024-01-01T00:00", ""},
	} {
		text := strings.NewReplacer("grid-average", tt.factor, "from: 2024-01-01", "from: 2020-01-01").Replace(string(read(t, "testdata/meter.methodology.yaml")))
		text, _, _ = strings.Cut(text, "examples:")
		m, err := Parse("meter", []byte(text), lib)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.ParseInLocation("2006-01-02T15:04", tt.at, m.Zone)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if v := lib.Factors[tt.factor].at(tt.region, m.calendar.day(at.UnixMicro())); v != nil {
			got = v.Text
		}
		if got != tt.want {
			t.Errorf("%s of %s at %s is %q, want %q", tt.factor, tt.region, tt.at, got, tt.want)
		}
	}
}

func TestLimitCutsAnInput(t *testing.T) {
	m := parseTest(t, "ride")
	g := ride("4")
	for _, tt := range []struct {
		limit string
		want  int64
	}{{"1", 93300}, {"4", 373200}, {"9", 373200}, {"0", 0}} {
		left, _ := m.Inputs[0].Base(tt.limit)
		g.Limit = &Limit{"distance", left}
		q, code, _ := m.Try(g)
		if code != reason.OK || q.Milligrams != tt.want {
			t.Errorf("with %s km left: %d mg, %s, want %d", tt.limit, q.Milligrams, code, tt.want)
		}
	}
	in, _, _ := m.Read(g)
	g.Limit = &Limit{"distance", quantity.Int(1)}
	m.Quantify(g, in)
	if in[0].String() != "4000" {
		t.Errorf("the limit changed the inputs to %v", in)
	}
}

func TestExamplesThatDoNotComeOut(t *testing.T) {
	base := string(read(t, "testdata/ride.methodology.yaml"))
	for _, tt := range []struct{ edit, want string }{
		{"195.93 gCO2e → 195.94 gCO2e", "ride:27:11: this example's reduction should be 195.94 gCO2e, but is 195.93 gCO2e"},
		{"{reduction: 195.93 gCO2e} → {refused: implausible}", "ride:27:11: this example should come out as implausible, but gives 195.93 gCO2e"},
		{"distance: 2.1 km → distance: 1 m", "ride:27:11: this example should come out as ok, but gives below-minimum (distance, got 0.001 km, limit 0.1 km)"},
		{"195.93 gCO2e → 195.93 gCO2e, baseline: 1 gCO2e", "ride:27:11: this example's baseline should be 1 gCO2e, but is 0 gCO2e"},
	} {
		m, err := Parse("ride", []byte(edit(t, base, []string{tt.edit})), testLibrary(t))
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if err := m.CheckExamples(); err == nil || err.Error() != tt.want {
			t.Errorf("%s: %v, want %s", tt.edit, err, tt.want)
		}
	}
	for _, name := range []string{"ride", "meter"} {
		if err := parseTest(t, name).CheckExamples(); err != nil {
			t.Errorf("%v", err)
		}
	}
}

// Nothing that a program hands over wrongly brings it down.
func TestQuantifyWithoutRead(t *testing.T) {
	m := parseTest(t, "ride")
	g := ride("2")
	if _, code, _ := m.Quantify(g, nil); code != reason.CannotCompute {
		t.Errorf("Quantify without inputs gives %s, want cannot-compute", code)
	}
	if code, _ := m.Plausible(g, nil); code != reason.Implausible {
		t.Errorf("Plausible without inputs gives %s, want implausible", code)
	}
	g.Evidence = "none"
	if _, code, _ := m.Quantify(g, make(Inputs, 1)); code != reason.CannotCompute {
		t.Errorf("Quantify without evidence gives %s, want cannot-compute", code)
	}
	g = ride("2")
	g.Start, g.End = -1<<63, 1<<63-1
	m.Try(g)
}

func TestLibraryNamesClash(t *testing.T) {
	lib := testLibrary(t)
	if err := lib.AddGroups([]Group{{Name: "new"}, {Name: "trip"}}); err == nil || lib.Groups["new"].Name != "" {
		t.Errorf("AddGroups = %v, new %v, want an error and nothing added", err, lib.Groups["new"])
	}
	if err := lib.AddFactors(Factors{"grid-average": &Factor{}}); err == nil {
		t.Error("AddFactors took a name that is taken")
	}
}
