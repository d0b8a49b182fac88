package claim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/quantity"
	"github.com/tanpu/tanpu/rules/reason"
)

// A Correction says what is to become of recorded claims of one account.
type Correction struct {
	Of     []Ref // claims that were not reversed yet, each once
	Why    Why   // Retracted; Replaced by With; or, for refusals that prove curable, Rejudged by the rulebook of now
	With   *Claim
	By     string
	Reason string
}

// MaxCorrected bounds the claims that one correction judges again: a batch is one transaction.
const MaxCorrected = 10_000

// Curable reports whether a refusal with this reason can be judged again by a later rulebook: what was missing then
// was a text, and not anything that the claim says.
func Curable(code reason.Code) bool {
	return code == reason.UnknownMethodology || code == reason.ScenarioOff || code == reason.ProgrammeClosed
}

// Correct takes claims back and judges again what they stood in the way of, and what was computed from them. By this
// rule a partner's or operator's correction is made, and proved years later.
//
// What is taken back is exactly what was credited. Then are judged, in the order in which they came:
//   - what takes the place of a claim, as if it had come when that claim came;
//   - the claims whose credit was computed with it: those of the same day's steps, of the same net: year, and those
//     that had its value for their history, or lacked one that there is now. Nobody takes their place meanwhile, nor
//     their share of a cap;
//   - the claims that lost to it as overlaps, against everything that counts now.
//
// Each by the instant and the rulebook by which it was judged before, and by what was ordered of its day since. One that
// comes out as it was is left as it is; otherwise it is reversed, and stands again in this batch. What a cap refused stays refused: caps are filled in the
// order in which claims come, and a correction comes late.
//
// What the member has spent, or what has gone into a lot, and is not made good by claims judged again, is charged to
// the partner. The outcome's entry sums to zero. number is the batch's, now its instant and rulebook.
func Correct(f *File, r *Correction, number int64, now Basis) (*Outcome, error) {
	places, err := f.arrange()
	if err != nil {
		return nil, err
	}
	spans, err := f.spans()
	if err != nil {
		return nil, err
	}
	f.Known.Spans = spans
	f.remember()
	book, err := f.Book(now)
	if err != nil {
		return nil, err
	}
	c := &correcting{
		File: f, request: r, number: number, now: now, restated: book.Restated, places: places,
		before: &Known{Slots: maps.Clone(f.Known.Slots), Usage: maps.Clone(f.Known.Usage), Kept: maps.Clone(f.Known.Kept)},
		work:   Outcome{Changed: NewKnown(), Counts: Counts{}},
	}
	for _, step := range [...]func() error{c.name, c.lost, c.reach, c.withdraw, c.judge, c.write} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return c.outcome(), nil
}

// correcting is a correction on its way.
type correcting struct {
	*File
	request  *Correction
	number   int64
	now      Basis
	restated int64 // the last restatement that is published
	places   map[Ref]*Past

	targets []*standing // what is corrected; those that were refused have no docket
	turns   []*turn     // what is judged, in order of arrival
	slots   map[Slot]bool
	nets    map[ledger.Key]bool
	before  *Known  // as it was
	work    Outcome // its Changed collects what was touched

	reversals []Reversal
	undone    []*Past // the claims that they are of
	rows      []Row
}

// A turn is a claim to be judged.
type turn struct {
	old     *standing
	claim   *Claim
	basis   Basis
	times   int
	holding bool // the old one counts, and holds its place and its share of caps until it is judged
	row     *Row // what came out, where it takes the old one's place
}

// name finds the claims that are to be corrected, and what takes their place.
func (c *correcting) name() error {
	for _, ref := range c.request.Of {
		p := c.places[ref]
		switch {
		case p == nil:
			return fault.New(fault.NotFound, "there is no claim %s", ref)
		case p.reversed:
			return fault.New(fault.Conflict, "claim %s was reversed before", ref)
		}
		s := &standing{Past: p}
		if p.accepted() {
			var err error
			if s, err = c.open(p); err != nil {
				return err
			}
		}
		c.targets = append(c.targets, s)
		if err := c.successor(s); err != nil {
			return err
		}
	}
	return nil
}

