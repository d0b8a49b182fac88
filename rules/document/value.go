package document

import (
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tanpu/tanpu/rules/quantity"
	"go.yaml.in/yaml/v3"
)

// A Value is a piece of a document. The zero Value is absent: nothing can be taken from it, and nothing
// is reported about it, since its absence was reported when it was needed.
type Value struct {
	doc  *Doc
	node *yaml.Node
}

// Present reports whether there is a value.
func (v Value) Present() bool { return v.node != nil }

// Place returns the line and column of the value.
func (v Value) Place() (line, column int) {
	if v.node == nil {
		return 0, 0
	}
	return v.node.Line, v.node.Column
}

// Errorf reports a mistake at the value's place.
func (v Value) Errorf(format string, args ...any) {
	if v.node != nil {
		v.doc.errorf(v.node.Line, v.node.Column, format, args...)
	}
}

// ErrorAt reports a mistake at a byte of the value's text.
func (v Value) ErrorAt(offset int, format string, args ...any) {
	if v.node != nil {
		line, column := v.locate(offset)
		v.doc.errorf(line, column, format, args...)
	}
}

// locate finds where a byte of a scalar's text stands in the file. A text folded or escaped so that it
// does not stand in the file as it is has one place, its beginning.
func (v Value) locate(offset int) (line, column int) {
	n := v.node
	text, row := n.Value, n.Line
	if n.Style == yaml.LiteralStyle {
		before := text[:min(offset, len(text))]
		row += 1 + strings.Count(before, "\n")
		start := strings.LastIndex(before, "\n") + 1
		text, _, _ = strings.Cut(text[start:], "\n")
		offset -= start
	}
	if row > len(v.doc.lines) || strings.Contains(text, "\n") || text == "" {
		return n.Line, n.Column
	}
	source, from := v.doc.lines[row-1], 0
	if row == n.Line {
		from = byteOf(source, n.Column)
	}
	i := strings.Index(source[from:], text)
	if i < 0 {
		return n.Line, n.Column
	}
	return row, 1 + utf8.RuneCountInString(source[:from+i+min(offset, len(text))])
}

// byteOf returns where the character in a column begins.
func byteOf(s string, column int) int {
	for i := range s {
		if column--; column == 0 {
			return i
		}
	}
	return len(s)
}

// scalar returns the text of a value that is neither a list nor a mapping.
func (v Value) scalar(want string) (string, bool) {
	switch {
	case v.node == nil:
		return "", false
	case v.node.Kind != yaml.ScalarNode:
		v.Errorf("%s goes here, not %s", want, kind(v.node))
		return "", false
	case v.node.Tag == "!!null" && v.node.Style == 0:
		v.Errorf("%s is missing here", want)
		return "", false
	}
	return v.node.Value, true
}

func kind(n *yaml.Node) string {
	if n.Kind == yaml.SequenceNode {
		return "a list"
	}
	return "a mapping"
}

// IsList and IsMapping tell the forms apart where a document allows several.
func (v Value) IsList() bool    { return v.node != nil && v.node.Kind == yaml.SequenceNode }
func (v Value) IsMapping() bool { return v.node != nil && v.node.Kind == yaml.MappingNode }

// String reads any scalar as it is written.
func (v Value) String() (string, bool) {
	s, ok := v.scalar("a text")
	if ok && strings.TrimSpace(s) == "" {
		v.Errorf("a text is missing here")
		return "", false
	}
	return s, ok
}

// OneOf reads a word that must be one of choices.
func (v Value) OneOf(choices ...string) (string, bool) {
	s, ok := v.String()
	if !ok {
		return "", false
	}
	for _, c := range choices {
		if s == c {
			return s, true
		}
	}
	v.Errorf("%q is not one of %s%s", s, strings.Join(choices, ", "), Meant(s, choices))
	return "", false
}

// Bool reads true or false.
func (v Value) Bool() (value, ok bool) {
	s, ok := v.scalar("true or false")
	if ok && s != "true" && s != "false" {
		v.Errorf("%q is neither true nor false", s)
		return false, false
	}
	return s == "true", ok
}

