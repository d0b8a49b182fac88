package importing

import (
	"errors"
	"strings"
)

// A template is text with columns in it: "{year}-{month}". Its parts alternate as they come.
type template []part

// A part is a text as it stands, or the value at a place of the row.
type part struct {
	text string
	slot int // −1 for a text
}

var (
	errUnclosed = errors.New("a { has no }; a brace that is meant as such is written twice")
	errStray    = errors.New("a } has no {; a brace that is meant as such is written twice")
	errNoName   = errors.New("braces hold the name of a column, and these are empty")
	errNested   = errors.New("a column's name holds no brace")
)

// parseTemplate reads a template. It asks column for the place of each name. An error comes with its byte.
func parseTemplate(s string, column func(name string) int) (t template, offset int, err error) {
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			t = append(t, part{text.String(), -1})
			text.Reset()
		}
	}
	for i := 0; i < len(s); i++ {
		doubled := i+1 < len(s) && s[i+1] == s[i]
		switch {
		case s[i] != '{' && s[i] != '}':
			text.WriteByte(s[i])
		case doubled:
			text.WriteByte(s[i])
			i++
		case s[i] == '}':
			return nil, i, errStray
		default:
			length := strings.IndexAny(s[i+1:], "{}")
			switch {
			case length < 0:
				return nil, i, errUnclosed
			case s[i+1+length] == '{':
				return nil, i + 1 + length, errNested
			case length == 0:
				return nil, i, errNoName
			}
			flush()
			t = append(t, part{slot: column(s[i+1 : i+1+length])})
			i += 1 + length
		}
	}
	flush()
	return t, 0, nil
}

// varies reports whether the template names a column.
func (t template) varies() bool {
	for _, p := range t {
		if p.slot >= 0 {
			return true
		}
	}
	return false
}

// fill puts a row's values in. A template that is only one column or one text costs nothing.
func (t template) fill(row []string) string {
	if len(t) == 1 {
		return t[0].value(row)
	}
	var b strings.Builder
	for _, p := range t {
		b.WriteString(p.value(row))
	}
	return b.String()
}

func (p part) value(row []string) string {
	if p.slot < 0 {
		return p.text
	}
	return row[p.slot]
}
