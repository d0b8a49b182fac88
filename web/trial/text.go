package trial

import (
	"fmt"
	"io"
	"strings"

	"github.com/tanpu/tanpu/flows/restate"
)

// Text writes a report for a terminal.
func Text(out io.Writer, r *restate.Report, lang string) error { return newView(r, lang).text(out) }

func (v *view) text(out io.Writer) error {
	var b strings.Builder
	line := func(parts ...string) { b.WriteString(strings.Join(parts, "") + "\n") }
	line(v.Title)
	for _, s := range v.Sub {
		line("  ", s)
	}
	line()
	line(v.Before, v.Strong, v.After)
	line(v.Note)
	if v.Kept != "" {
		line(v.Kept)
	}
	line()
	for _, k := range v.Figures {
		unit := ""
		if k.Unit != "" {
			unit = " " + k.Unit
		}
		line("  ", k.Label, "  ", k.Figure, unit, "  (", k.Note, ")")
	}
	for i := range v.Sections {
		s := &v.Sections[i]
		line()
		line(s.Title)
		if s.Sub != "" {
			line("  ", s.Sub)
		}
		for j := range s.Tables {
			line()
			s.Tables[j].text(line)
		}
	}
	line()
	for _, f := range v.Facts {
		line(f.Name, "  ", f.Value)
	}
	_, err := io.WriteString(out, strings.ReplaceAll(b.String(), "\u00a0", " "))
	return err
}

// text writes a table in columns, numbers to the right. Bars are left out.
func (t *table) text(line func(...string)) {
	rows := [][]cell{nil}
	for _, h := range t.Heads {
		rows[0] = append(rows[0], cell{Text: h.Text})
	}
	rows = append(rows, t.Rows...)
	if t.Foot != nil {
		rows = append(rows, t.Foot)
	}
	widths := make([]int, len(t.Heads))
	for _, row := range rows {
		for i, c := range row {
			widths[i] = max(widths[i], width(c.Text))
		}
	}
	line("  ", t.Caption)
	for _, row := range rows {
		var b strings.Builder
		for i, c := range row {
			if widths[i] == 0 {
				continue
			}
			pad := strings.Repeat(" ", widths[i]-width(c.Text))
			if t.Heads[i].Number {
				fmt.Fprintf(&b, "  %s%s", pad, c.Text)
			} else {
				fmt.Fprintf(&b, "  %s%s", c.Text, pad)
			}
		}
		line("  ", strings.TrimRight(b.String(), " "))
	}
}

// width is how many columns of a terminal a text takes: Han and its punctuation take two each.
func width(s string) int {
	n := 0
	for _, r := range s {
		n++
		if r >= 0x2E80 && r <= 0xFFDC || r >= 0x20000 {
			n++
		}
	}
	return n
}
