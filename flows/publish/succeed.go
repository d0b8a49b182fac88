package publish

import (
	"slices"
	"time"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/methodology"
)

// succeeds holds a shelf against the one before: what has been judged by must not change under what was
// judged. Groups keep their rules, factors their values, a programme its time zone and ownership, and a
// new version of a methodology in force starts in the future.
func (s *shelf) succeeds(before *shelf, now time.Time) error {
	for name, groups := range before.groups {
		for _, old := range groups {
			if err := sameGroup(name, old, s.groups[name]); err != nil {
				return err
			}
		}
	}
	for name, factors := range before.factors {
		for id, old := range factors {
			if err := sameFactor(name, id, old, s.factors[name][id], now); err != nil {
				return err
			}
		}
	}
	for id, old := range before.programmes {
		if p := s.programmes[id]; p.Zone.String() != old.Zone.String() || p.Assigned != old.Assigned {
			return fault.New(fault.Conflict, "programme %s cannot change its time zone or ownership: what it has credited depends on them", id)
		}
	}
	return s.startsLater(before, now)
}

// startsLater refuses a new version of a methodology that would change what is being judged already.
func (s *shelf) startsLater(before *shelf, now time.Time) error {
	for name, m := range s.methods {
		if before.methods[name] != nil || m.From.After(now) {
			continue
		}
		for _, old := range before.methods {
			if old.ID == m.ID {
				return fault.New(fault.Conflict, "%s would be in force from %s, which is past: a new version of %s starts in the future, and what is past changes only by restatement",
					name, m.From.Format(time.DateOnly), m.ID)
			}
		}
	}
	return nil
}

func sameGroup(document string, old methodology.Group, groups []methodology.Group) error {
	i := slices.IndexFunc(groups, func(g methodology.Group) bool { return g.Name == old.Name })
	if i < 0 {
		return fault.New(fault.Conflict, "%s.groups.yaml: group %s is published and cannot be left out", document, old.Name)
	}
	now := groups[i]
	same := now.Kind == old.Kind && now.Tolerance == old.Tolerance && now.Span == old.Span && now.Period == old.Period &&
		now.Greatest == old.Greatest && now.EachObject == old.EachObject && (now.Includes == nil) == (old.Includes == nil) && (old.Includes == nil || *now.Includes == *old.Includes)
	if !same {
		return fault.New(fault.Conflict, "%s.groups.yaml: group %s is published; only its title can change", document, old.Name)
	}
	return nil
}

func sameFactor(document, id string, old, next *methodology.Factor, now time.Time) error {
	if next == nil {
		return fault.New(fault.Conflict, "%s.factors.yaml: factor %s is published and cannot be left out", document, id)
	}
	// Level, kind and dimension are what its name stands for: with kind: average turned into margin, units
	// could be claimed by it. A region in another area would have had another value all along.
	same := next.Kind == old.Kind && next.Level == old.Level && next.Unit.Dim == old.Unit.Dim
	for area, regions := range old.Areas {
		for _, r := range regions {
			same = same && slices.Contains(next.Areas[area], r)
		}
	}
	if !same {
		return fault.New(fault.Conflict, "%s.factors.yaml: factor %s is published; its kind, level, dimension and areas cannot change", document, id)
	}
	for _, v := range old.Values {
		kept := slices.ContainsFunc(next.Values, func(n methodology.FactorValue) bool {
			return n.Region == v.Region && n.From.Equal(v.From) && n.Value.Cmp(v.Value) == 0 &&
				(n.To.Equal(v.To) || v.To.IsZero() && n.To.After(now))
		})
		if !kept {
			return fault.New(fault.Conflict, "%s.factors.yaml: a published value of %s changed or is gone; add values for later times instead", document, id)
		}
	}
	return nil
}
