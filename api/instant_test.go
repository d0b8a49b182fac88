package api

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestParseInstant(t *testing.T) {
	good := []string{
		"1970-01-01T00:00:00Z", "2026-08-21T08:15:03+08:00", "2024-02-29T23:59:59.999999Z", "2026-08-21t08:15:03z",
		"0000-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "2000-03-01T00:00:00.5-00:00", "2100-02-28T00:00:00.123000000Z",
	}
	for _, s := range good {
		want, err := time.Parse(time.RFC3339, upper(s))
		if err != nil {
			t.Fatal(err)
		}
		at, exact, ok := parseInstant([]byte(s))
		if !ok || !exact || at != want.UnixMicro() {
			t.Errorf("parseInstant(%q) = %d, %v, %v; want %d", s, at, exact, ok, want.UnixMicro())
		}
	}
	bad := []string{
		"", "lunchtime", "2018-04-05", "2018-04-05T18:31Z", "2018-04-05T18:31:00X", "2018-04-05T18:31:00", "2018-04-05 18:31:00Z",
		"2018-04-05T18:31:00+25:00", "2018-04-05T18:31:00+xx:00", "2018-04-05T18:31:00+05", "2018-04-05T18:31:00+05:60",
		"2023-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2018-13-01T00:00:00Z", "2018-00-01T00:00:00Z", "2018-04-31T00:00:00Z",
		"2018-04-05T24:00:00Z", "2018-04-05T18:60:00Z", "2018-04-05T18:31:60Z", "2018-04-05T18:31:00.Z", "2018-04-05T18:31:00,5Z",
		"2018-04-05T18:31:00.5", "2018-04-05T18:31:00ZZ", "-018-04-05T18:31:00Z", "12018-04-05T18:31:00Z", "2018-04-05T18:31:00+5:00",
	}
	for _, s := range bad {
		if at, _, ok := parseInstant([]byte(s)); ok {
			t.Errorf("parseInstant(%q) = %d, want an error", s, at)
		}
	}
	if at, exact, ok := parseInstant([]byte("1970-01-01T00:00:00.1234567Z")); at != 123456 || exact || !ok {
		t.Errorf("a fraction finer than we keep: got %d, %v, %v; want it cut off and said so", at, exact, ok)
	}
}

func TestInstantRoundTrip(t *testing.T) {
	first := time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC).UnixMicro()
	last := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC).UnixMicro()
	for range 10_000 {
		at := first + rand.Int64N(last-first)
		text := instantText(at)
		if got, exact, ok := parseInstant([]byte(text)); got != at || !exact || !ok {
			t.Fatalf("parseInstant(%q) = %d, %v, %v; want %d", text, got, exact, ok, at)
		}
	}
}

func upper(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c == 't' || c == 'z' {
			b[i] = c - 32
		}
	}
	return string(b)
}
