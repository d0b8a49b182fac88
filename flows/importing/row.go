package importing

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/tanpu/tanpu/rules/claim"
)

// A reader turns rows into claims: a map, for one partner, in one programme's zone.
type reader struct {
	*Map
	partner string
	local   *time.Location // of times without offset
	zone    *time.Location // of months and days
}

func newReader(m *Map, partner string, zone *time.Location) reader {
	r := reader{Map: m, partner: partner, local: zone, zone: zone}
	if m.zone != nil {
		r.local = m.zone
	}
	return r
}

// wanted reports whether the row is one of those that only lets through.
func (r *reader) wanted(row []string) bool {
	for _, f := range r.only {
		if !f.values[row[f.slot]] {
			return false
		}
	}
	return true
}

// claim reads a row: the partner's id of the member, and the claim but for its sub. It holds what a claim
// may hold over HTTP.
func (r *reader) claim(row []string) (member string, c claim.Claim, wrong *RowError) {
	t := texts{row: row}
	c = claim.Claim{
		Partner:  r.partner,
		ID:       t.need("id", r.id, claim.MaxID),
		Scenario: r.scenario,
		Evidence: t.fill("evidence", r.evidence, claim.MaxName),
		Region:   t.fill("region", r.region, claim.MaxName),
		Act:      t.fill("act", r.act, claim.MaxID),
		Object:   t.fill("object", r.object, claim.MaxID),
	}
	member = t.need("member", r.member, claim.MaxID)
	if t.err != nil {
		return "", c, t.err
	}
	if c.Start, c.End, wrong = r.times(row); wrong != nil {
		return "", c, wrong
	}
	c.Quantities = make([]claim.Quantity, len(r.quantities))
	for i, q := range r.quantities {
		text, ok := claim.Canonical(q.text.fill(row))
		if !ok {
			return "", c, &RowError{Name: q.name, Text: fmt.Sprintf("%q is not a number", text)}
		}
		c.Quantities[i] = claim.Quantity{Name: q.name, Text: text}
	}
	return member, c, nil
}

// texts fills templates until the first that cannot be.
type texts struct {
	row []string
	err *RowError
}

func (t *texts) need(key string, tp template, most int) string {
	s := t.fill(key, tp, most)
	if s == "" && t.err == nil {
		t.err = &RowError{Name: key, Text: "empty"}
	}
	return s
}

func (t *texts) fill(key string, tp template, most int) string {
	if t.err != nil {
		return ""
	}
	s := tp.fill(t.row)
	switch {
	case len(s) > most:
		t.err = &RowError{Name: key, Text: fmt.Sprintf("longer than %d bytes", most)}
	case strings.ContainsFunc(s, control):
		t.err = &RowError{Name: key, Text: fmt.Sprintf("%q holds a control character", clip(s))}
	default:
		return s
	}
	return ""
}

// control reports what CloudEvents forbids in a text: control characters and noncharacters.
func control(r rune) bool {
	return unicode.IsControl(r) || r&0xfffe == 0xfffe || 0xfdd0 <= r && r <= 0xfdef
}

// times returns a claim's start and end, moved by the map's shift.
func (r *reader) times(row []string) (start, end claim.Micros, wrong *RowError) {
	switch r.span {
	case wholeMonth:
		y, m, _, err := parseDate(r.start.fill(row), false)
		if err != nil {
			return 0, 0, &RowError{Name: "month", Text: err.Error()}
		}
		return r.midnight(y, m, 1), r.midnight(y, m+1, 1), nil
	case wholeDay:
		y, m, d, err := parseDate(r.start.fill(row), true)
		if err != nil {
			return 0, 0, &RowError{Name: "day", Text: err.Error()}
		}
		return r.midnight(y, m, d+r.days), r.midnight(y, m, d+r.days+1), nil
	}
	if start, wrong = r.instant("start", r.start.fill(row)); wrong != nil {
		return 0, 0, wrong
	}
	end, wrong = r.instant("end", r.end.fill(row))
	return start, end, wrong
}

// midnight is where the local day begins, as the methodology's own calendar has it.
func (r *reader) midnight(y, m, d int) claim.Micros {
	return time.Date(y, time.Month(m), d, 0, 0, 0, 0, r.zone).UnixMicro()
}

func (r *reader) instant(key, text string) (claim.Micros, *RowError) {
	t, err := parseInstant(text, r.local)
	if err != nil {
		return 0, &RowError{Name: key, Text: err.Error()}
	}
	t += int64(r.days) * 86_400_000_000
	if t < firstInstant || t > lastInstant {
		return 0, &RowError{Name: key, Text: fmt.Sprintf("%q is moved out of the calendar", clip(text))}
	}
	return t, nil
}

// The years 1 to 9999, which RFC 3339 can write.
const (
	firstInstant claim.Micros = -62_135_596_800_000_000
	lastInstant  claim.Micros = 253_402_300_799_999_999
)

