package rulebook

import (
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/tanpu/tanpu/rules/document"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/quantity"
)

// maxLate bounds how late a programme may take claims: ten years.
const maxLate = 10 * 8784 * time.Hour

// ParseProgramme reads a programme's document. Whether its scenarios can run is for Check to say.
func ParseProgramme(file string, text []byte) (*Programme, error) {
	doc, root := document.Read(file, text)
	f := root.Fields()
	p := &Programme{}
	p.ID, _ = f.Need("id").Word()
	p.Title, _ = f.Need("title").Text()
	p.Region, _ = f.Need("region").Region()
	p.Zone, _ = f.Need("timezone").Zone()
	p.operator(f.Need("operator"))
	p.ownership(f)
	p.accepts(f.Need("accepts"))
	p.open(f.Take("open"))
	p.Points = parsePoints(f.Need("points"), p.Zone)
	p.Erasure = parseErasure(f.Take("erasure"))
	p.scenarios(f.Need("scenarios"))
	f.Close()
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return p, nil
}

func (p *Programme) operator(v document.Value) {
	f := v.Fields()
	p.Operator.Name, _ = f.Need("name").Text()
	p.Mode, _ = f.Need("mode").OneOf("government", "enterprise", "platform")
	f.Close()
}

// ownership reads who owns the reductions, and the applicant, whom assignment needs.
func (p *Programme) ownership(f *document.Fields) {
	how, _ := f.Need("ownership").OneOf("assigned", "member")
	p.Assigned = how == "assigned"
	applicant := f.Take("applicant")
	if p.Assigned && !applicant.Present() {
		applicant = f.Need("applicant")
	}
	if applicant.Present() {
		a := applicant.Fields()
		p.Applicant.Name, _ = a.Need("name").Text()
		a.Close()
	}
}

func (p *Programme) accepts(v document.Value) {
	f := v.Fields()
	late := f.Need("late")
	p.Late, _ = late.Duration()
	if p.Late > maxLate {
		late.Errorf("longer than ten years")
	}
	early := f.Need("early")
	p.Early, _ = early.Duration()
	if p.Early > 24*time.Hour {
		early.Errorf("a clock that is more than a day ahead is wrong")
	}
	f.Close()
}

// open reads the days on which the programme takes acts; without them it always does.
func (p *Programme) open(v document.Value) {
	if !v.Present() || p.Zone == nil {
		return
	}
	f := v.Fields()
	p.From, _ = f.Need("from").Date(p.Zone)
	to := f.Take("to")
	p.To, _ = to.Date(p.Zone)
	if !p.To.IsZero() && !p.To.After(p.From) {
		to.Errorf("to is the first day on which the programme is closed; it must come after from")
	}
	f.Close()
}

var monthsForm = regexp.MustCompile(`^([1-9][0-9]?) months$`)

func parsePoints(v document.Value, zone *time.Location) *Points {
	if !v.IsMapping() {
		v.OneOf("none")
		return nil
	}
	f := v.Fields()
	p := &Points{zone: zone}
	p.Name, _ = f.Need("name").Text()
	p.Per = parsePer(f.Need("per"))
	expires := f.Need("expires")
	p.Expires, _ = expires.String()
	if m := monthsForm.FindStringSubmatch(p.Expires); m != nil {
		p.months, _ = strconv.Atoi(m[1])
	} else if p.Expires != "end-of-year" && p.Expires != "end-of-next-year" {
		expires.Errorf("points expire end-of-year, end-of-next-year, or after a number of months such as: 12 months")
	}
	f.Close()
	return p
}

// parseErasure reads what becomes of what an erased member holds; a programme need not say.
func parseErasure(v document.Value) (e Erasure) {
	if !v.Present() {
		return e
	}
	f := v.Fields()
	if points := f.Take("points"); points.Present() {
		how, _ := points.OneOf("expire", "void")
		e.VoidPoints = how == "void"
	}
	if reductions := f.Take("reductions"); reductions.Present() {
		how, _ := reductions.OneOf("retire", "void")
		e.VoidReductions = how == "void"
	}
	if retention := f.Take("retention"); retention.Present() {
		text, _ := retention.String()
		m := retentionForm.FindStringSubmatch(text)
		if m == nil {
			retention.Errorf("what is in a lot is kept for a number of months such as: 60 months")
		} else {
			e.Retention, _ = strconv.Atoi(m[1])
		}
	}
	f.Close()
	return e
}

var retentionForm = regexp.MustCompile(`^([1-9][0-9]{0,2}) months$`)

// parsePer reads how much CO2e earns a point: at least a gram, so that all the points there can be stay in range.
func parsePer(v document.Value) quantity.Rat {
	a, unit, ok := v.Quantity()
	mg, _ := quantity.ParseUnit("mgCO2e")
	if !ok {
		return quantity.Int(1)
	}
	base, fits := unit.Base(a)
	if unit.Dim != mg.Dim || !fits || base.Cmp(quantity.Int(1000)) < 0 {
		v.Errorf("a point is earned per amount of CO2e, at least 1 gCO2e, such as: 10 gCO2e")
		return quantity.Int(1)
	}
	return base
}

func (p *Programme) scenarios(v document.Value) {
	p.Scenarios = map[string]Scenario{}
	for _, e := range v.Entries() {
		e.Key.CheckWord(e.Name)
		f := e.Value.Fields()
		var s Scenario
		s.Methodology, _ = f.Need("methodology").String()
		for _, item := range f.Need("partners").Items() {
			partner, ok := item.Word()
			if ok && slices.Contains(s.Partners, partner) {
				item.Errorf("%s is listed twice", partner)
			}
			s.Partners = append(s.Partners, partner)
		}
		f.Close()
		p.Scenarios[e.Name] = s
	}
	if len(p.Scenarios) == 0 && v.Present() {
		v.Errorf("a programme needs at least one scenario")
	}
}

// Check returns an error for the first thing in the rulebook that could not run: a scenario whose
// methodology is missing, counts in another time zone, or cannot give points at once.
func (b *Rulebook) Check() error {
	for _, id := range sortedKeys(b.Programmes) {
		p := b.Programmes[id]
		for _, name := range sortedKeys(p.Scenarios) {
			if err := b.checkScenario(p, name); err != nil {
				return err
			}
		}
	}
	return nil
}

func (b *Rulebook) checkScenario(p *Programme, name string) error {
	id := p.Scenarios[name].Methodology
	versions := slices.Clone(b.methods[id])
	if len(versions) == 0 {
		return invalid(p, name, "there is no methodology %s%s", id, document.Meant(id, sortedKeys(b.methods)))
	}
	for _, i := range b.insteads {
		if i.method.ID == id {
			versions = append(versions, i.method)
		}
	}
	for _, m := range versions {
		if m.Zone.String() != p.Zone.String() {
			return invalid(p, name, "%s counts days in %s and the programme in %s; they must be the same", m.Name(), m.Zone, p.Zone)
		}
		if m.NetYear && p.Assigned {
			return invalid(p, name, "%s adds up over a year (net: year), so title cannot pass with each claim: it needs a programme with ownership: member", m.Name())
		}
		if !methodology.Within(p.Region, m.Region) && !methodology.Within(m.Region, p.Region) {
			return invalid(p, name, "%s holds in %s and the programme runs in %s", m.Name(), m.Region, p.Region)
		}
	}
	return nil
}