// successor finds what takes a corrected claim's place.
func (c *correcting) successor(s *standing) error {
	t := &turn{old: s, claim: s.Claim, basis: s.Basis.under(c.restated), times: s.Times + 1}
	t.basis.Rulebook, t.basis.Restated = c.now.Rulebook, 0
	switch c.request.Why {
	case Retracted:
		return nil
	case Replaced:
		if err := c.replaceable(s.Past); err != nil {
			return err
		}
		t.claim, t.times = c.request.With, 0
	case Rejudged:
		if !Curable(s.Verdict.Reason) {
			return fault.New(fault.Unfit, "claim %s is %q, and not a refusal that a later rulebook can cure", s.Verdict.Ref, s.Verdict.Reason)
		}
	}
	// An act that ended after the claim had come was reported too early then; it is not too early now.
	t.basis.At = max(t.basis.At, min(t.claim.End, c.now.At))
	c.turns = append(c.turns, t)
	return nil
}

// replaceable holds a replacement against the claim that it is for, and against the consent that is in force now: it
// tells something new of the member.
func (c *correcting) replaceable(p *Past) error {
	with := c.request.With
	l := c.Links[with.Sub]
	switch {
	case l == nil || with.Partner != p.Claim.Partner || l.Partner != with.Partner:
		return fault.New(fault.Unfit, "a replacement names the same member as the claim, and comes from the same partner")
	case l.Revoked != 0 && l.Revoked <= c.now.At:
		return fault.New(fault.Conflict, "the member has ended the link: the claim can be retracted, and not replaced")
	}
	for i := range c.Claims {
		if o := c.Claims[i].Claim; o.Partner == with.Partner && o.ID == with.ID {
			return fault.New(fault.Conflict, "a replacement has an id of its own, and %q is that of a claim that was recorded", with.ID)
		}
	}
	return nil
}

// lost finds the claims that lost to those that are taken back.
func (c *correcting) lost() error {
	for i := range c.Claims {
		p := &c.Claims[i]
		if p.reversed || p.Verdict.Reason != reason.Overlap || !slices.ContainsFunc(c.targets, func(s *standing) bool { return s.docket != nil && s.Group == p.Group }) {
			continue
		}
		s, err := c.open(p)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(c.targets, func(o *standing) bool { return o.docket != nil && o.clashes(s) }) {
			c.turns = append(c.turns, &turn{old: s, claim: s.Claim, basis: s.Basis.under(c.restated), times: s.Times + 1})
		}
	}
	return nil
}

// reach finds the claims whose credit was computed with those that are corrected, and with those in turn.
func (c *correcting) reach() error {
	c.slots, c.nets = map[Slot]bool{}, map[ledger.Key]bool{}
	values, err := c.values()
	if err != nil {
		return err
	}
	taken := map[*Past]bool{}
	note := func(s *standing) {
		if slot, ok := s.shared(); ok {
			c.slots[slot] = true
		}
		if key, ok := s.net(); ok {
			c.nets[key] = true
		}
	}
	for _, s := range c.targets {
		if taken[s.Past] = true; s.docket != nil {
			note(s)
		}
	}
	for more := true; more; {
		more = false
		for i := range c.Claims {
			p := &c.Claims[i]
			if taken[p] || !p.accepted() && !p.uncomputed() || !c.near(p, values) {
				continue
			}
			s, err := c.open(p)
			if err != nil {
				return err
			}
			recalls := s.recalls(values)
			if recalls { // then its own value may count no more, or again
				s.matter().leave(values, s.arrived)
			}
			slot, counted := s.shared()
			key, netted := s.net()
			if !recalls && !(p.accepted() && (counted && c.slots[slot] || netted && c.nets[key])) {
				continue
			}
			if p.accepted() {
				note(s)
			}
			c.turns = append(c.turns, &turn{old: s, claim: s.Claim, basis: s.Basis.under(c.restated), times: s.Times + 1, holding: p.accepted()})
			taken[p], more = true, true
		}
	}
	if len(c.turns) > MaxCorrected {
		return fault.New(fault.TooLarge, "this judges %d claims again at once, more than %d", len(c.turns), MaxCorrected)
	}
	slices.SortStableFunc(c.turns, func(a, b *turn) int { return a.old.arrived.compare(b.old.arrived) })
	return nil
}

