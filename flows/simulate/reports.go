package simulate

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tanpu/tanpu/flows/testimony"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/signature"
)

// A partner reports what members do, and again until it is answered.
type partner struct {
	name string
	open []*report // those that were not answered
	past []*report // those that were
	off  time.Duration
}

// A report is a claim, and the verdict that its partner has of it.
type report struct {
	claim   claim.Claim
	verdict *claim.Verdict // the first that said where it is recorded
}

// A message is a request on its way.
type message struct {
	from    *partner
	reports []*report
	claims  []claim.Claim
	request signature.Request
	salt    [32]byte
	input   string // the headers of the signature
	value   string
}

// An inquiry is a request that a server took, and the answer that it will have.
type inquiry struct {
	*message
	signed *signature.Signed
	leaves []ledger.Hash
	told   []bool // of its claims, before it was taken, where they are recorded
	answer func() ([]claim.Verdict, bool)
}

// report has a partner report some acts; the message may be delivered at once.
func (w *world) report() {
	p := w.partners[partners[w.draw.IntN(len(partners))]]
	var list []*report
	for range 1 + w.draw.IntN(4) {
		c, ok := w.claim(p.name)
		if !ok {
			return
		}
		if len(p.past) > 0 && w.draw.IntN(16) == 0 {
			c = w.otherSub(p)
		}
		list = append(list, &report{claim: c})
	}
	p.open = append(p.open, list...)
	w.send(p, list)
	if w.draw.IntN(3) > 0 {
		w.deliver()
		w.work()
	}
}

// otherSub is a claim of before, named by another sub that the partner has of the member, if it has.
func (w *world) otherSub(p *partner) claim.Claim {
	c := p.past[w.draw.IntN(len(p.past))].claim
	if of := w.model.links[c.Sub]; of != nil {
		for _, l := range w.model.order {
			if l.account == of.account && l.partner == p.name && l.sub != c.Sub {
				c.Sub = l.sub
				w.cover.Other["a claim came again by another sub"]++
				break
			}
		}
	}
	return c
}

// resend has a partner send again what was not answered, in other portions, and some of what was.
func (w *world) resend() {
	p := w.partners[partners[w.draw.IntN(len(partners))]]
	list := slices.Clone(p.open)
	w.draw.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	list = list[:min(len(list), 1+w.draw.IntN(6))]
	if len(p.past) > 0 && w.draw.IntN(2) == 0 {
		list = append(list, p.past[w.draw.IntN(len(p.past))])
	}
	if len(list) > 0 {
		w.send(p, list)
		w.deliver()
	}
}

// send signs a request and gives it to the network.
func (w *world) send(p *partner, list []*report) {
	m := &message{from: p, reports: list, salt: w.salt()}
	for _, r := range list {
		m.claims = append(m.claims, r.claim)
	}
	root := ledger.Root(claim.SaidLeaves(m.claims, m.salt))
	m.request = signature.Request{Method: "POST", Authority: "tanpu.example", Path: "/v1/claims", Root: signature.FormatRoot(root)}
	at := time.UnixMicro(w.now).Add(p.off).Unix()
	m.input, m.value = signature.Sign(partnerKey(p.name, w.keys[p.name]), &m.request, at)
	w.net = append(w.net, m)
}

func (w *world) salt() (salt [32]byte) {
	w.random.Read(salt[:])
	return salt
}

// deliver lets one of the messages arrive, whichever it is; it may arrive again.
func (w *world) deliver() {
	if len(w.net) == 0 {
		return
	}
	i := len(w.net) - 1
	if w.draw.IntN(3) == 0 { // it was overtaken
		i = w.draw.IntN(len(w.net))
	}
	m := w.net[i]
	switch w.draw.IntN(8) {
	case 0: // it comes twice
		w.cover.Other["a message came twice"]++
	case 1:
		w.cover.Other["a message was lost"]++
		w.net = slices.Delete(w.net, i, i+1)
		return
	default:
		w.net = slices.Delete(w.net, i, i+1)
	}
	if s := w.server(); s != nil {
		s.receive(m)
	}
}

