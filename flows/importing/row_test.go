package importing

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
)

func newYork(t testing.TB) *time.Location {
	zone, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Skip(err)
	}
	return zone
}

func sorted(lines string) string {
	all := strings.Split(lines, "\n")
	slices.Sort(all)
	return strings.Join(all, "\n")
}

func TestParseInstant(t *testing.T) {
	tests := []struct{ text, want string }{ // want in RFC 3339, UTC; "" for an error
		{"2018-11-12T01:46:22Z", "2018-11-12T01:46:22Z"},
		{"2018-11-12t01:46:22z", "2018-11-12T01:46:22Z"},
		{"2018-11-12T01:46:22+08:00", "2018-11-11T17:46:22Z"},
		{"2018-11-12 01:46:22-0330", "2018-11-12T05:16:22Z"},
		{"2018-11-12 01:46:22+02", "2018-11-11T23:46:22Z"},
		{"2018-11-12 01:46:22 UTC", "2018-11-12T01:46:22Z"},
		{"2018-11-12T01:46:22.123456Z", "2018-11-12T01:46:22.123456Z"},
		{"2018-11-12T01:46:22.123456000Z", "2018-11-12T01:46:22.123456Z"},
		{"2018-11-12T01:46:22.5", "2018-11-12T06:46:22.5Z"}, // New York
		{"2018-07-12 01:46", "2018-07-12T05:46:00Z"},
		{"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
		{"2018-11-12T01:46:22.1234567Z", ""}, // finer than a microsecond
		{"2018-03-11 02:30:00", ""},          // the clocks went forward over it
		{"2018-02-29T00:00:00Z", ""},
		{"2018-11-12T24:00:00Z", ""},
		{"2018-11-12T23:59:60Z", ""},
		{"2018-11-12T01:60:00Z", ""},
		{"2018-13-12T01:00:00Z", ""},
		{"0000-01-01T00:00:00Z", ""},
		{"2018-11-12", ""},
		{"2018-11-12T01:46:2Z", ""},
		{"2018-11-12T01:46:22.Z", ""},
		{"2018-11-12T01:46:22+8:00", ""},
		{"2018-11-12T01:46:22+24:00", ""},
		{"2018-11-12T01:46:22 CET", ""},
		{"2018-11-12x01:46:22Z", ""},
		{"+018-11-12T01:46:22Z", ""},
		{"2018-11-12T01:46:22Zx", ""},
		{"2018-11-12T01:46:22+", ""},
		{"2018-11-12T01:46:", ""},
		{"１２３４-11-12T01:46:22Z", ""},
		{"", ""},
	}
	for _, test := range tests {
		got, err := parseInstant(test.text, newYork(t))
		text := ""
		if err == nil {
			text = time.UnixMicro(got).UTC().Format(time.RFC3339Nano)
		}
		if text != test.want {
			t.Errorf("parseInstant(%q) = %q, %v, want %q", test.text, text, err, test.want)
		}
	}
}

// What RFC 3339 calls a time, and time.Parse reads, has the same value here.
func FuzzParseInstant(f *testing.F) {
	f.Add("2018-11-12T01:46:22Z")
	f.Add("2018-11-12T01:46:22.123456+08:00")
	f.Add("2018-11-12 01:46")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseInstant(text, time.UTC)
		want, werr := time.Parse(time.RFC3339Nano, text)
		if err == nil && werr == nil && got != want.UnixMicro() {
			t.Errorf("parseInstant(%q) = %d, want %d", text, got, want.UnixMicro())
		}
	})
}

func TestParseDate(t *testing.T) {
	tests := []struct {
		text    string
		day     bool
		y, m, d int
	}{
		{"2014-1", false, 2014, 1, 1},
		{"2014-01", false, 2014, 1, 1},
		{"2014-12", false, 2014, 12, 1},
		{"2014-13", false, 0, 0, 0},
		{"2014-0", false, 0, 0, 0},
		{"2014-001", false, 0, 0, 0},
		{"14-1", false, 0, 0, 0},
		{"2014-1-5", false, 0, 0, 0},
		{"2014-", false, 0, 0, 0},
		{"2014-1.0", false, 0, 0, 0},
		{"2014-1-5", true, 2014, 1, 5},
		{"2016-02-29", true, 2016, 2, 29},
		{"2015-02-29", true, 0, 0, 0},
		{"2014-1", true, 0, 0, 0},
		{"2014--5", true, 0, 0, 0},
		{"-014-1-5", true, 0, 0, 0},
	}
	for _, test := range tests {
		y, m, d, err := parseDate(test.text, test.day)
		if y != test.y || m != test.m || d != test.d || (err == nil) != (test.y > 0) {
			t.Errorf("parseDate(%q, %v) = %d, %d, %d, %v", test.text, test.day, y, m, d, err)
		}
	}
}

