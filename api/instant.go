package api

import "github.com/tanpu/tanpu/rules/claim"

// parseInstant reads a timestamp of RFC 3339, nothing looser: partners' clocks and libraries differ,
// and a time that was guessed decides whether an act counts. exact is false where a fraction is
// finer than the microseconds that we keep; it is then cut off. (time.Parse is laxer and three times as slow.)
func parseInstant(s []byte) (at claim.Micros, exact, ok bool) {
	// 2026-08-21T08:15:03[.123456](Z|+08:00)
	if len(s) < 20 || s[4] != '-' || s[7] != '-' || s[10]|0x20 != 't' || s[13] != ':' || s[16] != ':' {
		return 0, false, false
	}
	year, ok1 := digits(s[0:4])
	month, ok2 := digits(s[5:7])
	day, ok3 := digits(s[8:10])
	hour, ok4 := digits(s[11:13])
	minute, ok5 := digits(s[14:16])
	second, ok6 := digits(s[17:19])
	if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) ||
		month < 1 || month > 12 || day < 1 || day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, false, false
	}
	fraction, exact, rest, ok := parseFraction(s[19:])
	if !ok {
		return 0, false, false
	}
	offset, ok := parseOffset(rest)
	if !ok {
		return 0, false, false
	}
	seconds := daysSinceEpoch(year, month, day)*86400 + int64(hour*3600+minute*60+second-offset)
	return seconds*1e6 + int64(fraction), exact, true
}

// parseFraction reads ".123456" into microseconds.
func parseFraction(s []byte) (micros int, exact bool, rest []byte, ok bool) {
	if s[0] != '.' {
		return 0, true, s, true
	}
	exact = true
	unit := 100_000
	i := 1
	for ; i < len(s) && '0' <= s[i] && s[i] <= '9'; i++ {
		micros += int(s[i]-'0') * unit
		exact = exact && (unit > 0 || s[i] == '0')
		unit /= 10
	}
	return micros, exact, s[i:], i > 1
}

// parseOffset reads "Z" or "+08:00" into seconds east of UTC.
func parseOffset(s []byte) (seconds int, ok bool) {
	if len(s) == 1 && s[0]|0x20 == 'z' {
		return 0, true
	}
	if len(s) != 6 || s[0] != '+' && s[0] != '-' || s[3] != ':' {
		return 0, false
	}
	hours, ok1 := digits(s[1:3])
	minutes, ok2 := digits(s[4:6])
	if !ok1 || !ok2 || hours > 23 || minutes > 59 {
		return 0, false
	}
	seconds = hours*3600 + minutes*60
	if s[0] == '-' {
		seconds = -seconds
	}
	return seconds, true
}

func digits(s []byte) (n int, ok bool) {
	for _, c := range s {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + int(c-'0')
	}
	return n, true
}

func daysIn(year, month int) int {
	switch month {
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 31
}

// daysSinceEpoch counts in the Gregorian calendar from 1970-01-01: the year begins in March, so that
// the leap day is its last (Howard Hinnant, "chrono-compatible low-level date algorithms").
func daysSinceEpoch(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	year += 400 // keeps what follows positive in the year 0000
	n := 365*year + year/4 - year/100 + year/400 + (153*(month-3)+2)/5 + day - 1
	return int64(n - 719468 - 146097)
}

// instantText writes what parseInstant reads.
func instantText(at claim.Micros) string { return string(claim.AppendInstant(nil, at)) }
