package methodology

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/document"
	"github.com/tanpu/tanpu/rules/quantity"
)

// Factors are figures by name, such as grid-average.
type Factors map[string]*Factor

// A Factor is a figure that differs by region and changes over time. Its name fixes what kind it is and
// for which level of regions it stands, so a formula that names it can never be answered by another.
type Factor struct {
	Name    string
	Kind    string // average, margin, fuel, item, travel or spend
	Level   string // national, grid or province
	Unit    quantity.Unit
	Title   Text
	Note    Text
	Sources []Source
	Areas   map[string][]string // grid: the regions that each area consists of
	Values  []FactorValue       // in order of region and From
}

// A FactorValue is the figure for one region and time.
type FactorValue struct {
	Region   string
	From, To time.Time    // midnights, UTC standing for local days; To is exclusive, zero when open
	Value    quantity.Rat // base units
	Text     string       // as written
	Source   string
	Seen     bool
	Note     Text

	covers   []string // the regions it holds for, with all that begins with their codes
	from, to int      // civil days; to is the last int when open
}

// levels are the forms of a region's code at each level (GB/T 2260, ISO 3166).
var levels = map[string]*regexp.Regexp{
	"national": regexp.MustCompile(`^[A-Z]{2}$`),
	"grid":     regexp.MustCompile(`^[A-Z]{2}-[A-Za-z][A-Za-z-]{0,30}$`),
	"province": regexp.MustCompile(`^[A-Z]{2}-[A-Z0-9]{1,3}$`),
}

// at returns the value for a region, or one that begins with its code, on a civil day.
func (f *Factor) at(region string, day int) *FactorValue {
	for i := range f.Values {
		v := &f.Values[i]
		if v.from <= day && day < v.to && slices.ContainsFunc(v.covers, func(c string) bool { return Within(region, c) }) {
			return v
		}
	}
	return nil
}

// Within reports whether a region lies in another: its code begins with the other's. GB/T 2260 fills the
// codes of provinces and cities up with zeros, so CN-420106, a district, lies in CN-420100, the city.
func Within(region, area string) bool {
	if strings.HasPrefix(region, area) {
		return true
	}
	country, digits, _ := strings.Cut(area, "-")
	if len(digits) != 6 {
		return false
	}
	short := strings.TrimSuffix(strings.TrimSuffix(digits, "00"), "00")
	return len(short) < 6 && len(short) > 0 && strings.HasPrefix(region, country+"-"+short)
}

// ParseFactors reads a *.factors.yaml document.
func ParseFactors(file string, text []byte) (Factors, error) {
	doc, root := document.Read(file, text)
	factors := Factors{}
	entries := root.Entries()
	for _, e := range entries[:min(len(entries), maxEntries)] {
		factors[e.Name] = parseFactor(e)
	}
	checkCount(entries)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return factors, nil
}

// maxValues bounds how many values a factor has: every county for some years.
const maxValues = 10_000

func parseFactor(e document.Entry) *Factor {
	e.Key.CheckWord(e.Name)
	fields := e.Value.Fields()
	f := &Factor{Name: e.Name}
	f.Kind, _ = fields.Need("kind").OneOf("average", "margin", "fuel", "item", "travel", "spend")
	f.Unit, _ = fields.Need("unit").Unit()
	f.Level, _ = fields.Need("level").OneOf("national", "grid", "province")
	f.Title, _ = fields.Need("title").Text()
	f.Note, _ = fields.Take("note").Text()
	f.Sources = parseSources(fields.Need("sources"))
	if f.Level == "grid" {
		f.Areas = parseAreas(fields.Need("areas"))
	}
	items := fields.Need("values").Items()
	for i, item := range items {
		if i == maxValues {
			item.Errorf("more than %d values", maxValues)
			break
		}
		f.Values = append(f.Values, parseFactorValue(item, f))
	}
	fields.Close()
	checkPeriods(f.Values, items)
	slices.SortStableFunc(f.Values, func(a, b FactorValue) int {
		return cmp.Or(strings.Compare(a.Region, b.Region), a.from-b.from)
	})
	return f
}

// maxRegions bounds how many regions the areas of a factor have together.
const maxRegions = 1000

// parseAreas reads which regions each grid consists of; a region lies in one grid.
func parseAreas(v document.Value) map[string][]string {
	areas := map[string][]string{}
	var all []string
	var in []string // the area of each
	for _, e := range v.Entries() {
		if !levels["grid"].MatchString(e.Name) {
			e.Key.Errorf("%q is not a grid's code such as CN-central", e.Name)
		}
		for _, item := range e.Value.Items() {
			region, ok := item.Region()
			if !ok {
				continue
			}
			if len(all) == maxRegions {
				item.Errorf("more than %d regions", maxRegions)
				return areas
			}
			if i := slices.IndexFunc(all, func(r string) bool { return Within(region, r) || Within(r, region) }); i >= 0 {
				item.Errorf("%s is part of %s already, as %s", region, in[i], all[i])
			}
			all, in = append(all, region), append(in, e.Name)
			areas[e.Name] = append(areas[e.Name], region)
		}
	}
	return areas
}

func parseFactorValue(v document.Value, f *Factor) FactorValue {
	fields := v.Fields()
	var x FactorValue
	x.Region = parseFactorRegion(fields.Need("region"), f)
	x.covers = []string{x.Region}
	if f.Level == "grid" {
		x.covers = f.Areas[x.Region]
	}
	x.From, x.To = parseValid(fields, time.UTC)
	x.from, x.to = civilDay(x.From), maxDay
	if !x.To.IsZero() {
		x.to = civilDay(x.To)
	}
	x.Value, x.Text = parseFigure(fields.Need("value"), f.Unit)
	x.Source = parseSource(fields.Need("source"), f.Sources)
	x.Seen, _ = fields.Need("seen").Bool()
	x.Note, _ = fields.Take("note").Text()
	fields.Close()
	return x
}

func parseFactorRegion(v document.Value, f *Factor) string {
	region, ok := v.String()
	if !ok || f.Level == "" {
		return region
	}
	if !levels[f.Level].MatchString(region) {
		v.Errorf("%q is not the code of a region at the level %s; another level needs a factor of its own name", region, f.Level)
	} else if _, known := f.Areas[region]; f.Level == "grid" && !known {
		v.Errorf("%q is not one of areas%s", region, document.Meant(region, names(f.Areas)))
	}
	return region
}

// checkPeriods reports values that hold for the same region at the same time.
func checkPeriods(values []FactorValue, items []document.Value) {
	for i, a := range values {
		for _, b := range values[:i] {
			if a.Region == b.Region && a.from < b.to && b.from < a.to {
				line, _ := items[slices.IndexFunc(values, func(v FactorValue) bool { return v.Region == b.Region && v.from == b.from })].Place()
				items[i].Errorf("%s has a value for part of this time already, on line %d", a.Region, line)
				break
			}
		}
	}
}
