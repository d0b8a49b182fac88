package methodology

import (
	"slices"
	"time"

	"github.com/tanpu/tanpu/rules/document"
)

// A GroupKind says what makes two acts of a group the same one.
type GroupKind string

const (
	Spans GroupKind = "spans" // acts with a beginning and an end, which one person does one at a time
	Total GroupKind = "total" // all of a local day or month, of which there is one
	Act   GroupKind = "act"   // acts without length, told apart by a key
)

// A Group is a set of acts of which each counts once, across partners and programmes.
type Group struct {
	Name       string
	Kind       GroupKind
	Tolerance  time.Duration // spans: how far two acts may overlap
	Span       time.Duration // spans: how long an act may last
	Period     string        // total: day or month
	Greatest   bool          // total: may be reported again, and the greatest counts
	EachObject bool          // a total counts once for each object (a meter), which the claim then must name
	Includes   *Inclusion    // total: acts of another group that it counts too
	Title      Text
}

// An Inclusion is the acts of one activity in another group, such as the walks among trips.
type Inclusion struct{ Group, Activity string }

// maxSpan bounds how long an act can last: what is near it in time has to be found.
const maxSpan = 366 * 24 * time.Hour

// ParseGroups reads a *.groups.yaml document.
func ParseGroups(file string, text []byte) ([]Group, error) {
	doc, root := document.Read(file, text)
	var groups []Group
	entries := root.Entries()
	for _, e := range entries[:min(len(entries), maxEntries)] {
		groups = append(groups, parseGroup(e))
	}
	for i := range groups {
		checkInclusion(groups[i], entries[i].Value, groups)
	}
	checkCount(entries)
	if err := doc.Err(); err != nil {
		return nil, err
	}
	return groups, nil
}

// maxEntries bounds how many groups or factors a document has.
const maxEntries = 1000

func checkCount(entries []document.Entry) {
	if len(entries) > maxEntries {
		entries[maxEntries].Key.Errorf("more than %d entries in one document", maxEntries)
	}
}

func parseGroup(e document.Entry) Group {
	e.Key.CheckWord(e.Name)
	f := e.Value.Fields()
	g := Group{Name: e.Name}
	kind, ok := f.Need("kind").OneOf(string(Spans), string(Total), string(Act))
	g.Kind = GroupKind(kind)
	g.Title, _ = f.Need("title").Text()
	switch g.Kind {
	case Spans:
		g.Span = parseSpan(f.Need("span"))
		g.Tolerance = parseSpan(f.Take("tolerance"))
	case Total:
		g.Period, _ = f.Need("period").OneOf("day", "month")
		repeat, _ := f.Need("repeat").OneOf("refuse", "greatest")
		g.Greatest = repeat == "greatest"
		g.Includes = parseInclusion(f.Take("includes"))
		g.EachObject = parseEach(f.Take("each"), g)
	}
	if ok { // without a kind there is no telling which keys belong
		f.Close()
	}
	return g
}

func parseSpan(v document.Value) time.Duration {
	d, _ := v.Duration()
	if d > maxSpan {
		v.Errorf("longer than a year (8784h)")
	}
	return d
}

// parseEach reads whether a total counts once for each object, such as a meter, and not once for the person.
func parseEach(v document.Value, g Group) bool {
	if !v.Present() {
		return false
	}
	_, ok := v.OneOf("object")
	if ok && g.Greatest {
		v.Errorf("a total that is reported again describes the person's whole period; only one with repeat: refuse can be counted for each object")
		return false
	}
	return ok
}

func parseInclusion(v document.Value) *Inclusion {
	if !v.Present() {
		return nil
	}
	f := v.Fields()
	var in Inclusion
	in.Group, _ = f.Need("group").String()
	in.Activity, _ = f.Need("activity").String()
	f.Close()
	return &in
}

// checkInclusion holds what a group includes against the groups of the same document.
func checkInclusion(g Group, at document.Value, groups []Group) {
	if g.Includes == nil || g.Includes.Group == "" {
		return
	}
	v := at.Fields().Take("includes")
	i := slices.IndexFunc(groups, func(o Group) bool { return o.Name == g.Includes.Group })
	switch {
	case i < 0:
		v.Errorf("there is no group %q in this document%s", g.Includes.Group, document.Meant(g.Includes.Group, groupNames(groups)))
	case groups[i].Kind == Total || groups[i].Kind == Act:
		v.Errorf("group %q is of kind %s; only acts that have a beginning and an end, of kind spans, can be included in a total", g.Includes.Group, groups[i].Kind)
	case slices.ContainsFunc(groups, func(o Group) bool { return o.Name < g.Name && o.Includes != nil && *o.Includes == *g.Includes }):
		v.Errorf("another total includes the same acts, which can be part of one only")
	case !g.Greatest:
		v.Errorf("a total that includes other acts is reported again as they add up: it needs repeat: greatest")
	}
}

func groupNames(groups []Group) []string {
	names := make([]string, len(groups))
	for i, g := range groups {
		names[i] = g.Name
	}
	return names
}
