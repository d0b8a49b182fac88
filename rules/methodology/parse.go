package methodology

import (
	"crypto/sha256"
	"fmt"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/document"
	"github.com/tanpu/tanpu/rules/quantity"
)

// Bounds on a methodology, far above what one needs.
const (
	maxInputs   = 16 // as many quantities as a claim may have
	maxFigures  = 100
	maxCaps     = 20
	maxExamples = 200
	maxName     = 64
)

// A parser reads one methodology.
type parser struct {
	m   *Methodology
	doc *document.Doc
	lib *Library

	places       map[string]document.Value // where each input and parameter is named
	usesDuration bool
	broken       bool // a formula has a mistake, so what it would have used is not known
	groupless    bool // the group named is not known
}

// Parse reads and compiles a *.methodology.yaml document against a library. It checks everything but
// the outcome of the examples, which CheckExamples does.
func Parse(file string, text []byte, lib *Library) (*Methodology, error) {
	doc, root := document.Read(file, text)
	if lib == nil {
		lib = &Library{}
	}
	p := &parser{
		m:      &Methodology{Source: slices.Clone(text), Hash: sha256.Sum256(text), file: file},
		doc:    doc,
		lib:    lib,
		places: map[string]document.Value{},
	}
	if root.Present() {
		p.methodology(root)
	}
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return p.m, nil
}

// methodology reads the document in the order in which its parts depend on each other.
func (p *parser) methodology(root document.Value) {
	m, f := p.m, root.Fields()
	p.identity(f)
	p.time(f)
	m.Sources = parseSources(f.Need("sources"))
	p.groupOf(f.Take("group"))
	p.inputs(f.Take("inputs"))
	p.parameters(f.Take("parameters"))
	p.net(f.Take("net"))
	p.formulas(root, f)
	p.caps(f.Take("caps"))
	p.evidence(f.Need("evidence"))
	p.texts(f)
	p.examples(f.Take("examples"))
	f.Close()
}

func (p *parser) net(v document.Value) {
	net, _ := v.OneOf("year")
	p.m.NetYear = net == "year"
	if p.m.NetYear && p.m.group.Greatest {
		v.Errorf("totals of group %s are reported again, and each report would add up; net: year needs one result a period", p.m.Group)
	}
}

var idForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`)

func (p *parser) identity(f *document.Fields) {
	m := p.m
	id := f.Need("id")
	var ok bool
	if m.ID, ok = id.String(); ok && (!idForm.MatchString(m.ID) || len(m.ID) > maxName) {
		id.Errorf("%q: an id is letters, digits and hyphens, such as WUHAN-BIKE", m.ID)
	}
	version, _ := f.Need("version").Int(1, 1e6)
	m.Version = int(version)
	m.name = fmt.Sprintf("%s@%d", m.ID, m.Version)
	m.Title, _ = f.Need("title").Text()
	m.BasedOn, _ = f.Take("based_on").Text()
	m.Domain, _ = f.Need("domain").OneOf("life", "public-good", "consumption", "tourism", "travel")
	m.Activity, _ = f.Need("activity").Word()
	m.Kind, _ = f.Need("kind").OneOf("reduction", "removal")
	m.Use, _ = f.Need("use").OneOf("points", "unit")
	m.Region, _ = f.Need("region").Region()
}

func (p *parser) time(f *document.Fields) {
	m := p.m
	m.Zone, _ = f.Need("timezone").Zone()
	if m.Zone == nil {
		m.Zone = time.UTC // to read on
	}
	if valid := f.Need("valid"); valid.Present() {
		fields := valid.Fields()
		m.From, m.To = parseValid(fields, m.Zone)
		fields.Close()
	}
	m.calendar = newCalendar(m.Zone, m.From)
}

func (p *parser) groupOf(v document.Value) {
	if !v.Present() {
		return
	}
	name, ok := v.String()
	if !ok {
		return
	}
	g, found := p.lib.Groups[name]
	if p.groupless = !found; p.groupless {
		v.Errorf("there is no group %q%s", name, document.Meant(name, names(p.lib.Groups)))
	}
	p.m.Group, p.m.group = name, g
}

func (p *parser) inputs(v document.Value) {
	if !v.Present() {
		return
	}
	for i, e := range v.Entries() {
		if i == maxInputs {
			e.Key.Errorf("more than %d inputs", maxInputs)
			return
		}
		p.name(e)
		p.m.Inputs = append(p.m.Inputs, p.input(e))
	}
}

func (p *parser) input(e document.Entry) Input {
	f := e.Value.Fields()
	in := Input{Name: e.Name}
	unit := f.Need("unit")
	in.Unit, _ = unit.Unit()
	min, max := f.Take("min"), f.Take("max")
	if min.Present() {
		in.Min, _ = parseLimit(min, in.Unit)
	}
	if max.Present() {
		if limit, ok := parseLimit(max, in.Unit); ok {
			in.Max = &limit
		}
	}
	if in.Max != nil && in.Max.Cmp(in.Min) < 0 {
		max.Errorf("max is below min, so nothing could be reported")
	}
	keep := f.Take("keep")
	in.Keep, _ = keep.Bool()
	if in.Keep && !p.groupless && (p.m.group.Kind != Total || p.m.group.Greatest) {
		keep.Errorf("a value is kept as the one of its period: keep needs a group of kind total with repeat: refuse")
	}
	in.Title, _ = f.Take("title").Text()
	if min.Present() || max.Present() { // a limit is a figure, and a figure says where it is from
		in.Source, in.Seen = p.provenance(f)
	} else if source := f.Take("source"); source.Present() {
		in.Source = parseSource(source, p.m.Sources)
		in.Seen, _ = f.Take("seen").Bool()
	}
	f.Close()
	return in
}

func (p *parser) parameters(v document.Value) {
	if !v.Present() {
		return
	}
	for i, e := range v.Entries() {
		if i == maxFigures {
			e.Key.Errorf("more than %d parameters", maxFigures)
			return
		}
		p.name(e)
		f := e.Value.Fields()
		par := Parameter{Name: e.Name}
		par.Unit, _ = f.Need("unit").Unit()
		par.Value, par.Text = parseFigure(f.Need("value"), par.Unit)
		par.Title, _ = f.Take("title").Text()
		par.Source, par.Seen = p.provenance(f)
		f.Close()
		p.m.Parameters = append(p.m.Parameters, par)
	}
}

func (p *parser) provenance(f *document.Fields) (source string, seen bool) {
	source = parseSource(f.Need("source"), p.m.Sources)
	seen, _ = f.Need("seen").Bool()
	return source, seen
}

var nameForm = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)

// builtin are the words that mean something in every formula.
var builtin = []string{
	"duration", "region", "history", "factor", "min", "max", "same_month", "trailing", "true", "false",
	"baseline", "project", "leakage", "reduction", "plausible", "evidence", "at",
}

// name checks the name of an input or parameter, which formulas will use.
func (p *parser) name(e document.Entry) {
	switch was, taken := p.places[e.Name]; {
	case taken:
		line, _ := was.Place()
		e.Key.Errorf("%q is already the name of an input, on line %d", e.Name, line)
	case token.IsKeyword(e.Name):
		e.Key.Errorf("%q is a word of the formula language and cannot be a name; choose another, such as %q", e.Name, e.Name+"_")
	case slices.Contains(builtin, e.Name):
		e.Key.Errorf("%q already means something in formulas; choose another name", e.Name)
	case !nameForm.MatchString(e.Name) || len(e.Name) > maxName:
		e.Key.Errorf("%q: a name is letters, digits and underscores, begins with a letter, and is at most %d long", e.Name, maxName)
	}
	p.places[e.Name] = e.Key
}

func (p *parser) caps(v document.Value) {
	if !v.Present() {
		return
	}
	for i, item := range v.Items() {
		if i == maxCaps {
			item.Errorf("more than %d caps", maxCaps)
			return
		}
		c, ok := p.cap(item)
		if ok && slices.ContainsFunc(p.m.Caps, func(o Cap) bool { return o.Per == c.Per && o.Of == c.Of }) {
			item.Errorf("there is a cap for this and each %s already", c.Per)
		}
		p.m.Caps = append(p.m.Caps, c)
	}
}

func (p *parser) cap(v document.Value) (c Cap, ok bool) {
	f := v.Fields()
	defer f.Close()
	c.Input = -1
	c.Per, ok = f.Need("per").OneOf("day", "month", "year")
	claims, of, max, trim := f.Take("claims"), f.Take("of"), f.Take("max"), f.Take("trim")
	c.Trim, _ = trim.Bool()
	if claims.Present() == of.Present() {
		v.Errorf("a cap counts either claims (claims: 20) or a quantity (of: distance, max: 100 km)")
		return c, false
	}
	if claims.Present() {
		c.Claims, _ = claims.Int(1, 1e9)
		if max.Present() {
			max.Errorf("max goes with of; a cap of claims has only claims")
		}
		if c.Trim {
			trim.Errorf("a claim counts whole: only a cap with of can be trimmed")
		}
		return c, ok
	}
	return p.capOf(c, of, f.Need("max")), ok
}

// capOf reads the rest of a cap on an input or on the reduction.
func (p *parser) capOf(c Cap, of, max document.Value) Cap {
	choices := []string{"reduction"}
	for _, in := range p.m.Inputs {
		choices = append(choices, in.Name)
	}
	var ok bool
	if c.Of, ok = of.OneOf(choices...); !ok {
		return c
	}
	c.Input = slices.Index(choices, c.Of) - 1
	dim := quantity.CO2e
	switch {
	case c.Input >= 0:
		dim = p.m.Inputs[c.Input].Unit.Dim
		if p.m.group.Greatest {
			of.Errorf("totals of group %s are reported again, which would count twice here; use of: reduction", p.m.Group)
		}
	case p.m.NetYear:
		of.Errorf("with net: year results go up and down, so a cap of the reduction has no meaning")
	}
	c.MaxText, _ = max.String()
	if limit, unit, ok := max.Quantity(); ok && (c.Input < 0 || p.m.Inputs[c.Input].Unit.Name != "") {
		c.Max = p.inDimension(max, limit, unit, dim)
	}
	if max.Present() && ok && c.Max.Sign() < 0 {
		max.Errorf("a cap cannot be below zero")
	}
	return c
}

// inDimension returns a quantity in base units, and reports one that is not of dim.
func (p *parser) inDimension(v document.Value, a quantity.Rat, u quantity.Unit, dim quantity.Dim) quantity.Rat {
	if u.Dim != dim {
		v.Errorf("this is %s, but %s goes here", u.Dim, dim)
		return quantity.Rat{}
	}
	base, ok := u.Base(a)
	if !ok {
		v.Errorf("this number is too large")
	}
	return base
}

func (p *parser) evidence(v document.Value) {
	p.m.Evidence = map[string]Grade{}
	for i, e := range v.Entries() {
		if i == maxFigures {
			e.Key.Errorf("more than %d grades of evidence", maxFigures)
			return
		}
		e.Key.CheckWord(e.Name)
		f := e.Value.Fields()
		var g Grade
		weight := f.Need("weight")
		var ok bool
		g.Weight, ok = weight.Decimal()
		if ok && (g.Weight.Sign() <= 0 || g.Weight.Cmp(quantity.Int(1)) > 0) {
			weight.Errorf("a weight is above 0 and at most 1; a grade that counts for nothing is left out")
		}
		g.Unit, _ = f.Take("unit").Bool()
		f.Close()
		p.m.Evidence[e.Name] = g
	}
	if v.IsMapping() && len(p.m.Evidence) == 0 {
		v.Errorf("no grade of evidence is accepted; name at least one, such as system: {weight: 1}")
	}
}

// parseFigure reads a number that is in unit, and returns it in base units and as written.
func parseFigure(v document.Value, unit quantity.Unit) (base quantity.Rat, text string) {
	a, ok := v.Decimal()
	if !ok || unit.Name == "" {
		return quantity.Rat{}, ""
	}
	text, _ = v.String()
	if base, ok = unit.Base(a); !ok {
		v.Errorf("this number is too large")
	}
	return base, text
}

// parseLimit reads a limit of an input: a number in the input's unit, or a quantity with its own.
func parseLimit(v document.Value, unit quantity.Unit) (base quantity.Rat, ok bool) {
	a, u, ok := v.Quantity()
	if !ok || unit.Name == "" {
		return quantity.Rat{}, false
	}
	if u.Name == "" {
		u = unit
	}
	if u.Dim != unit.Dim {
		v.Errorf("this is %s, but the input is %s (%s)", u.Dim, unit.Dim, unit.Name)
		return quantity.Rat{}, false
	}
	if base, ok = u.Base(a); !ok {
		v.Errorf("this number is too large")
	}
	return base, ok
}

// parseValid reads from and to, local midnights of zone.
func parseValid(f *document.Fields, zone *time.Location) (from, to time.Time) {
	from, _ = f.Need("from").Date(zone)
	v := f.Take("to")
	to, ok := v.Date(zone)
	if ok && !to.After(from) {
		v.Errorf("to is the first day on which this no longer holds; it must come after from")
	}
	return from, to
}

func parseSources(v document.Value) []Source {
	var sources []Source
	for i, item := range v.Items() {
		if i == maxFigures {
			item.Errorf("more than %d sources", maxFigures)
			break
		}
		f := item.Fields()
		var s Source
		id := f.Need("id")
		s.ID, _ = id.String()
		s.Title, _ = f.Need("title").Text()
		s.URL, _ = f.Take("url").String()
		f.Close()
		if s.ID != "" && slices.ContainsFunc(sources, func(o Source) bool { return o.ID == s.ID }) {
			id.Errorf("source %q is listed twice", s.ID)
		}
		sources = append(sources, s)
	}
	return sources
}

// parseSource reads the id of a listed source.
func parseSource(v document.Value, sources []Source) string {
	id, ok := v.String()
	if ok && !slices.ContainsFunc(sources, func(s Source) bool { return s.ID == id }) {
		ids := make([]string, len(sources))
		for i, s := range sources {
			ids[i] = s.ID
		}
		v.Errorf("%q is not among sources%s", id, document.Meant(id, ids))
	}
	return id
}

// required are the texts that a verifier needs before a reduction can become a unit.
var required = []string{
	"applicability", "boundary", "gases", "additionality", "leakage", "crediting_period", "monitoring", "ets_overlap",
}

func (p *parser) texts(f *document.Fields) {
	m := p.m
	for _, key := range required {
		if key == "leakage" {
			continue // read with the formulas, since it may be one
		}
		if texts := f.Take(key).Texts(); texts != nil {
			m.setText(key, texts)
		}
	}
	if m.Use != "unit" {
		return
	}
	at := f.Take("use")
	var missing []string
	for _, key := range required {
		if m.Texts[key] == nil {
			missing = append(missing, key)
		}
	}
	if len(missing) > 0 {
		at.Errorf("use: unit asks for texts that a verifier needs; missing: %s", strings.Join(missing, ", "))
	}
	for _, g := range m.Evidence {
		if g.Unit {
			return
		}
	}
	at.Errorf("use: unit needs a grade of evidence that is good enough for units: mark it unit: true")
}

func (m *Methodology) setText(key string, texts []Text) {
	if m.Texts == nil {
		m.Texts = map[string][]Text{}
	}
	m.Texts[key] = texts
}
