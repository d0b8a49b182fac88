package simulate

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tanpu/tanpu/flows/erase"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
)

// erase has a member forgotten who joined late. What breaks off is ended at once, as a server does that starts anew; nobody
// else acts in between, or the model would have to know each step.
func (w *world) erase() {
	s := w.server()
	if s == nil {
		return
	}
	s.stage.between = nil
	var list []*maccount
	for _, a := range w.model.members() {
		if a.joined > 3+crowd && !a.erased {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		return
	}
	a := list[w.draw.IntN(len(list))]
	if _, err := erase.New(s.db).Account(s.ctx, a.id, s.time()); err != nil {
		if !s.allowed(err) || fault.KindOf(err) != "" {
			w.fail("erasure", "of %s: %v", a.id, err)
		}
		if s = s.well(); s == nil {
			return
		}
		w.cover.Other["an erasure broke off, and was ended"]++
		if _, err = erase.New(s.db).Account(s.ctx, a.id, s.time()); err != nil {
			w.fail("erasure", "of %s, again: %v", a.id, err)
			return
		}
	}
	if s = s.well(); s == nil {
		return
	}
	w.erased++
	w.note("%s is erased", a.id)
	w.cover.Other["a member was erased"]++
	for _, l := range w.model.order {
		if l.account != a {
			s.granted(l)
		}
	}
	for _, text := range marks(a) {
		at, found, err := s.db.ForgottenSince(s.ctx, text)
		if err != nil || !found {
			w.fail("erasure", "of %s: its act %q was not marked (%v)", a.id, text, err)
		}
		w.model.forgotten[text] = at
	}
	w.unknow(a)
	w.backup = nil // what an older one does with erasures has a test of its own
}

// granted reads when a link was, of which servers' clocks differ.
func (s *server) granted(l *mlink) {
	if l.granted != 0 {
		return
	}
	s.look(func(db *store.DB) error {
		truth, _, err := db.LinkOf(s.ctx, l.sub)
		l.granted = truth.Granted
		return err
	})
}

// look reads what the model has to know. Nothing goes wrong with it, not even where the server has just died.
func (s *server) look(read func(*store.DB) error) {
	s.stage.disarm()
	defer func(act string) { s.world.act = act }(s.act)
	s.world.act = "settle"
	db, err := s.db, error(nil)
	if s.stage.dead {
		if db, err = s.calm(); err == nil {
			defer db.Close()
		}
	}
	if err == nil {
		err = read(db)
	}
	if err != nil {
		s.fail("reading", "%v", err)
	}
}

// marks are what must be remembered of an account's acts, as far as they can come again: orders and months of meters.
func marks(a *maccount) (list []string) {
	for _, r := range a.rows {
		if r.counts() || r.reason == reason.Overlap && !r.gone {
			if text := mark(r.claim); text != "" {
				list = append(list, text)
			}
		}
	}
	return list
}

func mark(c *claim.Claim) string {
	switch c.Scenario {
	case "order":
		return "act\x00order\x00" + c.Act
	case "meter":
		return "total\x00power\x00" + localTime(c.Start).Format("2006-01") + "\x00" + c.Object
	}
	return ""
}

// forgot reports whether an act was that of somebody erased, and may be again by this link: 10 minutes are what clocks may
// differ by, 5 what the programme lets them be ahead.
func (m *model) forgot(c *claim.Claim, l *mlink) bool {
	at, ok := m.forgotten[mark(c)]
	return ok && c.Start < l.granted+900e6 && at <= l.granted+600e6
}

// unknow forgets an account; what the applicant has of it stays.
func (w *world) unknow(a *maccount) {
	for _, r := range a.rows {
		delete(w.model.rows, r.ref)
		if r.counts() && r.link.assigned() {
			w.model.left[fmt.Sprint("applicant ", a.id.Part)+" "+w.model.asset(r)] += r.mg
		}
	}
	of := func(l *mlink) bool { return l != nil && l.account == a }
	w.done = slices.DeleteFunc(w.done, func(k *correction) bool { return of(w.model.links[k.Subject]) })
	for _, name := range partners {
		p := w.partners[name]
		for _, r := range slices.Concat(p.open, p.past) {
			if of(w.model.links[r.claim.Sub]) {
				r.verdict = nil
			}
		}
	}
	for _, g := range w.grants {
		if of(g.link) {
			g.link, g.over, g.gone = nil, true, true
		}
	}
	maps.DeleteFunc(w.model.links, func(_ string, l *mlink) bool { return of(l) })
	w.model.order = slices.DeleteFunc(w.model.order, of)
	a.erased, a.rows = true, nil
	clear(a.first)
	clear(a.objects)
	clear(a.owed)
}
