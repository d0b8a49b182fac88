package rulebook

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/quantity"
)

const city = `id: city
title: {zh: 城市, en: City}
region: CN-42
timezone: Asia/Shanghai
operator: {name: {zh: 中心, en: Centre}, mode: government}
applicant: {name: {zh: 公司, en: Company}}
ownership: assigned
accepts: {late: 720h, early: 5m}
open: {from: 2026-01-01, to: 2027-01-01}
points: {name: points, per: 10 gCO2e, expires: end-of-next-year}
scenarios:
  bike: {methodology: BIKE, partners: [bikes, rivals]}
`

func TestParseProgramme(t *testing.T) {
	p, err := ParseProgramme("city.programme.yaml", []byte(city))
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(p.ID, p.Title.EN, p.Region, p.Zone, p.Operator.Name.ZH, p.Mode, p.Applicant.Name.EN, p.Assigned, p.Late, p.Early,
		p.From, p.To, p.Points.Name.ZH, p.Points.Per, p.Points.Expires, p.Scenarios)
	want := fmt.Sprint("city", "City", "CN-42", "Asia/Shanghai", "中心", "government", "Company", true, 720*time.Hour, 5*time.Minute,
		time.Date(2026, 1, 1, 0, 0, 0, 0, p.Zone), time.Date(2027, 1, 1, 0, 0, 0, 0, p.Zone), "points", "10000", "end-of-next-year",
		map[string]Scenario{"bike": {"BIKE", []string{"bikes", "rivals"}}})
	if got != want {
		t.Errorf("ParseProgramme\n got %s\nwant %s", got, want)
	}
}

// Each mistake is reported where it stands.
func TestProgrammeMistakes(t *testing.T) {
	for _, tt := range []struct{ old, new, want string }{
		{"id: city\n", "", `p.programme.yaml:1:1: `},
		{"id: city", "id: City Centre", "p.programme.yaml:1:5: "},
		{"region: CN-42", "region: cn42", "p.programme.yaml:3:9: "},
		{"Asia/Shanghai", "Asia/Atlantis", "p.programme.yaml:4:11: "},
		{"mode: government", "mode: club", "p.programme.yaml:5:"},
		{"applicant: {name: {zh: 公司, en: Company}}\n", "", "applicant"},
		{"ownership: assigned", "ownership: shared", "p.programme.yaml:7:12: "},
		{"late: 720h", "late: 30d", "p.programme.yaml:8:17: "},
		{"late: 720h", "late: -1h", "p.programme.yaml:8:17: "},
		{"late: 720h", "late: 100000h", "longer than ten years"},
		{"early: 5m", "early: 25h", "a clock that is more than a day ahead is wrong"},
		{"to: 2027-01-01", "to: 2026-01-01", "must come after from"},
		{"from: 2026-01-01", "from: 2026-02-30", "p.programme.yaml:9:14: "},
		{"per: 10 gCO2e", "per: 10 g", "a point is earned per amount of CO2e"},
		{"per: 10 gCO2e", "per: 0 gCO2e", "a point is earned per amount of CO2e"},
		{"per: 10 gCO2e", "per: -10 gCO2e", "a point is earned per amount of CO2e"},
		{"per: 10 gCO2e", "per: 0.5 mgCO2e", "a point is earned per amount of CO2e"},
		{"expires: end-of-next-year", "expires: 0 months", "points expire"},
		{"expires: end-of-next-year", "expires: never", "points expire"},
		{"points: {name: points, per: 10 gCO2e, expires: end-of-next-year}", "points: some", "p.programme.yaml:10:9: "},
		{"partners: [bikes, rivals]", "partners: [bikes, bikes]", "bikes is listed twice"},
		{"partners: [bikes, rivals]", "partners: bikes", "p.programme.yaml:12:"},
		{"  bike: {methodology: BIKE, partners: [bikes, rivals]}\n", "  {}\n", "at least one scenario"},
		{"ownership: assigned", "ownership: assigned\nowner: me", "p.programme.yaml:8:1: "},
		{"methodology: BIKE", "methodology: BIKE, method: BIKE", "p.programme.yaml:12:"},
	} {
		text := strings.Replace(city, tt.old, tt.new, 1)
		if text == city {
			t.Fatalf("%q does not stand in the document", tt.old)
		}
		if _, err := ParseProgramme("p.programme.yaml", []byte(text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s → %s: error %v, want %q", tt.old, tt.new, err, tt.want)
		}
	}
}

func TestOpen(t *testing.T) {
	p, err := ParseProgramme("city.programme.yaml", []byte(city))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]bool{
		"2025-12-31T15:59:59.999999Z": false, "2025-12-31T16:00:00Z": true, "2026-12-31T15:59:59.999999Z": true, "2026-12-31T16:00:00Z": false,
	} {
		if got := p.Open(micros(t, at)); got != want {
			t.Errorf("Open(%s) = %v, want %v", at, got, want)
		}
	}
	if p.From, p.To = (time.Time{}), (time.Time{}); !p.Open(0) {
		t.Error("a programme without open is closed")
	}
	if got := p.Day(micros(t, "2026-08-21T16:00:00Z")); got != "2026-08-22" {
		t.Errorf("Day = %s, want that of Shanghai", got)
	}
}