// values are the kept values that may be others afterwards, or new, each with when the first claim came that has to
// do with it.
func (c *correcting) values() (map[Kept]Ref, error) {
	values := map[Kept]Ref{}
	for _, s := range c.targets {
		if s.docket != nil {
			s.matter().leave(values, s.arrived)
		}
	}
	for _, t := range c.turns {
		s, err := c.session(t.basis)
		if err != nil {
			return nil, err
		}
		Open(s, []Claim{*t.claim}, c.links(t.claim.Sub, t.basis.At)).cases[0].leave(values, t.old.arrived)
	}
	return values, nil
}

// leave adds to values those that a claim leaves, if it counts.
func (m *matter) leave(values map[Kept]Ref, arrived Ref) {
	for _, k := range m.keeps() {
		if first, ok := values[k]; !ok || arrived.compare(first) < 0 {
			values[k] = arrived
		}
	}
}

// near tells cheaply which claims cannot depend on what is corrected.
func (c *correcting) near(p *Past, values map[Kept]Ref) bool {
	if len(values) > 0 && (p.Verdict.Reason == reason.NoHistory || slices.ContainsFunc(p.Used, func(u methodology.Use) bool { return strings.HasPrefix(u.What, "history ") })) {
		return true
	}
	if len(c.nets) > 0 && c.nets[ledger.Key{Holder: ledger.Holder(c.Account), Asset: ledger.Net(p.Programme, p.Verdict.Method, p.Vintage)}] {
		return true
	}
	return len(c.slots) > 0 && p.Group != ""
}

// withdraw takes back what claims were credited, and empties the periods and years that are counted anew.
func (c *correcting) withdraw() error {
	for _, s := range c.targets {
		if s.docket == nil {
			continue
		}
		if err := c.takeBack(s); err != nil {
			return err
		}
		if err := c.release(s); err != nil {
			return err
		}
	}
	for _, t := range c.turns {
		if t.holding {
			if err := c.takeBack(t.old); err != nil {
				return err
			}
		}
	}
	if err := c.divide(); err != nil {
		return err
	}
	for slot := range c.slots {
		delete(c.Known.Slots, slot)
		c.work.Changed.Slots[slot] = Counted{}
	}
	for key := range c.nets {
		c.work.Entry.Move(key.Holder, ledger.Issuance, key.Asset, c.Known.Nets[key])
		delete(c.Known.Nets, key)
	}
	return nil
}

// divide gives up what the totals of a period have of a cap where a replacement is one of them: what the period comes to
// is divided among all of them anew. Held until they are judged, it would refuse the replacement what they then no
// longer need, and nobody would get it.
func (c *correcting) divide() error {
	for _, t := range c.turns {
		if t.claim != c.request.With {
			continue
		}
		s, err := c.session(t.basis)
		if err != nil {
			return err
		}
		d := Open(s, []Claim{*t.claim}, c.links(t.claim.Sub, t.basis.At))
		if m := &d.cases[0]; m.refused != reason.OK || m.group.Kind != methodology.Total {
			return nil
		}
		into, _ := d.slot(&d.cases[0])
		for _, o := range c.turns {
			if slot, ok := o.shared(); ok && slot == into && o.old.matter().group.Kind == methodology.Total {
				if err := c.unuse(o.old); err != nil {
					return err
				}
				o.old.unused = true
			}
		}
	}
	return nil
}

