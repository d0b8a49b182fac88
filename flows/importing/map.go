package importing

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/document"
)

// Limits on a map document.
const (
	maxValues = 10_000 // values of one column under only
	maxShift  = 99_999 // weeks or days
)

// A Map says how a row of a partner's file becomes a claim. It is a YAML document:
//
//	scenario: shared-bike            # the programme's scenario
//	shift: 338w                      # optional: moves every start and end by whole weeks (w) or days (d)
//	only: {class: [HOME, FLAT]}      # optional: rows whose column has one of these values; the others are not read
//	id: "{trip}"                     # the partner's own id of the act; {name} is a column
//	member: "{user}"                 # the partner's own id of the person; it never leaves the partner's side
//	start: "{begun}"                 # RFC 3339, or a local time without offset (see zone)
//	end: "{ended}"                   # instead of both: month: "{year}-{month}" or day: "{date}", a whole local period
//	zone: America/New_York           # optional: of times without offset; the programme's if it is not given
//	evidence: system
//	quantities: {distance: "{m} m"}
//
// and optionally region, act and object, whose empty text leaves them out. A brace that is meant as such
// is written twice. Months and days are those of the programme's time zone.
type Map struct {
	scenario   string
	days       int // the shift
	only       []filter
	id         template
	member     template
	span       span
	start, end template // the month or day stands in start
	evidence   template
	quantities []quantity // in order of name, as a claim wants them
	region     template
	act        template
	object     template
	zone       *time.Location // nil for the programme's

	columns []string   // every column that the map names; a row is their values in this order
	named   []position // where each is named first
	file    string
	hash    [32]byte // of the document
}

// A span says how a map gives a claim's time.
type span int

const (
	startEnd span = iota
	wholeMonth
	wholeDay
)

type filter struct {
	slot   int
	values map[string]bool
}

type quantity struct {
	name string
	text template
}

type position struct{ line, column int }

// ParseMap reads a map document. It reports all that is wrong with it, each as file:line:column.
func ParseMap(file string, text []byte) (*Map, error) {
	doc, root := document.Read(file, text)
	m := &Map{file: file, hash: sha256.Sum256(text)}
	if root.Present() {
		m.read(root.Fields())
	}
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Map) read(f *document.Fields) {
	m.scenario = name(f.Need("scenario"))
	m.days = shift(f.Take("shift"))
	m.readOnly(f.Take("only"))
	id := f.Need("id")
	m.id = m.template(id)
	if m.id != nil && !m.id.varies() {
		id.Errorf("this id is the same for every row; name a column of it in braces")
	}
	m.member = m.template(f.Need("member"))
	m.evidence = m.template(f.Need("evidence"))
	m.readTimes(f)
	m.readQuantities(f.Take("quantities"))
	m.region = m.template(f.Take("region"))
	m.act = m.template(f.Take("act"))
	m.object = m.template(f.Take("object"))
	f.Close()
}

// name reads a text that is the same for every row.
func name(v document.Value) string {
	s, ok := v.String()
	switch {
	case ok && len(s) > claim.MaxName:
		v.Errorf("this is longer than %d bytes", claim.MaxName)
	case strings.ContainsFunc(s, control):
		v.Errorf("this holds a control character")
	case strings.ContainsAny(s, "{}"):
		v.Errorf("this is the same for every row and names no column")
	}
	return s
}

var shiftText = regexp.MustCompile(`^(-?[0-9]{1,6})([wd])$`)

func shift(v document.Value) int {
	s, ok := v.String()
	if !ok {
		return 0
	}
	f := shiftText.FindStringSubmatch(s)
	if f == nil {
		v.Errorf("a shift is whole weeks or days, such as 338w or -7d, not %q", clip(s))
		return 0
	}
	days, _ := strconv.Atoi(f[1])
	if days > maxShift || days < -maxShift {
		v.Errorf("a shift is at most %d weeks or days", maxShift)
		return 0
	}
	if f[2] == "w" {
		days *= 7
	}
	return days
}