func micros(t *testing.T, s string) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at.UnixMicro()
}

func TestPointsFor(t *testing.T) {
	for _, tt := range []struct {
		per  string
		mg   int64
		want int64
	}{
		{"10000", 195930, 19593}, {"10000", 9, 0}, {"10000", 10, 1}, {"10000", 19, 1}, {"10000", 0, 0}, {"10000", -195930, 0},
		{"1", 1e13, 1e16}, {"3", 1, 333}, {"1.5", 1, 666}} {
		per, err := quantity.ParseRat(tt.per)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&Points{Per: per}).For(tt.mg); got != tt.want {
			t.Errorf("%d mg at %s mg a point = %d thousandths, want %d", tt.mg, tt.per, got, tt.want)
		}
	}
}

func TestExpiry(t *testing.T) {
	for _, tt := range []struct{ expires, at, want string }{
		{"end-of-year", "2026-08-21T00:00:00Z", "2026-12"},
		{"end-of-year", "2026-12-31T16:00:00Z", "2027-12"}, // 2027 in Shanghai
		{"end-of-next-year", "2026-12-31T15:59:59Z", "2027-12"},
		{"end-of-next-year", "2026-12-31T16:00:00Z", "2028-12"},
		{"1 months", "2026-01-31T00:00:00Z", "2026-02"}, // February has no 31st, and still is the next month
		{"12 months", "2026-08-21T00:00:00Z", "2027-08"},
		{"5 months", "2026-08-31T00:00:00Z", "2027-01"},
		{"12 months", "2026-07-31T16:00:00Z", "2027-08"},
	} {
		text := strings.Replace(city, "end-of-next-year", tt.expires, 1)
		p, err := ParseProgramme("p.programme.yaml", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Points.Expiry(micros(t, tt.at)); got != tt.want {
			t.Errorf("points of %s that expire %s: %s, want %s", tt.at, tt.expires, got, tt.want)
		}
	}
}

// version is a methodology with only what choosing one looks at.
func version(t *testing.T, id string, n int, from, to string, change ...func(*methodology.Methodology)) *methodology.Methodology {
	t.Helper()
	text := fmt.Sprintf(`id: %s
version: %d
title: a methodology
domain: travel
activity: bike
kind: reduction
use: points
region: CN
timezone: Asia/Shanghai
valid: {from: %s%s}
sources: [{id: s, title: a source}]
inputs: {distance: {unit: km}}
parameters: {credit: {value: 1, unit: gCO2e/km, source: s, seen: true}}
reduction: distance * credit
evidence: {system: {weight: 1}}
`, id, n, from, to)
	m, err := methodology.Parse(id+".methodology.yaml", []byte(text), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(m)
	}
	return m
}

// The latest from that is not after the start wins, and where that version has ended there is none.
func TestMethod(t *testing.T) {
	b := New(1, nil, []*methodology.Methodology{
		version(t, "M", 1, "2020-01-01", ""),
		version(t, "M", 2, "2022-01-01", ", to: 2023-01-01"),
		version(t, "M", 4, "2025-01-01", ""),
		version(t, "M", 3, "2024-01-01", ""),
		version(t, "M", 5, "2025-01-01", ""),
		version(t, "N", 1, "2021-01-01", ""),
	}, nil)
	for _, tt := range []struct{ at, want, next string }{
		{"2019-12-31T15:59:59.999999Z", "", "2020-01-01T00:00:00+08:00"},
		{"2019-12-31T16:00:00Z", "M@1", "2022-01-01T00:00:00+08:00"},
		{"2021-12-31T15:59:59Z", "M@1", "2022-01-01T00:00:00+08:00"},
		{"2021-12-31T16:00:00Z", "M@2", "2024-01-01T00:00:00+08:00"},
		{"2022-12-31T16:00:00Z", "", "2024-01-01T00:00:00+08:00"}, // the first version does not come back
		{"2024-06-01T00:00:00Z", "M@3", "2025-01-01T00:00:00+08:00"},
		{"2026-06-01T00:00:00Z", "M@5", ""},
	} {
		name := ""
		if m := b.Method("M", micros(t, tt.at)); m != nil {
			name = m.Name()
		}
		if next := b.Next("M", micros(t, tt.at)); name != tt.want || next != tt.next {
			t.Errorf("at %s: %q and next %q, want %q and %q", tt.at, name, next, tt.want, tt.next)
		}
	}
	if b.Method("X", 0) != nil || b.Next("X", 0) != "" {
		t.Error("a methodology that is not there was found")
	}
	var names []string
	for _, m := range b.Methods() {
		names = append(names, m.Name())
	}
	if got, want := fmt.Sprint(names), "[M@1 M@2 M@3 M@4 M@5 N@1]"; got != want {
		t.Errorf("Methods = %s, want %s", got, want)
	}
	if v := b.Versions("M"); len(v) != 5 || v[0].Version != 5 {
		t.Errorf("Versions = %v", v)
	}
}

func TestCheck(t *testing.T) {
	member := strings.Replace(city, "ownership: assigned", "ownership: member", 1)
	for _, tt := range []struct {
		what, programme string
		method          *methodology.Methodology
		want            string
	}{
		{"all well", city, version(t, "BIKE", 1, "2020-01-01", ""), ""},
		{"another name", city, version(t, "BIKES", 1, "2020-01-01", ""), "there is no methodology BIKE"},
		{"another zone", strings.Replace(city, "Asia/Shanghai", "Asia/Seoul", 1), version(t, "BIKE", 1, "2020-01-01", ""), "they must be the same"},
		{"a net series whose title passes", city, version(t, "BIKE", 1, "2020-01-01", "", func(m *methodology.Methodology) { m.NetYear = true }), "ownership: member"},
		{"a net series that stays", member, version(t, "BIKE", 1, "2020-01-01", "", func(m *methodology.Methodology) { m.NetYear = true }), ""},
		{"another region", city, version(t, "BIKE", 1, "2020-01-01", "", func(m *methodology.Methodology) { m.Region = "CN-43" }), "CN-43"},
		{"a part of the region", city, version(t, "BIKE", 1, "2020-01-01", "", func(m *methodology.Methodology) { m.Region = "CN-420100" }), ""},
	} {
		p, err := ParseProgramme("city.programme.yaml", []byte(tt.programme))
		if err != nil {
			t.Fatal(err)
		}
		err = New(1, nil, []*methodology.Methodology{tt.method}, []*Programme{p}).Check()
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: error %v, want %q", tt.what, err, tt.want)
		}
	}
}
