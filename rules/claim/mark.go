package claim

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
)

// Acts of erased people are remembered by marks: texts that the same act gives again, whoever reports it for whomever, of
// which only a keyed hash is kept. A mark does not say whose the act was. So who comes back, and is linked anew, is not
// credited for it again. It is asked only for acts from before the member's link: who was erased has none from before that.

// A Marked claim asks whether its act was credited to somebody who was erased before an instant.
type Marked struct {
	Identity
	Text   string
	Before Micros
}

// leeway is how far two partitions' clocks may be apart.
const leeway = 10 * time.Minute

// marks are the texts by which a claim's act is known again: what makes it one act wherever it is reported, its order, its
// meter's month, its partner's record; and what makes it one claim of its partner. A total without an object has nothing of
// the kind but what it says, or one partner's many members with the same day for an id would be taken for one.
func (d *Docket) marks(m *matter) []string {
	c := m.claim
	var list []string
	add := func(words ...string) { list = append(list, strings.Join(words, "\x00")) }
	switch m.group.Kind {
	case methodology.Act:
		add("act", m.method.Group, c.Act)
	case methodology.Total:
		if c.Object != "" {
			add("total", m.method.Group, m.local(m.group.Period), c.Object)
		}
	}
	if c.Commitment != "" {
		add("record", c.Partner, c.Commitment)
	}
	when := fmt.Sprintf("%d %d", c.Start, c.End)
	if m.group.Kind == methodology.Total {
		add("claim", c.Partner, c.ID, when, c.Scenario, m.body)
	} else {
		add("claim", c.Partner, c.ID, when)
	}
	return list
}

// asks reports whether a claim's act may have been that of somebody who was erased.
func (m *matter) asks() bool {
	return m.claim.Start < m.link.Granted+(m.programme.Early+leeway).Microseconds()
}

// Marks are those of the i-th claim on the docket; none where it cannot be an act that was credited before its link, or
// is refused for what it says.
func (d *Docket) Marks(i int) []Marked { return d.marked(&d.cases[i]) }

func (d *Docket) marked(m *matter) (list []Marked) {
	if m.link == nil || m.refused != reason.OK || !m.asks() {
		return nil
	}
	for _, text := range d.marks(m) {
		list = append(list, Marked{m.identity(), text, m.link.Granted + leeway.Microseconds()})
	}
	return list
}

// CameBack reports whether a verdict says that the act was credited to somebody who was erased: it names nobody.
func (v *Verdict) CameBack() bool { return v.Reason == reason.Overlap && v.Operands.Other == "" }

// Marks are those of an account's acts: of the claims that count, and of those that lost to them.
func (f *File) Marks() (list []string, err error) {
	if _, err := f.arrange(); err != nil {
		return nil, err
	}
	for i := range f.Claims {
		p := &f.Claims[i]
		if !p.accepted() && (p.reversed || p.Verdict.Reason != reason.Overlap) {
			continue
		}
		s, err := f.open(p)
		if err != nil {
			return nil, err
		}
		list = append(list, s.docket.marks(s.matter())...)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// Needs is what must be known of a claim that is to take the place of one, besides what the file holds.
func (f *File) Needs(c *Claim, now Basis) (Needs, error) {
	s, err := f.session(now)
	if err != nil {
		return Needs{}, err
	}
	s.Forgotten = true
	return Needs{Marks: Open(s, []Claim{*c}, f.links(c.Sub, now.At)).Needs.Marks}, nil
}

// remember knows again what earlier verdicts say of acts that were credited to somebody who was erased.
func (f *File) remember() {
	for i := range f.Claims {
		if p := &f.Claims[i]; p.Verdict.CameBack() {
			f.Known.Forget(Identity{f.Account, p.Claim.Partner, p.Claim.ID})
		}
	}
}