// receive is what a server does with a request: it holds it against its signature, and takes it.
func (s *server) receive(m *message) {
	signed, err := s.vouched(m)
	refused := new(signature.Refusal)
	switch {
	case errors.As(err, &refused):
		s.note("refused: %v", refused.Reason)
		s.cover.Other["a request was refused: "+string(refused.Reason)]++
		if refused.Reason == signature.OutsideWindow {
			m.from.off = 0 // it sets its clock
		}
		return
	case err != nil:
		if !s.allowed(err) {
			s.fail("signature", "looking up a key: %v", err)
		}
		return
	}
	answer, err := s.in.Take(m.claims)
	if err != nil {
		s.fail("taking", "%v", err)
		return
	}
	told := make([]bool, len(m.reports))
	for i, r := range m.reports {
		told[i] = r.verdict != nil
	}
	s.inbox = append(s.inbox, &inquiry{message: m, told: told, signed: signed, leaves: claim.SaidLeaves(m.claims, m.salt), answer: answer})
}

// vouched finds out who sent a request, as the API does.
func (s *server) vouched(m *message) (*signature.Signed, error) {
	signed, err := signature.Read(&m.request, m.input, m.value)
	if err != nil {
		return nil, err
	}
	if err := signed.Timely(s.time(), 5*time.Minute); err != nil {
		return nil, err
	}
	k, found, err := s.db.PartnerKey(s.ctx, signed.KeyID)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, signature.Refuse(signature.UnknownKey, "no key %s", signed.KeyID)
	case k.Revoked != 0:
		return nil, signature.Refuse(signature.RevokedKey, "key %s was revoked", signed.KeyID)
	}
	return signed, signed.Verify(k.Public)
}

// work has a server write some of what waits, and answer for what is written.
func (w *world) work() {
	s := w.server()
	if s == nil {
		return
	}
	first := w.draw.IntN(parts)
	for i := range 1 + w.draw.IntN(parts) {
		s.in.Write((first + i) % parts)
	}
	s.reply()
}

// reply answers the requests of which all claims have their verdicts, once what was signed is kept.
func (s *server) reply() {
	left := s.inbox[:0]
	for _, q := range s.inbox {
		verdicts, ready := q.answer()
		switch {
		case !ready:
			left = append(left, q)
		case s.stage.dead:
		default:
			s.answer(q, verdicts)
		}
	}
	s.inbox = left
}

func (s *server) answer(q *inquiry, verdicts []claim.Verdict) {
	kept := &testimony.Request{Partner: q.from.name, Signed: q.signed, Salt: q.salt, Claims: q.claims, Leaves: q.leaves, Verdicts: verdicts}
	if err := s.keeper.Keep(s.ctx, kept); err != nil {
		if !s.allowed(err) {
			s.fail("testimony", "keeping what was signed: %v", err)
		}
		return // 503: the partner sends it again
	}
	if s.world.draw.IntN(7) == 0 {
		s.cover.Other["an answer was lost"]++
		return
	}
	for i := range verdicts {
		s.told(q.from, q.reports[i], &verdicts[i], q.told[i])
	}
}

// told is a partner's: it has an answer, and holds it against what it was told before. What is not recorded can have been judged
// before another server recorded it, and be answered later; not if its partner was told of that before it asked.
func (w *world) told(p *partner, r *report, v *claim.Verdict, before bool) {
	if v.Reason == reason.Retry {
		return
	}
	if i := slices.Index(p.open, r); i >= 0 {
		p.open = slices.Delete(p.open, i, i+1)
		p.past = append(p.past, r)
	}
	if w.model.links[r.claim.Sub] == nil {
		return // of somebody who was erased since, or of nobody
	}
	if v.Ref == (claim.Ref{}) {
		if before && r.verdict != nil {
			w.fail("acknowledged", "claim %s of %s was recorded as %s, and is %s now", r.claim.ID, p.name, r.verdict.Ref, v.Reason)
		}
		return
	}
	first := *v
	if first.Reason == reason.Replay {
		first.Reason = first.First
	}
	if b := r.verdict; b != nil && (b.Ref != first.Ref || b.Reason != first.Reason || b.Milligrams != first.Milligrams || b.Points != first.Points) {
		w.fail("acknowledged", "claim %s of %s was %s, %s, %d mg, and is %s, %s, %d mg now", r.claim.ID, p.name, b.Ref, b.Reason, b.Milligrams, first.Ref, first.Reason, first.Milligrams)
	}
	r.verdict = &first
	if row := w.model.rows[v.Ref]; row != nil {
		row.acked = true
		row.signed = row.signed || row.claim.Sub == r.claim.Sub
	}
}

// admit judges as the server's core does, and has the model judge what was committed.
func (s *server) admit(ctx context.Context, part int, claims []claim.Claim, clock claim.Micros) ([]claim.Verdict, error) {
	return s.judged(s.in.Judge.Admit, part, claims, clock, false)
}

type admitting func(ctx context.Context, part int, claims []claim.Claim, clock claim.Micros) ([]claim.Verdict, error)

