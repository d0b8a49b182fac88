// Package rulebook holds what is published at one moment: programmes, methodologies, groups and factors.
// Publishing anything makes a new rulebook with the next number, and every batch names the one it was
// judged by, so that it can be judged again.
package rulebook

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/methodology"
)

// A Rulebook never changes once it is made and can be shared.
type Rulebook struct {
	Number     int64
	Restated   int64 // the last restatement in it; 0 for none
	Programmes map[string]*Programme
	Groups     map[string]methodology.Group

	methods   map[string][]*methodology.Methodology // by id, the latest from first
	including map[methodology.Inclusion]methodology.Group
	groups    map[string]*methodology.Group
	factors   methodology.Factors                // where it was bound from documents
	published map[*methodology.Methodology]int64 // by which rulebook; where it was bound from documents
	insteads  []*instead                         // in the order in which they were put in the place of others
}

// New binds documents together into a rulebook.
func New(number int64, groups map[string]methodology.Group, methods []*methodology.Methodology, programmes []*Programme) *Rulebook {
	b := &Rulebook{
		Number:     number,
		Programmes: map[string]*Programme{},
		Groups:     groups,
		methods:    map[string][]*methodology.Methodology{},
		including:  map[methodology.Inclusion]methodology.Group{},
	}
	b.groups = map[string]*methodology.Group{"": {}}
	for name, g := range groups {
		b.groups[name] = &g
	}
	for _, p := range programmes {
		b.Programmes[p.ID] = p
	}
	for _, m := range methods {
		b.methods[m.ID] = append(b.methods[m.ID], m)
	}
	for _, versions := range b.methods {
		slices.SortFunc(versions, func(x, y *methodology.Methodology) int {
			return cmp.Or(y.From.Compare(x.From), cmp.Compare(y.Version, x.Version))
		})
	}
	for _, g := range groups {
		if g.Includes != nil {
			b.including[*g.Includes] = g
		}
	}
	return b
}

// Method finds the version in force at an instant (µs UTC): the one with the latest from that is not
// after it, or nil when there is none or that one has ended. Where a restatement holds, it is asked before all
// versions that were published before it.
func (b *Rulebook) Method(id string, at int64) *methodology.Methodology {
	i := b.restating(id, at)
	for _, m := range b.methods[id] {
		if m.From.UnixMicro() > at || i != nil && b.published[m] < i.number {
			continue
		}
		if !m.To.IsZero() && m.To.UnixMicro() <= at {
			return nil
		}
		return m
	}
	if i != nil {
		return i.method
	}
	return nil
}

// restating finds the text that stands in the place of the versions of an id; nil for none.
func (b *Rulebook) restating(id string, at int64) *instead {
	for _, i := range slices.Backward(b.insteads) {
		if i.holds(id, at) {
			return i
		}
	}
	return nil
}

// Next says from when (RFC 3339) a methodology will be in force after an instant, or "".
func (b *Rulebook) Next(id string, at int64) string {
	var next time.Time
	for _, from := range b.begins(id) {
		if us := from.UnixMicro(); us > at && b.Method(id, us) != nil && (next.IsZero() || from.Before(next)) {
			next = from
		}
	}
	if next.IsZero() {
		return ""
	}
	return next.Format(time.RFC3339)
}

// begins lists the instants at which a version of a methodology may come into force.
func (b *Rulebook) begins(id string) []time.Time {
	var all []time.Time
	for _, m := range b.methods[id] {
		all = append(all, m.From)
	}
	for _, i := range b.insteads {
		if i.method.ID == id {
			all = append(all, i.from, i.to)
		}
	}
	return all
}

// Methods lists all versions of all methodologies, by id and from the oldest, those that only restate included.
func (b *Rulebook) Methods() []*methodology.Methodology {
	var out []*methodology.Methodology
	for _, versions := range b.methods {
		out = append(out, versions...)
	}
	for _, i := range b.insteads {
		if !slices.ContainsFunc(out, func(m *methodology.Methodology) bool { return m.Hash == i.method.Hash }) {
			out = append(out, i.method)
		}
	}
	slices.SortFunc(out, func(x, y *methodology.Methodology) int {
		return cmp.Or(cmp.Compare(x.ID, y.ID), x.From.Compare(y.From), cmp.Compare(x.Version, y.Version))
	})
	return out
}

// Versions lists the versions of one methodology, the latest from first.
func (b *Rulebook) Versions(id string) []*methodology.Methodology { return b.methods[id] }

// Group finds a methodology's group; one that has none gets a group of no kind.
func (b *Rulebook) Group(name string) *methodology.Group { return b.groups[name] }

// Including finds the group whose total includes acts of this activity in this group.
func (b *Rulebook) Including(group, activity string) (methodology.Group, bool) {
	g, ok := b.including[methodology.Inclusion{Group: group, Activity: activity}]
	return g, ok
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// invalid says what is wrong with a programme's scenario.
func invalid(p *Programme, scenario, format string, args ...any) error {
	return fault.New(fault.Invalid, "programme %s, scenario %s: "+format, append([]any{p.ID, scenario}, args...)...)
}
