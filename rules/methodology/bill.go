package methodology

import "strings"

// A bill is text in three columns: a sign, a term, and its value at the right.
type bill struct{ rows []row }

type row struct {
	indent            int
	sign, term, value string
	kind              rowKind
}

type rowKind uint8

const (
	plain rowKind = iota
	heading
	note
	ruled
)

func (b *bill) section(title, formula string) {
	b.rows = append(b.rows, row{kind: heading, term: title, value: formula})
}

func (b *bill) line(indent int, sign, term, value string) {
	b.rows = append(b.rows, row{indent: indent, sign: sign, term: term, value: value})
}

func (b *bill) text(indent int, s string) {
	b.rows = append(b.rows, row{kind: note, indent: indent, term: s})
}

func (b *bill) rule(indent int) { b.rows = append(b.rows, row{kind: ruled, indent: indent}) }

const step = 4 // columns of an indent, of which a sign takes two

// String lays the bill out so that the values end in one column.
func (b *bill) String() string {
	terms, values := 0, 0
	for _, r := range b.rows {
		if r.kind == plain {
			terms = max(terms, r.indent*step+width(r.term))
			values = max(values, width(r.value))
		}
	}
	var s strings.Builder
	for _, r := range b.rows {
		margin := strings.Repeat(" ", r.indent*step)
		switch r.kind {
		case heading:
			s.WriteString("\n" + strings.TrimRight(r.term+"  "+r.value, " "))
		case note:
			s.WriteString(margin + r.term)
		case ruled:
			s.WriteString(margin + strings.Repeat("─", terms-r.indent*step+2+values))
		case plain:
			s.WriteString(strings.TrimRight(r.plain(terms, values), " "))
		}
		s.WriteByte('\n')
	}
	return s.String()
}

func (r row) plain(terms, values int) string {
	left := strings.Repeat(" ", max(r.indent*step-2, 0)) + pad(r.sign, 2) + r.term
	return pad(left, terms) + "  " + strings.Repeat(" ", values-width(r.value)) + r.value
}

func pad(s string, to int) string { return s + strings.Repeat(" ", max(to-width(s), 0)) }

// width is how many columns a terminal gives a text: two to a Chinese character.
func width(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r >= 0x1100 && r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 ||
			r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0x20000 {
			n++
		}
	}
	return n
}