func (s *server) judged(admit admitting, part int, claims []claim.Claim, clock int64, backfill bool) ([]claim.Verdict, error) {
	claims = slices.Clone(claims)
	if s.mutant.anew() && s.draw.IntN(2) == 0 {
		for i := range claims {
			claims[i].ID += "'"
		}
	}
	before := s.stage.committed
	verdicts, err := admit(s.ctx, part, claims, clock)
	committed := s.stage.committed > before
	if err != nil && !s.allowed(err) {
		s.fail("judging", "%d claims of partition %d: %v", len(claims), part, err)
	}
	if !committed {
		if err == nil {
			s.fail("acknowledged", "%d claims of partition %d were judged, and nothing was committed", len(claims), part)
		}
		s.note("not judged")
		s.cover.Reasons[reason.Retry] += len(claims)
		return verdicts, err
	}
	s.cover.Batches++
	for i, want := range s.model.batch(part, claims, clock, backfill) {
		s.cover.Claims++
		s.cover.Reasons[want.reason]++
		s.note("%s %s %s %d", claims[i].Partner, claims[i].ID, want.reason, want.mg)
		if err == nil {
			s.compare(&claims[i], &verdicts[i], want)
		}
	}
	return verdicts, err
}

func (w *world) compare(c *claim.Claim, got *claim.Verdict, want judged) {
	if got.Reason != want.reason || got.Milligrams != want.mg || got.Points != want.points {
		w.fail("verdict", "%+v:\n got %s, %d mg, %d points (%s, %+v)\nwant %s, %d mg, %d points", *c, got.Reason, got.Milligrams, got.Points, got.Ref, got.Operands, want.reason, want.mg, want.points)
		return
	}
	if got.Ref == (claim.Ref{}) {
		return
	}
	if row := w.model.rows[got.Ref]; row == nil || row.claim.ID != c.ID || row.claim.Partner != c.Partner {
		w.fail("verdict", "claim %s of %s is said to be recorded as %s, where the model has another", c.ID, c.Partner, got.Ref)
	}
}

// bringIn imports claims after the fact, or again those of which it is not known whether they were judged.
func (w *world) bringIn() {
	s := w.server()
	if s == nil {
		return
	}
	var claims []claim.Claim
	if n := len(w.imports); n > 0 && w.draw.IntN(3) > 0 {
		claims, w.imports = w.imports[n-1], w.imports[:n-1]
	} else {
		p, part := partners[w.draw.IntN(len(partners))], -1
		for range 1 + w.draw.IntN(5) {
			c, ok := w.claim(p)
			if r := s.db.Route(c.Sub); ok && (part < 0 || part == r) {
				claims, part = append(claims, c), r
			}
		}
	}
	s.bring(claims)
}

func (s *server) bring(claims []claim.Claim) {
	if len(claims) == 0 {
		return
	}
	if _, err := s.judged(s.judge.Admit, s.db.Route(claims[0].Sub), claims, s.clock(), true); err != nil {
		s.imports = append(s.imports, claims)
	}
}

// gather has all of the crowd ride, so that a day's sums can be opened.
func (w *world) gather() {
	s := w.server()
	if s == nil {
		return
	}
	at := w.midnight(0).Add(time.Duration(w.draw.IntN(8)) * time.Hour)
	byPart := map[int][]claim.Claim{}
	for _, l := range w.model.order {
		if l.account.crowd() {
			c := w.ride(l, at, 10*time.Minute, 1+w.draw.IntN(4))
			byPart[l.account.id.Part] = append(byPart[l.account.id.Part], c)
		}
	}
	for part := range parts {
		s.bring(byPart[part])
	}
}

// rotate has a partner sign with another key from now on.
func (w *world) rotate() {
	s := w.server()
	if s == nil {
		return
	}
	name := partners[w.draw.IntN(len(partners))]
	n := w.keys[name]
	old, next := partnerKey(name, n), partnerKey(name, n+1)
	err := s.db.AddPartnerKey(s.ctx, keyOf(name, next, s.clock()))
	if err == nil {
		w.keys[name] = n + 1
		err = s.db.RevokePartnerKey(s.ctx, signature.KeyID(old.Public().(ed25519.PublicKey)), s.clock())
	}
	if err != nil && (!s.allowed(err) || fault.KindOf(err) != "") {
		w.fail("key", "rotating a key: %v", err)
	}
	if w.draw.IntN(2) == 0 {
		w.partners[name].off = time.Duration(w.draw.IntN(21)-10) * time.Minute
	}
}

