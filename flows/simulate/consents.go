package simulate

import (
	"crypto/ed25519"
	"fmt"
	"time"

	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
)

// A grant is an operator's request for a link, which is sent again until it is answered, and sometimes after.
type grant struct {
	link.Consent
	link *mlink // once it was answered
	over bool   // it was refused
	gone bool   // it was answered, and its member erased since
}

// grant has a member consent, or sends such a request again.
func (w *world) grant() {
	s := w.server()
	if s == nil {
		return
	}
	var g *grant
	if n := len(w.grants); n > 0 && w.draw.IntN(2) == 0 {
		g = w.grants[w.draw.IntN(n)]
	} else {
		g = &grant{Consent: w.consent()}
		w.grants = append(w.grants, g)
	}
	s.settle(g)
}

// consent draws one: of a member who is there or a new one, for some or all.
func (w *world) consent() link.Consent {
	c := link.Consent{Programme: "city", Partner: partners[w.draw.IntN(3)], Purposes: claim.Purposes, Key: fmt.Sprint("request ", len(w.grants))}
	c.Since = time.UnixMicro(w.now).Add(-[]time.Duration{0, time.Hour, 100 * time.Hour, 60000 * time.Hour}[w.draw.IntN(4)])
	if w.draw.IntN(2) == 0 {
		if a := w.model.order[w.draw.IntN(len(w.model.order))].account; !a.crowd() {
			c.Account = a.id
		}
	}
	if c.Partner == "grid" {
		c.Programme = "home"
		c.Objects = []string{fmt.Sprint("m", w.draw.IntN(6))}
		if w.draw.IntN(3) == 0 {
			c.Objects = append(c.Objects, "meter-1")
		}
		return c
	}
	switch w.draw.IntN(4) {
	case 0:
		c.Scenarios = []string{"bike", "steps"}
	case 1:
		c.Purposes = [][]string{{claim.Credit}, {claim.Assign}, {}}[w.draw.IntN(3)]
	}
	return c
}

// settle sends the request to a server.
func (s *server) settle(g *grant) {
	before := s.stage.committed
	book, err := s.desk.Books.Book(s.ctx, s.model.terms.Rulebook)
	var granted link.Granted
	if err == nil {
		granted, err = link.Grant(s.ctx, s.db, book, g.Consent, s.time())
	}
	if err != nil {
		s.note("no link: %s", fault.KindOf(err))
		s.hindered(g, err, s.stage.committed > before)
		return
	}
	if g.gone {
		s.fail("consent", "request %q brought somebody back who was erased, as %s", g.Key, granted.Account)
	}
	if g.link != nil {
		if g.link.sub != granted.Sub || g.link.account.id != granted.Account {
			s.fail("consent", "request %q got link %s of %s, and then %s of %s", g.Key, g.link.sub, g.link.account.id, granted.Sub, granted.Account)
		}
		s.cover.Other["a link was asked for again"]++
		return
	}
	if g.Account != (store.AccountID{}) && granted.Account != g.Account || s.model.links[granted.Sub] != nil {
		s.fail("consent", "request %q for %s got link %s of %s", g.Key, g.Account, granted.Sub, granted.Account)
		return
	}
	for _, l := range s.model.order {
		for _, o := range g.Objects {
			if _, has := l.account.objects[o]; has && l.account.id != granted.Account {
				s.fail("consent", "%s was registered to %s, and is to %s too", o, l.account.id, granted.Account)
			}
		}
	}
	g.link = s.model.join(g.Consent, granted.Sub, granted.Account)
	s.granted(g.link)
	s.registered(g)
	s.note("link %s of %s", granted.Sub, granted.Account)
}

// registered looks from when on the meters of a link are known: the instants of servers whose clocks differ tell.
func (s *server) registered(g *grant) {
	if len(g.Objects) == 0 {
		return
	}
	a := g.link.account
	s.look(func(db *store.DB) error {
		return db.Snapshot(s.ctx, a.id.Part, func(snap *store.Snapshot) error {
			return snap.Objects(s.ctx, store.Range{From: a.id.Number, To: a.id.Number}, func(_ claim.Number, object string, at int64) {
				a.objects[object] = at
			})
		})
	})
	for _, o := range g.Objects {
		if _, known := a.objects[o]; !known {
			s.fail("consent", "%s was registered to %s, and is not known there", o, a.id)
		}
	}
}

