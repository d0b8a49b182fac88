package rulebook

import (
	"maps"
	"math"
	"slices"
	"time"

	"github.com/tanpu/tanpu/rules/methodology"
)

// An instead is a text that stands in the place of all versions of its id that were published before it, for acts that
// begin within a time.
type instead struct {
	method   *methodology.Methodology
	from, to time.Time // to is exclusive; zero when open
	number   int64     // the rulebook that it made; a draft comes after all
}

func (i *instead) holds(id string, at int64) bool {
	return i.method.ID == id && i.from.UnixMicro() <= at && (i.to.IsZero() || at < i.to.UnixMicro())
}

// Instead reads a methodology's text against what the rulebook holds, and returns the rulebook as it would be
// with that text in the place of all published versions of its id, for acts that begin from from until before
// to (zero: open), whatever the text itself says of when it is valid. A group or factors that the text names and
// that this rulebook has not yet are taken from later; nothing else changes.
func (b *Rulebook) Instead(file string, text []byte, from, to time.Time, later *Rulebook) (*Rulebook, *methodology.Methodology, error) {
	with, m, err := b.put(file, text, &methodology.Library{Groups: later.Groups, Factors: later.factors})
	if err != nil {
		return nil, nil, err
	}
	with.insteads = append(with.insteads, &instead{m, from, to, math.MaxInt64})
	return with, m, nil
}

// put reads a text against what the rulebook holds, and what only later has, and returns a copy of the rulebook into
// which it can be put.
func (b *Rulebook) put(file string, text []byte, later *methodology.Library) (*Rulebook, *methodology.Methodology, error) {
	lib := &methodology.Library{Groups: filled(b.Groups, later.Groups), Factors: filled(b.factors, later.Factors)}
	m, err := methodology.Parse(file, text, lib)
	if err != nil {
		return nil, nil, err
	}
	with := *b
	with.insteads = slices.Clone(b.insteads)
	if _, has := b.Groups[m.Group]; m.Group != "" && !has {
		g := lib.Groups[m.Group]
		with.Groups, with.groups, with.including = maps.Clone(b.Groups), maps.Clone(b.groups), maps.Clone(b.including)
		with.Groups[g.Name], with.groups[g.Name] = g, &g
		if g.Includes != nil {
			with.including[*g.Includes] = g
		}
	}
	return &with, m, nil
}

// Last is the text that stands last in the place of others; nil for none.
func (b *Rulebook) Last() *methodology.Methodology {
	if n := len(b.insteads); n > 0 {
		return b.insteads[n-1].method
	}
	return nil
}

// filled is a map with what only another one has added to it.
func filled[V any](m, more map[string]V) map[string]V {
	all := maps.Clone(more)
	if all == nil {
		all = map[string]V{}
	}
	maps.Copy(all, m)
	return all
}
