package simulate

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/statement"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/store"
)

// look holds one account against the model, at any time.
func (w *world) look() {
	s := w.server()
	if s == nil {
		return
	}
	a := w.model.members()[w.draw.IntN(len(w.model.accounts))]
	balances, _, err := s.db.Account(w.ctx, a.id)
	if a.erased && fault.KindOf(err) == fault.Gone {
		return
	}
	if err != nil {
		if !s.allowed(err) || s.stage.on == "" {
			w.fail("account", "%s: %v", a.id, err)
		}
		return
	}
	w.sameBalances(a, "balances", balances)
	if st, err := statement.Of(w.ctx, &s.desk.Books, a.id, w.now+1e12); err == nil {
		w.sameBalances(a, "statement", st.Balances)
	} else if s.stage.on == "" {
		w.fail("account", "the statement of %s: %v", a.id, err)
	}
}

// sameBalances compares what an account has with what the model gives it; points of all months together.
func (w *world) sameBalances(a *maccount, what string, balances []store.Balance) {
	want := map[string]int64{}
	for k, n := range w.model.balances() {
		if asset, ok := cutAccount(k, a.id.String()); ok && n != 0 {
			want[asset] = n
		}
	}
	got := map[string]int64{}
	for _, b := range balances {
		add(got, assetOf(b.Asset, b.Amount))
	}
	maps.DeleteFunc(got, func(_ string, n int64) bool { return n == 0 })
	if !maps.Equal(got, want) {
		w.fail("balance", "the %s of %s are %v, want %v", what, a.id, got, want)
	}
}

func cutAccount(key, account string) (string, bool) {
	if len(key) > len(account) && key[:len(account)+1] == account+" " {
		return key[len(account)+1:], true
	}
	return "", false
}

func assetOf(asset ledger.Asset, n int64) map[string]int64 {
	switch asset.Kind() {
	case "POINT":
		return map[string]int64{"POINT": n}
	case "NET":
		return nil
	}
	return map[string]int64{string(asset): n}
}

// settle lets all that is under way come to its end, with nothing going wrong any more.
func (w *world) settle() {
	w.faulty, w.act = nil, "settle"
	w.down()
	var all [2]*server
	for i := range all {
		s, err := w.start(i, 0, nil)
		if err != nil {
			w.fail("start", "a server does not start in the end: %v", err)
			return
		}
		all[i], w.servers[i] = s, s
	}
	s := all[0]
	w.now += 30 * 60e6 // clocks that were behind have caught up
	for _, m := range w.net {
		s.receive(m)
		s.flush()
	}
	w.net = nil
	for _, name := range partners {
		p := w.partners[name]
		p.off = 0
		for try := 0; len(p.open) > 0 && w.failure == nil; try++ {
			if try == 50 {
				w.fail("acknowledged", "%d claims of %s are never answered", len(p.open), name)
			}
			w.send(p, slices.Clone(p.open))
			s.receive(w.net[len(w.net)-1])
			s.flush()
		}
	}
	for len(w.imports) > 0 && w.failure == nil {
		n := len(w.imports) - 1
		claims := w.imports[n]
		w.imports = w.imports[:n]
		s.bring(claims)
	}
	for _, g := range w.grants {
		if g.link == nil && !g.over {
			s.settle(g)
		}
	}
	for try := 0; w.ordered != nil && w.failure == nil; try++ {
		if s.carryOut(w.ordered); try == 3 {
			w.fail("restatement", "%s comes to no end", w.ordered.Name)
		}
	}
	for try := 0; w.log.again && w.failure == nil; try++ {
		w.looked()
		if s.rekey(w.log.last); try == 3 {
			w.fail("key", "changing the log's keys comes to no end")
		}
	}
	for range 4 {
		all[1].extend()
		w.now += 3600e6
	}
	for part := range parts {
		if head := w.model.parts[part].head; w.sealed[part] != head {
			w.fail("sealing", "in the end batches of partition %d are under a signed head up to %d of %d", part, w.sealed[part], head)
		}
	}
}

func (s *server) flush() {
	for part := range parts {
		for s.in.Write(part) {
		}
	}
	s.reply()
}

