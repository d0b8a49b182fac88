package importing

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

const tripsMap = `scenario: shared-bike
shift: 338w
only: {class: [A, B]}
id: "{route}"
member: "{user}"
start: "{begun}"
end: "{ended}"
zone: America/New_York
evidence: system
region: "{area}"
quantities:
  distance: "{track_m} m"
  bikes: "1"
`

func TestParseMap(t *testing.T) {
	m, err := ParseMap("trips.map.yaml", []byte(tripsMap))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"class", "route", "user", "begun", "ended", "track_m", "area"}
	for _, name := range want {
		if !strings.Contains(strings.Join(m.columns, " "), name) {
			t.Errorf("columns = %v, want %s among them", m.columns, name)
		}
	}
	if m.days != 338*7 || m.scenario != "shared-bike" || m.zone.String() != "America/New_York" || m.span != startEnd {
		t.Errorf("ParseMap = %+v", m)
	}
	if m.quantities[0].name != "bikes" || m.quantities[1].name != "distance" {
		t.Errorf("quantities = %v, want them in order of name", m.quantities)
	}
}

func TestParseMapErrors(t *testing.T) {
	base := map[string]string{
		"scenario": "x", "id": `"{a}"`, "member": `"{b}"`, "start": `"{s}"`, "end": `"{e}"`, "evidence": "system",
	}
	order := []string{"scenario", "id", "member", "start", "end", "evidence"}
	tests := []struct {
		name    string
		replace map[string]string // a key's value; "" leaves the key out
		more    string            // further lines
		want    string
	}{
		{"unknown key", nil, "quantites: {}", `m:7:1: unknown key "quantites"; did you mean "quantities"?`},
		{"missing key", map[string]string{"member": ""}, "", `m:1:1: "member:" is missing`},
		{"no time", map[string]string{"start": "", "end": ""}, "", `m:1:1: "start:" is missing`},
		{"start without end", map[string]string{"end": ""}, "", `m:1:1: "end:" is missing`},
		{"end without start", map[string]string{"start": ""}, "", `m:1:1: "start:" is missing`},
		{"month and start", nil, `month: "{m}"`, `m:4:8: a month takes the place of this`},
		{"month and day", map[string]string{"start": "", "end": ""}, "month: \"{m}\"\nday: \"{d}\"", `m:6:6: a month takes the place of this`},
		{"shifted month", map[string]string{"start": "", "end": ""}, "month: \"{m}\"\nshift: 1w", `m:6:8: a whole month cannot be moved`},
		{"zone of a day", map[string]string{"start": "", "end": ""}, "day: \"{m}\"\nzone: Asia/Seoul", `m:6:7: a day takes the place of this`},
		{"unclosed brace", map[string]string{"id": `"trip {a"`}, "", `m:2:11: a { has no }`},
		{"stray brace", map[string]string{"id": `"{a} }"`}, "", `m:2:10: a } has no {`},
		{"nested brace", map[string]string{"id": `"{a{b}"`}, "", `m:2:8: a column's name holds no brace`},
		{"empty name", map[string]string{"id": `"{}"`}, "", `m:2:6: braces hold the name of a column`},
		{"same id", map[string]string{"id": "trip"}, "", `m:2:5: this id is the same for every row`},
		{"bad shift", nil, "shift: 3 weeks", `m:7:8: a shift is whole weeks or days`},
		{"large shift", nil, "shift: 100000d", `m:7:8: a shift is at most 99999`},
		{"bad zone", nil, "zone: Local", `m:7:7: "Local" is not a time zone`},
		{"only without list", nil, "only: {a: x}", `m:7:11: a list goes here`},
		{"only of nothing", nil, "only: {a: []}", `m:7:11: 1 to 10000 values go here`},
		{"scenario with column", map[string]string{"scenario": `"{a}"`}, "", `m:1:11: this is the same for every row`},
		{"null", map[string]string{"member": "~"}, "", `m:3:9: `},
		{"list", map[string]string{"member": "[a]"}, "", `m:3:9: `},
		{"twice", nil, "id: \"{x}\"", `m:7:1: "id" is here a second time`},
		{"anchor", map[string]string{"member": `&a "{b}"`}, "", `m:3:9: &a: an anchor`},
		{"too many quantities", nil, "quantities: {a: 1, b: 1, c: 1, d: 1, e: 1, f: 1, g: 1, h: 1, i: 1, j: 1, k: 1, l: 1, m: 1, n: 1, o: 1, p: 1, q: 1}",
			`m:7:110: a claim has at most 16 quantities`},
		{"not YAML", nil, "{", `m:7:1: `},
		{"empty", map[string]string{"scenario": "", "id": "", "member": "", "start": "", "end": "", "evidence": ""}, "", `m:1:1: this file is empty`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var text strings.Builder
			for _, key := range order {
				value, ok := test.replace[key]
				if !ok {
					value = base[key]
				}
				if value != "" {
					text.WriteString(key + ": " + value + "\n")
				}
			}
			text.WriteString(test.more)
			_, err := ParseMap("m", []byte(text.String()))
			if err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("ParseMap(\n%s\n) = %v, want %s…", text.String(), err, test.want)
			}
		})
	}
}