func TestRowsBecomeClaims(t *testing.T) {
	const head = "scenario: s\nid: \"{id}/{n}\"\nmember: \"{who}\"\nevidence: \"{grade}\"\n"
	columns := map[string]string{
		"id": "a", "n": "1", "who": "w", "grade": "system", "from": "2024-03-09T12:00:00Z", "to": "2024-03-09T13:00:00Z",
		"local": "2024-03-09 12:00:00", "day": "2024-3-10", "month": "2024-3", "m": "2100", "empty": "", "long": strings.Repeat("x", 300),
		"control": "a\x00b", "text": "about 3", "e": "1e400",
	}
	tests := []struct{ name, more, want string }{
		{"as it is", "start: \"{from}\"\nend: \"{to}\"", "w a/1 s 2024-03-09T12:00:00Z 2024-03-09T13:00:00Z system"},
		{"shifted", "start: \"{from}\"\nend: \"{to}\"\nshift: -1w", "w a/1 s 2024-03-02T12:00:00Z 2024-03-02T13:00:00Z system"},
		{"the programme's local time", "start: \"{local}\"\nend: \"{local}\"", "w a/1 s 2024-03-09T17:00:00Z 2024-03-09T17:00:00Z system"},
		{"the file's local time", "start: \"{local}\"\nend: \"{local}\"\nzone: Asia/Shanghai", "w a/1 s 2024-03-09T04:00:00Z 2024-03-09T04:00:00Z system"},
		{"month over the change of clocks", "month: \"{month}\"", "w a/1 s 2024-03-01T05:00:00Z 2024-04-01T04:00:00Z system"},
		{"day of the change of clocks", "day: \"{day}\"", "w a/1 s 2024-03-10T05:00:00Z 2024-03-11T04:00:00Z system"},
		{"shifted day", "day: \"{day}\"\nshift: 1d", "w a/1 s 2024-03-11T04:00:00Z 2024-03-12T04:00:00Z system"},
		{"quantities", "day: \"{day}\"\nquantities: {z: \"{n}.50\", d: \"{m} m\"}", "w a/1 s 2024-03-10T05:00:00Z 2024-03-11T04:00:00Z system d=2100 m z=1.5"},
		{"optional", "day: \"{day}\"\nregion: \"{empty}\"\nact: \"{who}\"\nobject: \"meter-{n}\"", "w a/1 s 2024-03-10T05:00:00Z 2024-03-11T04:00:00Z system act=w object=meter-1"},
		{"bad time", "start: \"{text}\"\nend: \"{to}\"", `start: "about 3" is not a time such as 2024-09-02T08:00:00+08:00`},
		{"bad month", "month: \"{day}\"", `month: "2024-3-10" is not a month such as 2024-09`},
		{"bad number", "day: \"{day}\"\nquantities: {q: \"{text}\"}", `q: "about 3" is not a number`},
		{"huge number", "day: \"{day}\"\nquantities: {q: \"{e}\"}", `q: "1e400" is not a number`},
		{"no number", "day: \"{day}\"\nquantities: {q: \"{empty} m\"}", `q: "m" is not a number`},
		{"long", "day: \"{day}\"\nact: \"{long}\"", `act: longer than 256 bytes`},
		{"control character", "day: \"{day}\"\nact: \"{control}\"", `act: "a\x00b" holds a control character`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m, err := ParseMap("m", []byte(head+test.more))
			if err != nil {
				t.Fatal(err)
			}
			row := make([]string, len(m.columns))
			for i, name := range m.columns {
				row[i] = columns[name]
			}
			r := newReader(m, "p", newYork(t))
			member, c, wrong := r.claim(row)
			got := member + " " + say(c)
			if wrong != nil {
				got = wrong.Error()
			}
			if got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

func say(c claim.Claim) string {
	at := func(us int64) string { return time.UnixMicro(us).UTC().Format(time.RFC3339Nano) }
	s := strings.Join([]string{c.ID, c.Scenario, at(c.Start), at(c.End), c.Evidence}, " ")
	for _, q := range c.Quantities {
		s += " " + q.Name + "=" + q.Text
	}
	for _, o := range [][2]string{{"region", c.Region}, {"act", c.Act}, {"object", c.Object}} {
		if o[1] != "" {
			s += " " + o[0] + "=" + o[1]
		}
	}
	return s
}