// Int reads a whole number from least to most.
func (v Value) Int(least, most int64) (int64, bool) {
	a, ok := v.Decimal()
	if !ok {
		return 0, false
	}
	n, fits := a.Floor()
	if !fits || quantity.Int(n).Cmp(a) != 0 || n < least || n > most {
		v.Errorf("%s is not a whole number from %d to %d", v.node.Value, least, most)
		return 0, false
	}
	return n, true
}

// Decimal reads an exact decimal number.
func (v Value) Decimal() (quantity.Rat, bool) {
	s, ok := v.scalar("a number")
	if !ok {
		return quantity.Rat{}, false
	}
	a, err := quantity.ParseDecimal(s)
	if err != nil {
		v.Errorf("%q: %v", s, err)
		return quantity.Rat{}, false
	}
	return a, true
}

// Unit reads a unit.
func (v Value) Unit() (quantity.Unit, bool) {
	s, ok := v.scalar("a unit")
	if !ok {
		return quantity.Unit{}, false
	}
	u, err := quantity.ParseUnit(s)
	if err != nil {
		v.Errorf("%v; units are written like km, gCO2e/km, kWh, m3, %%, 1 or CNY", err)
		return quantity.Unit{}, false
	}
	return u, true
}

// Quantity reads a number and, where there is one, its unit; without one the unit has no name.
func (v Value) Quantity() (quantity.Rat, quantity.Unit, bool) {
	s, ok := v.scalar("a quantity such as 2.1 km")
	if !ok {
		return quantity.Rat{}, quantity.Unit{}, false
	}
	a, u, err := quantity.ParseQuantity(s)
	if err != nil {
		v.Errorf("%q: %v", s, err)
		return quantity.Rat{}, quantity.Unit{}, false
	}
	return a, u, true
}

// Duration reads a length of time such as 60s, 12m or 720h, not negative.
func (v Value) Duration() (time.Duration, bool) {
	s, ok := v.scalar("a duration")
	if !ok {
		return 0, false
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		v.Errorf("%q is not a duration such as 60s, 5m or 24h", s)
		return 0, false
	}
	return d, true
}

// Date reads a day and returns its first instant in zone.
func (v Value) Date(zone *time.Location) (time.Time, bool) {
	s, ok := v.scalar("a date")
	if !ok {
		return time.Time{}, false
	}
	t, err := time.ParseInLocation(time.DateOnly, s, zone)
	if err != nil {
		v.Errorf("%q is not a date such as 2024-09-02", s)
		return time.Time{}, false
	}
	return t, true
}

// Zone reads the name of a time zone.
func (v Value) Zone() (*time.Location, bool) {
	s, ok := v.String()
	if !ok {
		return nil, false
	}
	zone, err := time.LoadLocation(s)
	if err != nil || s == "Local" {
		v.Errorf("%q is not a time zone such as Asia/Shanghai", s)
		return nil, false
	}
	return zone, true
}

// A Text is a sentence in both languages of the platform; a text given once is the same in both.
type Text struct{ ZH, EN string }

// In returns the text in a language, "zh" or "en".
func (t Text) In(lang string) string {
	if lang == "zh" {
		return t.ZH
	}
	return t.EN
}

// IsZero reports whether there is no text.
func (t Text) IsZero() bool { return t == Text{} }

// Text reads a text, given once or as {zh: …, en: …}.
func (v Value) Text() (Text, bool) {
	if !v.IsMapping() {
		s, ok := v.String()
		return Text{s, s}, ok
	}
	f := v.Fields()
	zh, ok1 := f.Need("zh").String()
	en, ok2 := f.Need("en").String()
	f.Close()
	return Text{zh, en}, ok1 && ok2
}

// Texts reads a text or a list of them.
func (v Value) Texts() []Text {
	if !v.IsList() {
		t, ok := v.Text()
		if !ok {
			return nil
		}
		return []Text{t}
	}
	var all []Text
	for _, item := range v.Items() {
		if t, ok := item.Text(); ok {
			all = append(all, t)
		}
	}
	return all
}

// Items reads a list.
func (v Value) Items() []Value {
	if v.node == nil {
		return nil
	}
	if v.node.Kind != yaml.SequenceNode {
		v.Errorf("a list goes here, written [a, b] or as lines that begin with “- ”")
		return nil
	}
	items := make([]Value, len(v.node.Content))
	for i, n := range v.node.Content {
		items[i] = Value{v.doc, n}
	}
	return items
}
