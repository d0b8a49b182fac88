package claim

import (
	"fmt"
	"slices"
	"time"

	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/quantity"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
)

// Session is what holds for all claims that are judged together.
type Session struct {
	Book     *rulebook.Rulebook
	At       Micros // the instant: the same for every claim of the batch
	Backfill bool   // judge neither lateness nor the time from which a link is in force

	Forgotten bool // people were erased: it must be asked whether an act was theirs
}

// A Docket holds claims of one partition, in order of arrival, each with what it alone can tell
// (link, programme, methodology, and whether it is well formed), and what must be known to judge the rest.
type Docket struct {
	Session
	Needs Needs
	cases []matter
	again Outcome // of JudgeAgain
}

// A matter is one claim on the docket.
type matter struct {
	claim     *Claim
	body      string
	link      *Link // nil when the sub is not known, or not this partner's
	programme *rulebook.Programme
	method    *methodology.Methodology
	group     *methodology.Group // of kind "" where the methodology has none
	periods   []Period           // in which its caps count
	inputs    methodology.Inputs
	day       string      // local, of the start; see local
	refused   reason.Code // the first reason that lies in the claim itself; OK when there is none
	operands  reason.Operands
}

// Open puts claims on a docket. Links are those of the claims' subs.
func Open(s Session, claims []Claim, links map[string]*Link) *Docket {
	d := &Docket{}
	d.Reopen(s, claims, links)
	return d
}

// Reopen puts other claims on a docket, in the same memory: what it held, and what JudgeAgain made of
// it, is gone.
func (d *Docket) Reopen(s Session, claims []Claim, links map[string]*Link) {
	d.Session, d.Needs = s, d.Needs.emptied()
	d.cases = slices.Grow(d.cases[:0], len(claims))[:len(claims)]
	clear(d.cases)
	for i := range claims {
		m := &d.cases[i]
		m.claim, m.body = &claims[i], Body(&claims[i])
		if link := links[claims[i].Sub]; link != nil && link.Partner == claims[i].Partner {
			m.link = link
		}
		m.refused, m.operands = s.read(m)
		d.need(m)
	}
}

// read finds the first reason to refuse a claim that lies in the claim itself.
func (s *Session) read(m *matter) (reason.Code, reason.Operands) {
	for _, check := range [...]func(*Session, *matter) (reason.Code, reason.Operands){
		(*Session).linked, (*Session).offered, (*Session).timed, (*Session).placed, (*Session).measured,
	} {
		if code, operands := check(s, m); code != reason.OK {
			return code, operands
		}
	}
	return reason.OK, reason.Operands{}
}

// linked judges the member's consent: no-link, link-revoked, no-purpose.
func (s *Session) linked(m *matter) (reason.Code, reason.Operands) {
	switch l := m.link; {
	case l == nil:
		return reason.NoLink, reason.Operands{}
	case !s.Backfill && m.claim.Start < l.Since:
		return reason.NoLink, reason.Operands{From: instant(l.Since)}
	case len(l.Scenarios) > 0 && !slices.Contains(l.Scenarios, m.claim.Scenario):
		return reason.NoLink, reason.Operands{Field: m.claim.Scenario}
	case l.Revoked != 0 && l.Revoked <= s.At:
		return reason.LinkRevoked, reason.Operands{Until: instant(l.Revoked)}
	case !slices.Contains(l.Purposes, Credit):
		return reason.NoPurpose, reason.Operands{Need: Credit}
	}
	return reason.OK, reason.Operands{}
}