func (m *Map) readOnly(v document.Value) {
	if !v.Present() {
		return
	}
	for _, e := range v.Entries() {
		f := filter{slot: m.column(e.Name, e.Key), values: map[string]bool{}}
		for _, item := range e.Value.Items() {
			if s, ok := item.String(); ok {
				f.values[s] = true
			}
		}
		if e.Value.IsList() && (len(f.values) == 0 || len(f.values) > maxValues) {
			e.Value.Errorf("1 to %d values go here", maxValues)
		}
		m.only = append(m.only, f)
	}
}

func (m *Map) readTimes(f *document.Fields) {
	start, end, zone := f.Take("start"), f.Take("end"), f.Take("zone")
	month, day := f.Take("month"), f.Take("day")
	switch {
	case month.Present():
		m.span, m.start = wholeMonth, m.template(month)
		for _, v := range []document.Value{start, end, day, zone} {
			v.Errorf("a month takes the place of this: it is a whole local month of the programme's")
		}
		f.Take("shift").Errorf("a whole month cannot be moved by weeks or days; leave shift out")
	case day.Present():
		m.span, m.start = wholeDay, m.template(day)
		for _, v := range []document.Value{start, end, zone} {
			v.Errorf("a day takes the place of this: it is a whole local day of the programme's")
		}
	case !start.Present() && !end.Present():
		f.Need("start") // says that it is missing
	default:
		m.start, m.end = m.template(f.Need("start")), m.template(f.Need("end"))
		m.zone, _ = zone.Zone()
	}
}

func (m *Map) readQuantities(v document.Value) {
	if !v.Present() {
		return
	}
	for _, e := range v.Entries() {
		switch {
		case e.Name == "" || len(e.Name) > claim.MaxName || strings.ContainsFunc(e.Name, control):
			e.Key.Errorf("a quantity's name is plain text of 1 to %d bytes", claim.MaxName)
		case len(m.quantities) == claim.MaxQuantities:
			e.Key.Errorf("a claim has at most %d quantities", claim.MaxQuantities)
		default:
			m.quantities = append(m.quantities, quantity{e.Name, m.template(e.Value)})
		}
	}
	slices.SortFunc(m.quantities, func(a, b quantity) int { return cmp.Compare(a.name, b.name) })
}

func (m *Map) template(v document.Value) template {
	s, ok := v.String()
	if !ok {
		return nil
	}
	t, offset, err := parseTemplate(s, func(name string) int { return m.column(name, v) })
	if err != nil {
		v.ErrorAt(offset, "%v", err)
	}
	return t
}

// column returns the place in a row of a column, which is new or known.
func (m *Map) column(name string, where document.Value) int {
	if slot := slices.Index(m.columns, name); slot >= 0 {
		return slot
	}
	line, column := where.Place()
	m.columns = append(m.columns, name)
	m.named = append(m.named, position{line, column})
	return len(m.columns) - 1
}

// bind finds the map's columns in a file's header: which column fills which place of a row.
func (m *Map) bind(file string, header []string) ([]int, error) {
	var errs document.Errors
	places := make([]int, len(m.columns))
	for slot, name := range m.columns {
		message := ""
		places[slot] = slices.Index(header, name)
		switch {
		case places[slot] < 0:
			message = fmt.Sprintf("%s has no column %q%s", file, name, has(name, header))
		case slices.Contains(header[places[slot]+1:], name):
			message = fmt.Sprintf("%s has more than one column %q", file, name)
		default:
			continue
		}
		errs = append(errs, &document.Error{File: m.file, Line: m.named[slot].line, Column: m.named[slot].column, Message: message})
	}
	if len(errs) > 0 {
		return nil, errs
	}
	return places, nil
}

// has says what columns there are instead, as many as a person would read.
func has(name string, header []string) string {
	const most = 40
	if hint := document.Meant(name, header); hint != "" {
		return hint
	}
	var names []string
	for _, h := range header[:min(most, len(header))] {
		names = append(names, clip(h))
	}
	if more := len(header) - most; more > 0 {
		names = append(names, fmt.Sprintf("and %d more", more))
	}
	return "; it has " + strings.Join(names, ", ")
}
