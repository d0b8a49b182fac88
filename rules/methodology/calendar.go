package methodology

import (
	"math"
	"sort"
	"time"
)

// maxDay is later than any civil day.
const maxDay = math.MaxInt

const (
	second = int64(1e6) // in microseconds, as all instants here
	dayLen = 86400 * second
)

// A calendar tells local days quickly. Asking time.Location for each of a hundred thousand claims a
// second would cost more than computing them, so the offsets are laid out beforehand.
type calendar struct {
	zone  *time.Location
	spans []offset // in order, without gaps
}

// An offset is how far local time is ahead of UTC between two instants.
type offset struct{ from, to, ahead int64 }

// calendarYears is how far beyond its beginning a calendar is laid out; later days are told slowly.
const calendarYears = 60

func newCalendar(zone *time.Location, from time.Time) calendar {
	c := calendar{zone: zone}
	t, last := from.AddDate(-1, 0, 0), from.AddDate(calendarYears, 0, 0)
	for t.Before(last) {
		_, end := t.ZoneBounds()
		if end.IsZero() || end.After(last) {
			end = last
		}
		if !end.After(t) { // so says Go 1.26 of the last day of some leap years, as of 2040 in Berlin
			end = t.Add(time.Hour)
		}
		c.add(t, end)
		t = end
	}
	return c
}

// add lays out the time from one instant to another, in which the offset does not change.
func (c *calendar) add(from, to time.Time) {
	_, seconds := from.Zone()
	ahead := int64(seconds) * second
	if n := len(c.spans); n > 0 && c.spans[n-1].ahead == ahead {
		c.spans[n-1].to = to.UnixMicro()
		return
	}
	c.spans = append(c.spans, offset{from.UnixMicro(), to.UnixMicro(), ahead})
}

// ahead returns the offset in force at an instant.
func (c *calendar) ahead(us int64) int64 {
	i := sort.Search(len(c.spans), func(i int) bool { return us < c.spans[i].to })
	if i < len(c.spans) && c.spans[i].from <= us {
		return c.spans[i].ahead
	}
	_, ahead := time.UnixMicro(us).In(c.zone).Zone()
	return int64(ahead) * second
}

// day returns the local civil day of an instant, counted from 1970-01-01.
func (c *calendar) day(us int64) int {
	return int(floorDiv(us+c.ahead(us), dayLen))
}

// floorDiv divides toward −∞; d must be positive.
func floorDiv(n, d int64) int64 {
	q := n / d
	if n%d < 0 {
		q--
	}
	return q
}

// civilDay returns the civil day on which t, a midnight, begins.
func civilDay(t time.Time) int {
	_, ahead := t.Zone()
	return int(floorDiv(t.Unix()+int64(ahead), 86400))
}

// civil returns the date of a civil day (Howard Hinnant, “chrono-compatible low-level date algorithms”).
func civil(day int) (year, month, dom int) {
	z := day + 719468
	era := z / 146097
	if z < 0 {
		era = (z - 146096) / 146097
	}
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	dom = doy - (153*mp+2)/5 + 1
	month = mp + 3
	if month > 12 {
		month -= 12
	}
	year = yoe + era*400
	if month <= 2 {
		year++
	}
	return year, month, dom
}

// writeDate writes the first n bytes of YYYY-MM-DD.
func writeDate(year, month, dom, n int) string {
	if year < 0 || year > 9999 {
		return "0000-00-00"[:n] // no claim is judged that far away
	}
	b := [10]byte{4: '-', 7: '-'}
	for i := 3; i >= 0; i-- {
		b[i] = byte('0' + year%10)
		year /= 10
	}
	b[5], b[6] = byte('0'+month/10), byte('0'+month%10)
	b[8], b[9] = byte('0'+dom/10), byte('0'+dom%10)
	return string(b[:n])
}

func dayText(day int) string {
	y, m, d := civil(day)
	return writeDate(y, m, d, 10)
}

// LocalDay returns the local day of an instant, "2026-08-21".
func (m *Methodology) LocalDay(us int64) string { return dayText(m.calendar.day(us)) }

// LocalMonth returns the local month of an instant, "2026-08".
func (m *Methodology) LocalMonth(us int64) string { return m.LocalDay(us)[:7] }

// LocalYear returns the local year of an instant, "2026".
func (m *Methodology) LocalYear(us int64) string { return m.LocalDay(us)[:4] }

// WholePeriod reports whether start begins a local day or month and end the next one.
func (m *Methodology) WholePeriod(period string, start, end int64) bool {
	y, mo, d := civil(m.calendar.day(start))
	first := time.Date(y, time.Month(mo), d, 0, 0, 0, 0, m.Zone)
	next := time.Date(y, time.Month(mo), d+1, 0, 0, 0, 0, m.Zone)
	if period == "month" {
		first = time.Date(y, time.Month(mo), 1, 0, 0, 0, 0, m.Zone)
		next = time.Date(y, time.Month(mo)+1, 1, 0, 0, 0, 0, m.Zone)
	}
	return first.UnixMicro() == start && next.UnixMicro() == end
}

// KeepPeriod names the period under which a claim's keep inputs are kept: the group's local day or month.
func (m *Methodology) KeepPeriod(start int64) string {
	if m.group.Period == "month" {
		return m.LocalMonth(start)
	}
	return m.LocalDay(start)
}

// Period returns when an act that begins at t without a length begins and ends: the whole local day or
// month where the group's acts are totals of one.
func (m *Methodology) Period(t time.Time) (start, end int64) {
	if m.group.Kind == Total {
		return period(t.In(m.Zone), m.group.Period, false)
	}
	return t.UnixMicro(), t.UnixMicro()
}