// shared is the slot in which a claim is counted that holds its place until it is judged.
func (t *turn) shared() (Slot, bool) {
	if !t.holding {
		return Slot{}, false
	}
	return t.old.shared()
}

func (c *correcting) takeBack(s *standing) error {
	c.work.Entry.Move(s.Holder, ledger.Issuance, s.series(), s.Verdict.Milligrams)
	if s.Verdict.Points == 0 {
		return nil
	}
	points, err := s.points(c.File)
	if err == nil {
		c.work.Entry.Move(ledger.Holder(c.Account), ledger.Issuance, points, s.Verdict.Points)
	}
	return err
}

// series is the asset of the claim's reduction, and points that of its points.
func (p *Past) series() ledger.Asset { return ledger.Series(p.Programme, p.Verdict.Method, p.Vintage) }

func (p *Past) points(f *File) (ledger.Asset, error) {
	book, err := f.Book(p.Basis)
	if err != nil {
		return "", err
	}
	programme := book.Programmes[p.Programme]
	if programme == nil || programme.Points == nil {
		return "", fmt.Errorf("claim %s has points of a programme that gives none", p.Verdict.Ref)
	}
	return ledger.Points(p.Programme, programme.Points.Expiry(p.Basis.At)), nil
}

// release gives up the time or thing that a claim took, its share of caps, and the values that it left.
func (c *correcting) release(s *standing) error {
	m := s.matter()
	switch {
	case m.group.Kind == methodology.Spans:
		line := m.line()
		i := slices.Index(c.Known.Spans[line], Span{m.claim.Start, m.claim.End, m.claim.Partner})
		if i < 0 {
			return fmt.Errorf("claim %s counts, and its time is not taken", s.Verdict.Ref)
		}
		c.Known.Spans[line] = slices.Delete(c.Known.Spans[line], i, i+1)
	case m.group.Kind == methodology.Act, m.group.Kind == methodology.Total && !m.group.Greatest:
		slot, _ := s.docket.slot(m)
		delete(c.Known.Slots, slot)
		c.work.Changed.Slots[slot] = Counted{}
	}
	for _, k := range m.keeps() {
		delete(c.Known.Kept, k)
		c.work.Changed.Kept[k] = quantity.Rat{}
	}
	if s.unused {
		return nil
	}
	return c.unuse(s)
}

// unuse takes a claim's share out of what caps counted: what judging it alone again adds to what it found.
func (c *correcting) unuse(s *standing) error {
	m := s.matter()
	if len(m.periods) == 0 {
		return nil
	}
	d, known, err := reopen(s.docket.Session, &s.Row)
	if err != nil {
		return err
	}
	found := maps.Clone(known.Usage)
	o := d.Judge(0, 1, known)
	if len(o.Rows) != 1 || !same(&o.Rows[0], &s.Row) {
		return fmt.Errorf("claim %s judged again from its leaf comes out otherwise", s.Verdict.Ref)
	}
	for _, p := range m.periods {
		alone := Period{1, p.Method, p.Name} // the account's number in a docket that was reopened
		left, ok := c.Known.Usage[p].less(o.Changed.Usage[alone], found[alone])
		if !ok {
			return fmt.Errorf("claim %s counts in %s, and that counted less", s.Verdict.Ref, p.Name)
		}
		if left.Claims > 0 {
			c.Known.Usage[p] = left
		} else {
			delete(c.Known.Usage, p)
		}
		c.work.Changed.Usage[p] = left
	}
	return nil
}