// check holds the database against the model, and has it audited.
func (w *world) check() {
	s := w.servers[0]
	rows := 0
	got := map[string]int64{}
	for part := range parts {
		err := s.db.Snapshot(w.ctx, part, func(snap *store.Snapshot) error {
			in := store.Range{From: 1, To: snap.Accounts}
			err := snap.Claims(w.ctx, in, func(c *store.ClaimRow) {
				rows++
				w.sameRow(c)
			})
			if err == nil {
				err = snap.Balances(w.ctx, store.Range{From: -1000, To: snap.Accounts}, func(k ledger.Key, n int64) { w.hold(got, part, k, n) })
			}
			return err
		})
		if err != nil {
			w.fail("reading", "%v", err)
		}
	}
	if rows != len(w.model.rows) {
		w.fail("rows", "%d claims are recorded, and the model has %d", rows, len(w.model.rows))
	}
	want := w.model.balances()
	for _, m := range []map[string]int64{got, want} {
		maps.DeleteFunc(m, func(_ string, n int64) bool { return n == 0 })
	}
	if !maps.Equal(got, want) {
		w.fail("balance", "balances are %v, want %v", got, want)
	}
	for _, a := range w.model.members() {
		a.check(w)
	}
	s.testified()
	for _, text := range w.receipts {
		s.extended(text)
	}
	if row := w.anyRow(func(r *mrow) bool { return r.signed && !r.account.crowd() }); row != nil {
		s.prove(row, "")
	}
	w.checkKeys()
	w.audit(s)
	w.finger(s)
}

// sameRow compares a recorded claim with the model's.
func (w *world) sameRow(c *store.ClaimRow) {
	r := w.model.rows[c.Verdict.Ref]
	if r == nil {
		w.fail("rows", "claim %s (%s of %s) is recorded, and the model does not know it", c.Verdict.Ref, c.ID, c.Partner)
		return
	}
	v := &c.Verdict
	if c.Partner != r.claim.Partner || c.ID != r.claim.ID || c.Account != r.account.id.Number || c.Start != r.claim.Start || c.End != r.claim.End ||
		v.Reason != r.reason || v.Milligrams != r.mg || v.Points != r.points || (c.Reversed != 0) != r.gone || c.Body != claim.Body(r.claim) {
		w.fail("rows", "claim %s is recorded as %+v, want %+v of %+v", v.Ref, *c, *r, *r.claim)
	}
}

// hold adds what a holder has; what issuance and liabilities have follows, as all sums are zero.
func (w *world) hold(sums map[string]int64, part int, k ledger.Key, n int64) {
	for asset, n := range assetOf(k.Asset, n) {
		switch {
		case k.Holder == ledger.Applicant:
			sums[fmt.Sprintf("applicant %d %s", part, asset)] += n
		case k.Holder > 0:
			sums[fmt.Sprintf("%s %s", store.AccountID{Part: part, Number: int64(k.Holder)}, asset)] += n
		}
	}
}

func (w *world) audit(s *server) {
	report, err := audit.Run(w.ctx, s.db, audit.Options{Workers: 1})
	if err != nil {
		w.fail("audit", "%v", err)
		return
	}
	if !report.Clean() || report.Claims != int64(len(w.model.rows)) {
		w.fail("audit", "of %d claims, where the model has %d: %v", report.Claims, len(w.model.rows), report.Findings)
	}
}

// finger adds to the trace what the database came to.
func (w *world) finger(s *server) {
	heads, err := s.db.LastBatches(w.ctx)
	if err != nil {
		w.fail("reading", "%v", err)
	}
	for _, h := range heads {
		w.note("partition %d: %d %d %s", h.Part, h.Number, h.At, hex.EncodeToString(h.Hash[:]))
	}
	l, _, err := s.db.Log(w.ctx)
	if err != nil {
		w.fail("reading", "%v", err)
	}
	w.note("log %d %s %s", l.Size, hex.EncodeToString(l.Root[:]), digest([]byte(l.Checkpoint)))
	for stream, n := range w.opened(s, l) {
		w.cover.Other["in the log: "+stream] += n
	}
}

// opened counts the entries of the log by type.
func (w *world) opened(s *server, l store.Log) map[string]int {
	n := map[string]int{}
	texts, err := s.db.LogStream(w.ctx, l, store.TotalsStream)
	if err != nil {
		w.fail("reading", "%v", err)
	}
	n["totals"] = len(texts)
	return n
}
