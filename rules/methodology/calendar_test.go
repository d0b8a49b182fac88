package methodology

import (
	"fmt"
	"testing"
	"time"
	_ "time/tzdata" // the tests need zones wherever they run

	"pgregory.net/rapid"
)

// The calendar tells what time.Time tells, in zones with and without summer time, and beyond its end.
func TestCalendar(t *testing.T) {
	for _, name := range []string{"Asia/Shanghai", "Asia/Seoul", "Europe/Berlin", "America/St_Johns", "America/Sao_Paulo", "Pacific/Apia", "UTC"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		from := time.Date(2009, 1, 1, 0, 0, 0, 0, zone)
		m := &Methodology{Zone: zone, From: from, calendar: newCalendar(zone, from)}
		rapid.Check(t, func(t *rapid.T) {
			us := rapid.OneOf(
				rapid.Int64Range(from.UnixMicro()-10*366*dayLen, from.AddDate(80, 0, 0).UnixMicro()),
				rapid.Map(rapid.IntRange(0, 30000), func(day int) int64 { return from.AddDate(0, 0, day).UnixMicro() - 1 }),
			).Draw(t, "us")
			local := time.UnixMicro(us).In(zone)
			got := fmt.Sprint(m.LocalDay(us), m.LocalMonth(us), m.LocalYear(us))
			if want := fmt.Sprint(local.Format("2006-01-02"), local.Format("2006-01"), local.Format("2006")); got != want {
				t.Fatalf("%s: %v is %s, want %s", name, local, got, want)
			}
		})
	}
}

func TestWholePeriod(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	m := &Methodology{Zone: berlin, calendar: newCalendar(berlin, time.Date(2024, 1, 1, 0, 0, 0, 0, berlin))}
	at := func(s string) int64 {
		v, err := time.ParseInLocation("2006-01-02 15:04", s, berlin)
		if err != nil {
			t.Fatal(err)
		}
		return v.UnixMicro()
	}
	for _, tt := range []struct {
		period, start, end string
		want               bool
	}{
		{"day", "2024-08-21 00:00", "2024-08-22 00:00", true},
		{"day", "2024-03-31 00:00", "2024-04-01 00:00", true}, // 23 hours
		{"day", "2024-10-27 00:00", "2024-10-28 00:00", true}, // 25 hours
		{"day", "2024-08-21 00:00", "2024-08-21 23:59", false},
		{"day", "2024-08-21 01:00", "2024-08-22 01:00", false},
		{"day", "2024-08-21 00:00", "2024-08-23 00:00", false},
		{"month", "2024-02-01 00:00", "2024-03-01 00:00", true},
		{"month", "2023-12-01 00:00", "2024-01-01 00:00", true},
		{"month", "2024-02-02 00:00", "2024-03-02 00:00", false},
		{"month", "2024-02-01 00:00", "2024-02-02 00:00", false},
		{"month", "2024-01-01 00:00", "2024-03-01 00:00", false},
	} {
		if got := m.WholePeriod(tt.period, at(tt.start), at(tt.end)); got != tt.want {
			t.Errorf("WholePeriod(%s, %s, %s) = %v", tt.period, tt.start, tt.end, got)
		}
	}
	if m.WholePeriod("day", 1<<62, -1<<63) || m.LocalDay(1<<63-1) == "" {
		t.Error("a day far away")
	}
}