// All that is wrong is said at once, in the order of the file.
func TestParseMapSaysEverything(t *testing.T) {
	_, err := ParseMap("m", []byte("scenario: x\nid: \"{\"\nmember: \"}\"\nmonth: \"{m}\"\nfoo: 1\n"))
	if got := strings.Count(err.Error(), "\n") + 1; got != 4 {
		t.Errorf("%d errors, want 4:\n%v", got, err)
	}
}

func TestBindSaysWhichColumnIsMissing(t *testing.T) {
	m, err := ParseMap("trips.map.yaml", []byte(tripsMap))
	if err != nil {
		t.Fatal(err)
	}
	_, err = m.bind("trips.csv", []string{"class", "route", "user", "begun", "area", "area", "track_km", "x"})
	want := `trips.map.yaml:7:6: trips.csv has no column "ended"; it has class, route, user, begun, area, area, track_km, x
trips.map.yaml:10:9: trips.csv has more than one column "area"
trips.map.yaml:12:13: trips.csv has no column "track_m"; did you mean "track_km"?`
	if err == nil || sorted(err.Error()) != sorted(want) {
		t.Errorf("bind = %v, want\n%s", err, want)
	}
	places, err := m.bind("trips.csv", []string{"area", "class", "ended", "begun", "user", "route", "track_m"})
	if err != nil || len(places) != len(m.columns) {
		t.Errorf("bind = %v, %v", places, err)
	}
}

func TestTemplates(t *testing.T) {
	tests := []struct{ text, want string }{
		{"plain", "plain"},
		{"{a}", "1"},
		{"{a}-{b}", "1-2"},
		{"{a}{b}{a}", "121"},
		{"x{{{a}}}y", "x{1}y"},
		{"{{a}}", "{a}"},
		{"{a } {b}", "3 2"}, // a name is taken as it stands
	}
	row := []string{"1", "2", "3"}
	for _, test := range tests {
		tp, _, err := parseTemplate(test.text, func(name string) int {
			return map[string]int{"a": 0, "b": 1, "a ": 2}[name]
		})
		if got := tp.fill(row); err != nil || got != test.want {
			t.Errorf("template %q filled = %q, %v, want %q", test.text, got, err, test.want)
		}
	}
}

// The example maps must work as they stand.
func TestExampleMaps(t *testing.T) {
	files, _ := filepath.Glob("../../../shared/examples/*.map.yaml")
	if len(files) == 0 {
		t.Skip("the example documents are not here")
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseMap(file, text); err != nil {
			t.Error(err)
		}
	}
}

func FuzzParseMap(f *testing.F) {
	f.Add([]byte(tripsMap))
	f.Add([]byte("scenario: x\nid: \"{a}\"\nmember: \"{b}\"\nmonth: \"{y}-{m}\"\nevidence: s\nonly: {a: [1, x]}\nobject: \"{{\"\n"))
	f.Add([]byte("a: &a [*a, *a]\n"))
	f.Add([]byte("id: \"{\"\nid: |\n  {a}\n  }\n---\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseMap("m", text)
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "m:") {
					t.Errorf("error without a place: %q", line)
				}
			}
			return
		}
		// What is accepted works on a row: it gives a claim or says why not, and gives the same again.
		row := make([]string, len(m.columns))
		for i := range row {
			row[i] = "2024-09-02"
		}
		r := newReader(m, "partner", newYork(t))
		member, c, wrong := r.claim(row)
		again, c2, wrong2 := r.claim(row)
		if member != again || !reflect.DeepEqual(c, c2) || !reflect.DeepEqual(wrong, wrong2) {
			t.Errorf("reading a row twice gave %v and %v", c, c2)
		}
	})
}
