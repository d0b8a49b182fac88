package rulebook

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/rules/methodology"
)

// A draft stands in the place of all versions for its days, and for no other day.
func TestInstead(t *testing.T) {
	b := New(1, nil, []*methodology.Methodology{
		version(t, "M", 1, "2020-01-01", ""),
		version(t, "M", 2, "2022-01-01", ", to: 2023-01-01"),
		version(t, "N", 1, "2021-01-01", ""),
	}, nil)
	draft := version(t, "M", 9, "2030-01-01", "")
	zone := draft.Zone
	day := func(year int, month time.Month) time.Time { return time.Date(year, month, 1, 0, 0, 0, 0, zone) }
	for _, tt := range []struct {
		from, to       time.Time
		at, want, next string
	}{
		{day(2021, 6), day(2022, 6), "2021-05-31T15:59:59Z", "M@1", "2021-06-01T00:00:00+08:00"},
		{day(2021, 6), day(2022, 6), "2021-05-31T16:00:00Z", "M@9", "2022-01-01T00:00:00+08:00"},
		{day(2021, 6), day(2022, 6), "2022-05-31T15:59:59.999999Z", "M@9", "2022-06-01T00:00:00+08:00"},
		{day(2021, 6), day(2022, 6), "2022-05-31T16:00:00Z", "M@2", ""},
		{day(2021, 6), day(2022, 6), "2023-05-31T16:00:00Z", "", ""},
		{day(2019, 6), day(2019, 7), "2019-01-01T00:00:00Z", "", "2019-06-01T00:00:00+08:00"}, // before there was any
		{day(2023, 6), time.Time{}, "2022-12-31T16:00:00Z", "", "2023-06-01T00:00:00+08:00"},
		{day(2023, 6), time.Time{}, "2040-12-31T16:00:00Z", "M@9", ""},
	} {
		with, m, err := b.Instead("draft.yaml", draft.Source, tt.from, tt.to, b)
		if err != nil || m.Name() != "M@9" {
			t.Fatal(m, err)
		}
		got := ""
		if m := with.Method("M", micros(t, tt.at)); m != nil {
			got = m.Name()
		}
		if next := with.Next("M", micros(t, tt.at)); got != tt.want || next != tt.next {
			t.Errorf("%s with a draft from %s to %s: %q, next %q, want %q, %q", tt.at, tt.from, tt.to, got, next, tt.want, tt.next)
		}
		if m := with.Method("N", micros(t, "2026-01-01T00:00:00Z")); m == nil || m.Name() != "N@1" {
			t.Errorf("another methodology is %v", m)
		}
	}
	if b.Method("M", micros(t, "2022-03-01T00:00:00Z")).Name() != "M@2" {
		t.Error("the rulebook itself has the draft")
	}
}

// What a draft names and a rulebook has not yet comes from a later one, and only that.
func TestInsteadOfLater(t *testing.T) {
	early, late := []Document{{1, "groups", "a", []byte("trip: {kind: spans, tolerance: 60s, span: 24h, title: a trip}\n")}}, []Document(nil)
	late = append(late, early...)
	late = append(late, Document{2, "groups", "b", []byte("day: {kind: total, period: day, repeat: refuse, title: a day}\nother: {kind: act, title: an act}\n")})
	first, err := Bind(1, 0, early)
	if err != nil {
		t.Fatal(err)
	}
	last, err := Bind(2, 0, late)
	if err != nil {
		t.Fatal(err)
	}
	draft := version(t, "M", 2, "2020-01-01", "")
	text := append([]byte("group: day\n"), draft.Source...)
	with, m, err := first.Instead("draft.yaml", text, draft.From, draft.To, last)
	if err != nil || m.Group != "day" || with.Group("day") == nil || with.Group("day").Kind != methodology.Total {
		t.Fatalf("the draft's group is %v: %v", with, err)
	}
	if with.Group("other") != nil || first.Group("day") != nil || with.Group("trip") == nil {
		t.Error("another group came with it, or went into the rulebook itself")
	}
	if _, _, err := first.Instead("draft.yaml", text, draft.From, draft.To, first); err == nil || !strings.Contains(err.Error(), "draft.yaml:1:8: ") {
		t.Errorf("a group that there is not: %v", err)
	}
}

// Check holds a draft to what its programmes can run, as it does what is published.
func TestCheckInstead(t *testing.T) {
	p, err := ParseProgramme("p", []byte(strings.Replace(city, "BIKE", "M", 1)))
	if err != nil {
		t.Fatal(err)
	}
	b := New(1, nil, []*methodology.Methodology{version(t, "M", 1, "2020-01-01", "")}, []*Programme{p})
	for text, want := range map[string]string{
		"timezone: Asia/Tokyo": "they must be the same", "region: US": "holds in US", "net: year\ntimezone: Asia/Shanghai": "net: year",
	} {
		old := "timezone: Asia/Shanghai"
		if strings.HasPrefix(text, "region") {
			old = "region: CN"
		}
		draft := strings.Replace(string(b.Versions("M")[0].Source), old, text, 1)
		with, _, err := b.Instead("draft.yaml", []byte(draft), time.Time{}, time.Time{}, b)
		if err == nil {
			err = with.Check()
		}
		if err == nil || !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
	if err := b.Check(); err != nil {
		t.Error(err)
	}
}