// less is what is left of a usage without what one claim added, from before to after. An input whose minimum is below
// zero can leave less than nothing.
func (u Usage) less(after, before Usage) (Usage, bool) {
	left := Usage{Stored: u.Stored, Claims: u.Claims - (after.Claims - before.Claims)}
	for _, a := range u.Amounts {
		added, ok1 := after.amount(a.Of).Sub(before.amount(a.Of))
		v, ok2 := a.Value.Sub(added)
		if !ok1 || !ok2 {
			return left, false
		}
		if v.Sign() != 0 {
			left.Amounts = append(left.Amounts, Amount{a.Of, v})
		}
	}
	return left, left.Claims >= 0
}

// judge gives each turn its verdict.
func (c *correcting) judge() error {
	for _, t := range c.turns {
		if t.holding {
			if err := c.release(t.old); err != nil {
				return err
			}
		}
		s, err := c.session(t.basis)
		if err != nil {
			return err
		}
		net := c.netOf(t)
		Open(s, []Claim{*t.claim}, c.links(t.claim.Sub, t.basis.At)).judgeAll(c.Part, c.number, c.Known, &c.work)
		if len(c.work.Rows) == 0 {
			if c.request.With == t.claim {
				return fault.New(fault.Unfit, "the replacement cannot be recorded: %s", c.work.Verdicts[0].Reason)
			}
			if t.holding {
				return fmt.Errorf("claim %s judged again would not be recorded", t.old.Verdict.Ref)
			}
			continue // such a verdict is none for good: what is recorded stands
		}
		row := c.work.Rows[0]
		stands := same(&row, &t.old.Row) || !t.holding && row.Verdict.Reason == t.old.Verdict.Reason
		if stands && t.holding {
			if stands, err = t.old.added(c.netOf(t) - net); err != nil {
				return err
			}
		}
		if stands && c.request.With != t.claim {
			continue
		}
		row.Claim, row.Again, row.Times = t.claim, &Again{t.old.Verdict.Ref, t.basis}, t.times
		t.row = &row
	}
	return nil
}

// netOf is what the claim's year adds up to so far; 0 where it is no net: year.
func (c *correcting) netOf(t *turn) int64 {
	if !t.holding {
		return 0
	}
	key, _ := t.old.net()
	return c.Known.Nets[key]
}

// added reports whether a claim added so much to its year when it was judged, as its leaf says. Its credit can be the
// same while that is not: a year below zero is worth as little as one further below.
func (s *standing) added(n int64) (bool, error) {
	key, netted := s.net()
	if !netted {
		return true, nil
	}
	credits, err := Credits(s.docket.Session, &s.Row)
	return credits[key.Asset] == n, err
}

// same reports whether two outcomes of a claim come to the same.
func same(a, b *Row) bool {
	v, w := &a.Verdict, &b.Verdict
	return v.Reason == w.Reason && v.Method == w.Method && v.Milligrams == w.Milligrams && v.Points == w.Points && holderCode(a.Holder) == holderCode(b.Holder)
}

// write lists the reversals, those that were asked for first, and the claims that stand in their place.
func (c *correcting) write() error {
	asked := make(map[*Past]bool, len(c.targets))
	judged := make(map[*Past]*turn, len(c.turns))
	for _, t := range c.turns {
		judged[t.old.Past] = t
	}
	for _, s := range c.targets {
		asked[s.Past] = true
		if t := judged[s.Past]; t == nil || t.row != nil {
			c.reverse(s.Past, c.request.Why)
		}
	}
	for _, t := range c.turns {
		if t.row != nil && !asked[t.old.Past] {
			c.reverse(t.old.Past, Rejudged)
		}
	}
	next := make(map[*Past]int, len(c.turns))
	for _, t := range c.turns {
		if t.row != nil {
			next[t.old.Past] = len(c.reversals) + len(c.rows)
			t.row.Verdict.Ref = Ref{c.Part, c.number, next[t.old.Past]}
			c.rows = append(c.rows, *t.row)
		}
	}
	for i, p := range c.undone {
		if n, ok := next[p]; ok {
			c.reversals[i].Next, c.reversals[i].Basis = n, judged[p].basis
		}
	}
	return c.settle()
}