// midnight begins a local day.
func (w *world) midnight(days int) time.Time {
	y, m, d := localTime(w.now).Date()
	return time.Date(y, m, d+days, 0, 0, 0, 0, local)
}

func (w *world) ride(l *mlink, start time.Time, lasting time.Duration, km int) claim.Claim {
	w.next++
	return claim.Claim{Partner: l.partner, ID: fmt.Sprint(w.next), Sub: l.sub, Scenario: "bike", Evidence: "system", Start: start.UnixMicro(), End: start.Add(lasting).UnixMicro(),
		Quantities: []claim.Quantity{{Name: "distance", Text: fmt.Sprint(km)}}}
}

// claim draws a claim of a partner. Times, values and keys are few, so that claims meet.
func (w *world) claim(partner string) (claim.Claim, bool) {
	var of []*mlink
	for _, l := range w.model.order {
		if l.partner == partner && !l.account.crowd() {
			of = append(of, l)
		}
	}
	if len(of) == 0 {
		return claim.Claim{}, false
	}
	pick := func(list ...string) string { return list[w.draw.IntN(len(list))] }
	c := w.ride(of[w.draw.IntN(len(of))], w.midnight(-w.draw.IntN(2)).Add(time.Duration(12+w.draw.IntN(20))*15*time.Minute), time.Duration(5+5*w.draw.IntN(7))*time.Minute, 1+w.draw.IntN(7))
	amount := func(name, text string) { c.Quantities = []claim.Quantity{{Name: name, Text: text}} }
	c.Scenario = pick("bike", "bike", "bike", "bike", "walk", "walk", "steps", "steps", "order", "order", "order", "order", "share", "swim", "ferry")
	if partner == "grid" {
		c.Scenario = "meter"
	}
	switch c.Scenario {
	case "walk":
		amount("steps", fmt.Sprint(100*(1+w.draw.IntN(9))))
	case "steps":
		start := localTime(c.Start)
		start = time.Date(start.Year(), start.Month(), start.Day(), 0, 0, 0, 0, local)
		c.Start, c.End = start.UnixMicro(), start.AddDate(0, 0, 1).UnixMicro()
		amount("steps", fmt.Sprint(100*w.draw.IntN(20)))
	case "order":
		c.Act = pick("a", "b", "c", "d", "e", "f", "g", "h", "i", "")
		amount("orders", pick("1", "1", "1", "1", "1", "2"))
	case "share", "ferry":
		amount("orders", pick("0", "1", "2"))
	case "meter":
		start := time.Date(2023+w.draw.IntN(4), time.Month(1+w.draw.IntN(2)), 1, 0, 0, 0, 0, local)
		c.Start, c.End = start.UnixMicro(), start.AddDate(0, 1, 0).UnixMicro()
		amount("used", fmt.Sprint(100+10*w.draw.IntN(8)))
		if objects := slices.Sorted(maps.Keys(w.model.links[c.Sub].account.objects)); len(objects) > 0 {
			c.Object = objects[w.draw.IntN(len(objects))]
		}
	}
	w.spoil(&c)
	return c, true
}

// spoil makes something about a claim wrong, now and then.
func (w *world) spoil(c *claim.Claim) {
	shift := func(by time.Duration) { c.Start, c.End = c.Start+by.Microseconds(), c.End+by.Microseconds() }
	switch w.draw.IntN(64) {
	case 0:
		c.Evidence = "hearsay"
	case 1:
		c.Evidence = "self"
	case 2:
		c.Sub = "nobody"
	case 3:
		c.Sub = w.model.order[w.draw.IntN(len(w.model.order))].sub
	case 4:
		c.End = c.Start - 1
	case 5:
		shift(time.UnixMicro(w.now).Sub(time.UnixMicro(c.Start)) + time.Hour)
	case 6:
		shift(-time.Duration(4+w.draw.IntN(8)) * 24 * time.Hour)
	case 7, 8:
		c.Region = []string{"CN-42", "CN-420106", "CN-11"}[w.draw.IntN(3)]
	case 9:
		c.Quantities[0].Name = "wheels"
	case 10:
		c.Quantities[0].Text = []string{"0", "0.5", "51", "70000"}[w.draw.IntN(4)]
	case 11, 12:
		c.Object = []string{"meter-0", "meter-1", "m2", "", "car"}[w.draw.IntN(5)]
	case 13, 14:
		c.ID = fmt.Sprint(1 + w.draw.IntN(w.next)) // whatever that was
	case 15:
		c.Quantities[0].Text = "12"
		c.End = c.Start + 300e6
	case 16:
		c.End = c.Start
	}
}