// hindered is a request without a link. Where something was done all the same, meters may be registered by now; so it is
// sent again at once, and all goes well then.
func (s *server) hindered(g *grant, err error, some bool) {
	if fault.KindOf(err) == fault.NotFound && g.Account != (store.AccountID{}) && s.model.accounts[g.Account] == nil {
		g.over = true // the account was lost
		return
	}
	if fault.KindOf(err) == fault.Gone {
		if a := s.model.accounts[g.Account]; !g.gone && (a == nil || !a.erased) {
			s.fail("consent", "request %q: %v", g.Key, err)
		}
		g.over = true
		return
	}
	if kind := fault.KindOf(err); kind == fault.Conflict {
		g.over = true // a meter is another's
		if g.link != nil {
			s.fail("consent", "request %q had its link, and is refused now: %v", g.Key, err)
		}
		return
	}
	if !s.allowed(err) || fault.KindOf(err) != "" {
		s.fail("consent", "request %q: %v", g.Key, err)
		return
	}
	if some && len(g.Objects) > 0 {
		if again := s.well(); again != nil {
			again.settle(g)
		}
	}
}

// well is this server, or another process in its place if it died, with nothing more to go wrong in this step.
func (s *server) well() *server {
	s.stage.disarm()
	if !s.stage.dead && s.ahead > -8*time.Minute {
		return s
	}
	s.end()
	again, err := s.world.start(s.place, 0, nil)
	if err != nil {
		s.servers[s.place] = nil
		s.fail("start", "a server does not start: %v", err)
		return nil
	}
	s.servers[s.place] = again
	return again
}

// revoke ends a link.
func (w *world) revoke() {
	s := w.server()
	if s == nil {
		return
	}
	l := w.model.order[w.draw.IntN(len(w.model.order))]
	if l.account.crowd() {
		return
	}
	by := ""
	if w.draw.IntN(2) == 0 {
		by = l.partner
	}
	before := s.stage.committed
	err := link.Revoke(s.ctx, s.db, l.sub, by, s.time())
	if err != nil && (!s.allowed(err) || fault.KindOf(err) != "") {
		s.fail("consent", "ending link %s: %v", l.sub, err)
	}
	ended := s.stage.committed > before
	if l.revoked != 0 && ended || l.revoked == 0 && err == nil && !ended {
		s.fail("consent", "ending link %s, which ended at %d before: done %v, error %v", l.sub, l.revoked, ended, err)
	}
	if l.revoked == 0 && ended {
		l.revoked = max(s.clock(), w.model.parts[l.account.id.Part].at+1)
		w.note("link %s ends", l.sub)
	}
}

// publish puts a document in force.
func (w *world) publish() {
	s := w.server()
	if s == nil {
		return
	}
	next := w.model.terms
	var file publish.File
	var err error
	switch w.draw.IntN(6) {
	case 0, 4, 5:
		next.Swim = true
		file = next.programme()
	case 1:
		next.Early = true
		file = next.programme()
	case 2:
		next.Late = 168 - next.Late
		file = next.programme()
	case 3:
		if next.Bike2 != 0 {
			return
		}
		from := w.midnight(2)
		next.Bike2, next.Bike2Book = from.UnixMicro(), 0
		file, err = bike2(from)
	}
	before := s.stage.committed
	if err == nil {
		_, err = publish.PublishAt(s.ctx, s.db, []publish.File{file}, s.time())
	}
	if err != nil && !s.allowed(err) {
		w.fail("publishing", "%v", err)
	}
	if err != nil && fault.KindOf(err) != "" && fault.KindOf(err) != fault.Conflict {
		w.fail("publishing", "%v", err)
	}
	if s.stage.committed > before {
		now := w.model.terms // somebody else may have published meanwhile
		if next.Bike2 != 0 && next.Bike2Book == 0 {
			now.Bike2, now.Bike2Book = next.Bike2, now.Rulebook+1
		} else {
			now.Swim, now.Early, now.Late = next.Swim, next.Early, next.Late
		}
		w.inForce(now)
		w.texts = append(w.texts, file.Text)
		w.note("published: %+v", now)
		w.cover.Other["a document was published"]++
	}
}

func keyOf(partner string, k ed25519.PrivateKey, at int64) store.PartnerKey {
	return store.PartnerKey{Partner: partner, Public: k.Public().(ed25519.PublicKey), Created: at}
}