func (c *correcting) reverse(p *Past, why Why) {
	c.undone = append(c.undone, p)
	c.reversals = append(c.reversals, Reversal{
		Ref: Ref{c.Part, c.number, len(c.reversals)}, Of: p.Verdict.Ref, Why: why, By: c.request.By, Reason: c.request.Reason,
		Milligrams: p.Verdict.Milligrams, Points: p.Verdict.Points, Next: -1,
		Programme: p.Programme, Method: p.Verdict.Method, Vintage: p.Vintage, Was: p.Verdict.Reason, Account: c.Account,
		Group: p.Group, Start: p.Claim.Start, Key: p.Key,
	})
}

// settle charges to the partner what is taken back and gone already: of what the member held, as much as its balance
// lacks; of what went into a lot, as much as the claims judged again do not make good.
func (c *correcting) settle() error {
	short := map[ledger.Key]int64{}
	for key, change := range c.work.Entry.All() {
		switch {
		case key.Asset.Kind() == "NET": // what is credited of it is another asset
		case key.Holder == ledger.Holder(c.Account):
			short[key] = -(c.Balances[key] + change)
		case key.Holder == ledger.Applicant && c.Pooled != nil:
			short[key] = -change
		}
	}
	for i := range c.reversals {
		if err := c.charge(&c.reversals[i], c.undone[i], short); err != nil {
			return err
		}
	}
	return nil
}

// charge lets a reversal bear of what is short as much as it takes back.
func (c *correcting) charge(r *Reversal, p *Past, short map[ledger.Key]int64) error {
	bear := func(key ledger.Key, most int64) int64 {
		n := max(0, min(short[key], most))
		short[key] -= n
		c.work.Entry.Move(ledger.Liability, key.Holder, key.Asset, n)
		return n
	}
	if p.Holder > 0 || c.Pooled != nil && p.Holder == ledger.Applicant && c.Pooled(r.Of, p.series()) {
		r.OwedMilligrams = bear(ledger.Key{Holder: p.Holder, Asset: p.series()}, r.Milligrams)
	}
	if r.Points == 0 {
		return nil
	}
	points, err := p.points(c.File)
	if err == nil {
		r.OwedPoints = bear(ledger.Key{Holder: ledger.Holder(c.Account), Asset: points}, r.Points)
	}
	return err
}

// outcome tells what changed, of all that was touched.
func (c *correcting) outcome() *Outcome {
	o := &Outcome{Rows: c.rows, Reversals: c.reversals, Entry: c.work.Entry, Changed: NewKnown(), Counts: Counts{}}
	for k := range c.work.Changed.Slots {
		now, is := c.Known.Slots[k]
		was, had := c.before.Slots[k]
		switch {
		case is && (!had || now != was):
			o.Changed.Slots[k] = now
		case !is && had:
			o.Gone.Slots = append(o.Gone.Slots, k)
		}
	}
	for k := range c.work.Changed.Usage {
		now, is := c.Known.Usage[k]
		was, had := c.before.Usage[k]
		now.Stored = had
		switch {
		case is && (!had || now.String() != was.String()):
			o.Changed.Usage[k] = now
		case !is && had:
			o.Gone.Usage = append(o.Gone.Usage, k)
		}
	}
	for k := range c.work.Changed.Kept {
		now, is := c.Known.Kept[k]
		was, had := c.before.Kept[k]
		switch {
		case is && (!had || now.Cmp(was) != 0):
			o.Changed.Kept[k] = now
		case !is && had:
			o.Gone.Kept = append(o.Gone.Kept, k)
		}
	}
	slices.SortFunc(o.Gone.Slots, func(a, b Slot) int { return cmp.Or(cmp.Compare(a.Group, b.Group), cmp.Compare(a.Key, b.Key)) })
	return o
}