// parseDate reads 2014-01-05, or the month 2014-01; a leading zero may be missing.
func parseDate(s string, day bool) (y, m, d int, err error) {
	f := strings.Split(s, "-")
	want := "a month such as 2024-09"
	parts := 2
	if day {
		want, parts = "a day such as 2024-09-02", 3
	}
	bad := fmt.Errorf("%q is not %s", clip(s), want)
	if len(f) != parts || len(f[0]) != 4 {
		return 0, 0, 0, bad
	}
	n := [3]int{2: 1}
	for i, text := range f {
		v, ok := digits(text)
		if !ok || i > 0 && len(text) > 2 {
			return 0, 0, 0, bad
		}
		n[i] = v
	}
	if !calendar(n[0], n[1], n[2]) {
		return 0, 0, 0, bad
	}
	return n[0], n[1], n[2], nil
}

// calendar reports whether there is such a day.
func calendar(y, m, d int) bool {
	return y >= 1 && y <= 9999 && m >= 1 && m <= 12 && d >= 1 && d <= 31 &&
		time.Date(y, time.Month(m), d, 0, 0, 0, 0, time.UTC).Day() == d
}

// digits reads an unsigned number of at most nine digits.
func digits(s string) (int, bool) {
	if s == "" || len(s) > 9 {
		return 0, false
	}
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int(s[i]-'0')
	}
	return n, true
}

// parseInstant reads RFC 3339, to the microsecond; a space for the T, no seconds, and no offset, which
// makes it a local time, are taken too.
func parseInstant(s string, local *time.Location) (claim.Micros, error) {
	bad := func() (claim.Micros, error) {
		return 0, fmt.Errorf("%q is not a time such as 2024-09-02T08:00:00+08:00", clip(s))
	}
	if len(s) < len("2006-01-02T15:04") || len(s) > 64 || s[4] != '-' || s[7] != '-' || s[13] != ':' ||
		s[10] != 'T' && s[10] != 't' && s[10] != ' ' {
		return bad()
	}
	var n [5]int
	for i, text := range []string{s[:4], s[5:7], s[8:10], s[11:13], s[14:16]} {
		v, ok := digits(text)
		if !ok {
			return bad()
		}
		n[i] = v
	}
	sec, nanos, rest, ok := parseSeconds(s[16:])
	if !ok || !calendar(n[0], n[1], n[2]) || n[3] > 23 || n[4] > 59 || sec > 59 {
		return bad()
	}
	if nanos%1000 != 0 {
		return 0, fmt.Errorf("%q is finer than a microsecond", clip(s))
	}
	offset, given, ok := parseOffset(rest)
	if !ok {
		return bad()
	}
	if given {
		t := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], sec, nanos, time.UTC)
		return t.UnixMicro() - int64(offset)*1_000_000, nil
	}
	t := time.Date(n[0], time.Month(n[1]), n[2], n[3], n[4], sec, nanos, local)
	if t.Hour() != n[3] || t.Minute() != n[4] {
		return 0, fmt.Errorf("%q did not occur in %s: the clocks went forward", clip(s), local)
	}
	return t.UnixMicro(), nil
}

// parseSeconds reads ":05.25", or nothing.
func parseSeconds(s string) (sec, nanos int, rest string, ok bool) {
	if s == "" || s[0] != ':' {
		return 0, 0, s, true
	}
	if len(s) < 3 {
		return 0, 0, s, false
	}
	if sec, ok = digits(s[1:3]); !ok {
		return 0, 0, s, false
	}
	s = s[3:]
	if s == "" || s[0] != '.' {
		return sec, 0, s, true
	}
	length := len(s) - 1 - len(strings.TrimLeft(s[1:], "0123456789"))
	if length == 0 || length > 9 {
		return 0, 0, s, false
	}
	nanos, _ = strconv.Atoi((s[1:1+length] + "000000000")[:9])
	return sec, nanos, s[1+length:], true
}

// parseOffset reads Z, UTC or +08:00 as seconds, or nothing.
func parseOffset(s string) (seconds int, given, ok bool) {
	switch s = strings.TrimPrefix(s, " "); s {
	case "":
		return 0, false, true
	case "Z", "z", "UTC":
		return 0, true, true
	}
	clock := strings.Replace(s[1:], ":", "", 1)
	hhmm, ok := digits(clock)
	if !ok || len(clock) != 4 && len(clock) != 2 || len(s) > 6 || s[0] != '+' && s[0] != '-' {
		return 0, true, false
	}
	if len(clock) == 2 {
		hhmm *= 100
	}
	if hhmm/100 > 23 || hhmm%100 > 59 {
		return 0, true, false
	}
	seconds = hhmm/100*3600 + hhmm%100*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true, true
}