// offered finds the programme, scenario and methodology: programme-closed, scenario-off, unknown-methodology.
func (s *Session) offered(m *matter) (reason.Code, reason.Operands) {
	c := m.claim
	p := s.Book.Programmes[m.link.Programme]
	if p == nil || !p.Open(c.Start) {
		return reason.ProgrammeClosed, reason.Operands{Field: m.link.Programme, Got: instant(c.Start)}
	}
	m.programme = p
	scenario, ok := p.Scenarios[c.Scenario]
	if !ok || !slices.Contains(scenario.Partners, c.Partner) {
		return reason.ScenarioOff, reason.Operands{Field: c.Scenario, Got: instant(c.Start)}
	}
	m.method = s.Book.Method(scenario.Methodology, c.Start)
	if m.method == nil {
		return reason.UnknownMethodology, reason.Operands{Field: scenario.Methodology, Got: instant(c.Start), From: s.Book.Next(scenario.Methodology, c.Start)}
	}
	m.group = s.Book.Group(m.method.Group)
	return reason.OK, reason.Operands{}
}

// timed judges the claim's times: bad-time, in-future, too-late.
func (s *Session) timed(m *matter) (reason.Code, reason.Operands) {
	c, g := m.claim, m.group
	switch {
	case c.End < c.Start:
		return reason.BadTime, reason.Operands{Field: "end", Got: instant(c.End), Want: instant(c.Start)}
	case g.Kind == methodology.Spans && c.End-c.Start > g.Span.Microseconds():
		return reason.BadTime, reason.Operands{Field: "duration", Got: lasting(c.End - c.Start), Limit: g.Span.String()}
	case g.Kind == methodology.Total && !m.method.WholePeriod(g.Period, c.Start, c.End):
		return reason.BadTime, reason.Operands{Field: "start", Got: instant(c.Start), Want: "whole " + g.Period}
	case c.End > s.At+m.programme.Early.Microseconds():
		return reason.InFuture, reason.Operands{Got: instant(c.End), Limit: m.programme.Early.String()}
	case !s.Backfill && s.At-c.End > m.programme.Late.Microseconds():
		return reason.TooLate, reason.Operands{Got: lasting(s.At - c.End), Limit: m.programme.Late.String()}
	}
	return reason.OK, reason.Operands{}
}

// placed judges where the act took place: out-of-region. A code contains those that begin with it (GB/T 2260).
func (s *Session) placed(m *matter) (reason.Code, reason.Operands) {
	for _, area := range [...]string{m.programme.Region, m.method.Region} {
		if !methodology.Within(m.region(), area) {
			return reason.OutOfRegion, reason.Operands{Got: m.region(), Limit: area}
		}
	}
	return reason.OK, reason.Operands{}
}

func (m *matter) region() string {
	if m.claim.Region != "" {
		return m.claim.Region
	}
	return m.programme.Region
}

// measured judges evidence and quantities: bad-evidence, bad-quantity, below-minimum, above-maximum,
// object-unknown, implausible.
func (s *Session) measured(m *matter) (code reason.Code, operands reason.Operands) {
	given := m.given(nil)
	m.inputs, code, operands = m.method.Read(&given)
	if m.group.Kind == methodology.Act && m.claim.Act == "" && code != reason.BadEvidence && code != reason.BadQuantity {
		return reason.BadQuantity, reason.Operands{Field: "act", Want: "the key of the order or record"}
	}
	if code != reason.OK {
		return code, operands
	}
	if o := m.claim.Object; (o != "" || m.group.EachObject) && !slices.Contains(m.link.Objects, o) {
		return reason.ObjectUnknown, reason.Operands{Got: o}
	}
	return m.method.Plausible(&given, m.inputs)
}

func (m *matter) given(known *Known) methodology.Given {
	g := methodology.Given{
		Start:      m.claim.Start,
		End:        m.claim.End,
		Region:     m.region(),
		Evidence:   m.claim.Evidence,
		Quantities: m.claim.Quantities,
	}
	if known != nil {
		g.History = func(input, period string) (quantity.Rat, bool) {
			v, ok := known.Kept[m.kept(input, period)]
			return v, ok
		}
	}
	return g
}

// need notes what judging m will ask of the store.
func (d *Docket) need(m *matter) {
	if m.link == nil {
		return
	}
	if m.refused.Recorded() {
		d.Needs.Guarded = append(d.Needs.Guarded, m.identity())
	} else {
		d.Needs.Same = append(d.Needs.Same, m.identity())
	}
	if m.refused != reason.OK {
		return
	}
	if m.group.Kind == methodology.Spans {
		reach := m.group.Span.Microseconds()
		d.Needs.Near = append(d.Needs.Near, Near{m.line(), m.claim.Start - reach, m.claim.End})
	}
	if slot, ok := d.slot(m); ok {
		d.Needs.Slots = append(d.Needs.Slots, slot)
	}
	m.periods = m.capped()
	d.Needs.Usage = append(d.Needs.Usage, m.periods...)
	for _, k := range m.method.NeedsHistory(m.claim.Start) {
		d.Needs.Kept = append(d.Needs.Kept, m.kept(k.Input, k.Period))
	}
	if m.method.NetYear {
		d.Needs.Nets = append(d.Needs.Nets, m.netKey())
	}
	if d.Forgotten {
		d.Needs.Marks = append(d.Needs.Marks, d.marked(m)...)
	}
}

func (m *matter) identity() Identity {
	return Identity{m.link.Account, m.claim.Partner, m.claim.ID}
}

func (m *matter) line() Line { return Line{m.link.Account, m.method.Group} }

// slot names what m's act fills: for a total or an act its own; for an act that a total of another group
// includes (a walk, in a day's steps), that total's.
func (d *Docket) slot(m *matter) (Slot, bool) {
	s := Slot{Account: m.link.Account, Group: m.method.Group}
	switch m.group.Kind {
	case methodology.Act:
		s.Key = m.claim.Act
	case methodology.Total:
		s.Key = m.total(m.group.Period)
	case methodology.Spans:
		including, ok := d.Book.Including(m.method.Group, m.method.Activity)
		if !ok {
			return Slot{}, false
		}
		s.Group, s.Key = including.Name, m.local(including.Period) // whatever object the act names
	default:
		return Slot{}, false
	}
	return s, true
}

// total is the key of a period's total: the local period, and the object where the group counts each.
// Elsewhere the object is left out, or the same month would count once with the meter's name and once without.
func (m *matter) total(period string) string {
	name := m.local(period)
	if o := m.object(); o != "" {
		name += "/" + o
	}
	return name
}

// object is what the group counts apart from others of the person's, "" where it counts the person.
func (m *matter) object() string {
	if m.group.EachObject {
		return m.claim.Object
	}
	return ""
}

// local names the local day, month or year of the claim's start.
func (m *matter) local(period string) string {
	if m.day == "" {
		m.day = m.method.LocalDay(m.claim.Start) // 2026-08-21, which begins with its month and year
	}
	switch period {
	case "day":
		return m.day
	case "month":
		return m.day[:len("2026-08")]
	}
	return m.day[:len("2026")]
}

// capped lists the periods in which the methodology's caps count.
func (m *matter) capped() []Period {
	if len(m.method.Caps) == 0 {
		return nil
	}
	out := make([]Period, 0, 1)
	for _, c := range m.method.Caps {
		p := Period{m.link.Account, m.method.ID, m.local(c.Per)}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

func (m *matter) kept(input, period string) Kept {
	return Kept{m.link.Account, m.method.ID, input, m.object(), period}
}

func (m *matter) vintage() string { return m.local("year") }

func (m *matter) series() ledger.Asset {
	return ledger.Series(m.programme.ID, m.method.Name(), m.vintage())
}

func (m *matter) net() ledger.Asset {
	return ledger.Net(m.programme.ID, m.method.Name(), m.vintage())
}

func instant(us Micros) string { return time.UnixMicro(us).UTC().Format(time.RFC3339) }

func lasting(us Micros) string {
	return fmt.Sprint((time.Duration(us) * time.Microsecond).Round(time.Second))
}
