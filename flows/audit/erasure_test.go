package audit_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/flows/erase"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// erased has a member erased.
func (w *world) erase(m *member) *store.Erasure {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	e, err := erase.New(w.db).Account(context.Background(), m.id, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// Whoever is erased leaves sums, and every audit still closes, whatever the account had lived through; the others go on.
func TestErased(t *testing.T) {
	storetest.OneByOne(t)
	storetest.Each(t, func(t *testing.T, url string) {
		w := live(t, url, 12, 8)
		signer, _ := newSigner(t, "example.org/log")
		if err := seal.Begin(t.Context(), w.db, signer, w.now); err != nil {
			t.Fatal(err)
		}
		seals(t, w, signer)
		before := run(t, w.db)
		gone := int64(0)
		for i, m := range w.members[:5] {
			first := w.erase(m)
			if again := w.erase(m); *again != *first {
				t.Errorf("erased again, it is told as %+v, and was %+v", again, first)
			}
			if i%2 == 0 {
				seals(t, w, signer)
			}
			r := run(t, w.db)
			for _, f := range r.Findings {
				t.Error(f)
			}
			if r.Erased != int64(i+1) || r.Removed <= gone || r.Claims >= before.Claims || r.Keyless != 0 {
				t.Errorf("%d accounts are erased, %d places removed, %d claims there, %d without a key", r.Erased, r.Removed, r.Claims, r.Keyless)
			}
			if notes := strings.Join(r.Notes, "\n"); !strings.Contains(notes, "can no longer be computed again") {
				t.Errorf("the notes are %q", notes)
			}
			gone = r.Removed
		}
		w.day() // some of it for those who are gone
		if w.seen[reason.NoLink] == 0 {
			t.Error("claims of an erased member should have no link")
		}
		w.corrections(10)
		w.erase(w.members[6])
		seals(t, w, signer)
		for _, f := range run(t, w.db).Findings {
			t.Error(f)
		}
		if _, _, err := w.db.Account(t.Context(), w.members[0].id); fault.KindOf(err) != fault.Gone {
			t.Errorf("the account of an erased member: %v", err)
		}
	})
}

// The signed results of a year go back to issuance when their member is erased. What they leave there is a balance of nothing
// that no claim explains.
func TestErasedYear(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t), 1, 1)
	m := w.members[0]
	var claims []claim.Claim
	for month := range 25 {
		start := time.Date(2023, time.Month(1+month), 1, 0, 0, 0, 0, local)
		c := w.claim(m, "grid", "meter", start, start.AddDate(0, 1, 0).Sub(start), "used", fmt.Sprint(200+month))
		c.Object = m.meter
		claims = append(claims, c)
	}
	w.send(w.late, claims)
	if w.seen[reason.OK] != 1 {
		t.Fatalf("one reading should be compared with earlier ones: %v", w.seen)
	}
	w.erase(m)
	for _, f := range run(t, w.db).Findings {
		t.Error(f)
	}
}

// Who was erased and comes back, linked from long ago, is not credited again for the same acts, whatever partition the new
// account lies in; new acts count, and so do those of others that look alike.
func TestComeBack(t *testing.T) {
	storetest.OneByOne(t)
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url, 3, 4)
		w.now = w.now.AddDate(0, 0, 1)
		m, other := w.members[0], w.members[1]
		w.link(other, "city", "rides", claim.Purposes) // from before the erasure, and new to the partner
		acts := func(m *member) []claim.Claim {
			ride := w.claim(m, "rides", "bike", w.midnight().Add(time.Hour), 10*time.Minute, "distance", "2")
			lost := w.claim(m, "bank", "bike", w.midnight().Add(time.Hour+time.Second), 10*time.Minute, "distance", "2")
			order := w.claim(m, "bank", "order", w.midnight().Add(2*time.Hour), 0, "orders", "1")
			order.Act = "the order"
			steps := w.claim(m, "bank", "steps", w.midnight(), 24*time.Hour, "steps", "9000")
			month := time.Date(2026, 1, 1, 0, 0, 0, 0, local)
			read := w.claim(m, "grid", "meter", month, month.AddDate(0, 1, 0).Sub(month), "used", "210 kWh")
			read.Object = "meter-0"
			noted := w.claim(m, "rides", "bike", w.midnight().Add(5*time.Hour), 10*time.Minute, "distance", "1")
			noted.Commitment = strings.Repeat("ab", 32)
			return []claim.Claim{ride, lost, order, steps, read, noted}
		}
		told := func(j string, claims []claim.Claim) (codes []reason.Code) {
			w.now = w.now.Add(time.Second)
			judge := w.judge
			if j == "late" {
				judge = w.late
			}
			for _, c := range claims {
				verdicts, err := judge.Admit(t.Context(), w.db.Route(c.Sub), []claim.Claim{c}, w.now.UnixMicro())
				if err != nil {
					t.Fatal(err)
				}
				codes = append(codes, verdicts[0].Reason)
			}
			return codes
		}
		compare := func(what string, got []reason.Code, want ...reason.Code) {
			t.Helper()
			for i := range want {
				if got[i] != want[i] {
					t.Errorf("%s: claim %d is %s, want %s", what, i, got[i], want[i])
				}
			}
		}
		first := acts(m)
		compare("at first", told("late", first), reason.OK, reason.Overlap, reason.OK, reason.OK, reason.NoHistory, reason.OK)
		w.now = w.now.Add(time.Hour)
		w.erase(m)
		compare("sent again to nobody", told("late", first), reason.NoLink, reason.NoLink, reason.NoLink)

		back := &member{subs: map[string]string{}, meter: "meter-0"}
		back.id.Part = 2 // not where the account lay
		err := w.db.Update(t.Context(), back.id.Part, w.now.UnixMicro(), func(tx *store.Tx) (err error) {
			back.id.Number, err = tx.OpenAccounts(t.Context(), 1)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(time.Hour)
		w.link(back, "city", "rides", claim.Purposes)
		w.link(back, "city", "bank", claim.Purposes)
		w.link(back, "home", "grid", claim.Purposes, "meter-0") // the meter can be registered again
		again := make([]claim.Claim, len(first))
		for i, c := range first {
			c.Sub = back.subs[c.Partner]
			again[i] = c
		}
		again[2].ID, again[2].Partner, again[2].Sub = "other", "rides", back.subs["rides"] // the order, by another partner
		again[4].ID, again[4].Quantities = "read anew", []claim.Quantity{{Name: "used", Text: "190"}}
		again[5].ID, again[5].Start, again[5].End = "other id", again[5].Start+60e6, again[5].End+60e6
		compare("come back", told("late", again), reason.Overlap, reason.Overlap, reason.Overlap, reason.Overlap, reason.Overlap, reason.Overlap)
		compare("replayed", told("late", again[:1]), reason.Replay)

		alike := make([]claim.Claim, 4)
		for i := range alike {
			alike[i] = first[i]
			alike[i].Sub = other.subs[alike[i].Partner]
		}
		compare("somebody else, linked before", told("late", alike), reason.OK, reason.Overlap, reason.OK, reason.OK)

		w.now = w.now.AddDate(0, 0, 2)
		fresh := acts(back)
		fresh[2].Act, fresh[5].Commitment = "a new order", strings.Repeat("cd", 32)
		compare("new acts", told("", fresh[:4]), reason.OK, reason.Overlap, reason.OK, reason.OK)

		// A correction brings none of it back: not what lost to a claim of the account's own, and no replacement.
		r := correct.Request{Subject: back.subs["bank"], Partner: "bank", ID: fresh[2].ID, By: "bank", Reason: "another order"}
		with := fresh[2]
		with.ID, with.Act, with.Start, with.End = "replacement", "the order", first[2].Start, first[2].End
		done, err := w.desk.Replace(t.Context(), r, with, w.now.UnixMicro())
		if err != nil {
			t.Fatal(err)
		}
		if next := done.Changes[0].Next; next == nil || next.Verdict.Reason != reason.Overlap {
			t.Errorf("an order that was credited to somebody who was erased replaces another: %+v", next)
		}
		report := run(t, w.db)
		for _, f := range report.Findings {
			t.Error(f)
		}
		wreck := newWreck(t, url)
		wreck.do(t, "DELETE FROM forgotten")
		if r := run(t, w.db); r.Found[audit.Verdicts] == 0 {
			t.Error("refusals for acts that nobody was credited for were clean")
		}
	})
}

// What does not follow from what erasures removed is found.
func TestErasureDamage(t *testing.T) {
	storetest.OneByOne(t)
	storetest.Each(t, func(t *testing.T, url string) {
		w := live(t, url, 7, 5)
		signer, _ := newSigner(t, "example.org/log")
		if err := seal.Begin(t.Context(), w.db, signer, w.now); err != nil {
			t.Fatal(err)
		}
		for _, m := range []*member{w.members[0], w.members[3], w.members[1]} { // two of partition 0
			w.erase(m)
		}
		seals(t, w, signer)
		w.db.Close()
		wreck := newWreck(t, url)
		const one = "(part, batch, programme, method, vintage, reason) = (SELECT part, batch, programme, method, vintage, reason FROM removed WHERE batch > 0 AND mg > 0 ORDER BY part, batch, method LIMIT 1)"
		for _, d := range []struct {
			name  string
			do    []string
			kinds []audit.Kind
		}{
			{"sums gone", []string{"DELETE FROM removed WHERE " + one}, []audit.Kind{audit.Erasures, audit.Totals}},
			{"more was removed", []string{"UPDATE removed SET claims = claims + 1, places = places + 1 WHERE " + one}, []audit.Kind{audit.Erasures, audit.Totals}},
			{"other sums together", []string{"UPDATE removed SET mg = mg + 1 WHERE batch = 0 AND reason = 'ok' AND part = 0"}, []audit.Kind{audit.Erasures}},
			{"a posting gone", []string{"DELETE FROM removed_posting WHERE batch > 0 AND holder = -1 AND part = 0"}, []audit.Kind{audit.Erasures, audit.Balances}},
			{"points given to the applicant", []string{"UPDATE removed_posting SET holder = -2 WHERE batch = 0 AND holder = -4 AND part = 0"}, []audit.Kind{audit.Balances}},
			{"not settled", []string{"DELETE FROM removed_posting WHERE batch = 0 AND part = 0"}, []audit.Kind{audit.Erasures, audit.Balances}},
			{"an erasure gone", []string{"DELETE FROM erasure WHERE part = 0 AND number = 2"}, []audit.Kind{audit.Erasures}},
			{"all erasures of a partition gone", []string{"DELETE FROM erasure WHERE part = 1", "UPDATE partition SET erasures = 1 WHERE part = 1"}, []audit.Kind{audit.Erasures}},
			{"an erasure of somebody else", []string{"UPDATE erasure SET account = {zeros} WHERE part = 0 AND number = 1"}, []audit.Kind{audit.Erasures}},
			{"an erasure that commits to something else", []string{"UPDATE erasure SET removed = {zeros} WHERE part = 0 AND number = 2"}, []audit.Kind{audit.Erasures}},
			{"claims hidden as erased", []string{
				"DELETE FROM claim WHERE part = 2 AND account = 1",
				"DELETE FROM account_key WHERE part = 2 AND account = 1"}, []audit.Kind{audit.Places, audit.Totals}},
			{"a link for somebody erased", []string{"INSERT INTO link (part, account, link, programme, partner, scenarios, purposes, since, granted, revoked) VALUES (0, 1, 77, 'city', 'rides', '', '', 1, 1, 1)"}, []audit.Kind{audit.Erasures, audit.Consents}},
			{"a key again", []string{"INSERT INTO account_key (part, account, key) VALUES (0, 1, {zeros})"}, []audit.Kind{audit.Erasures}},
			{"a balance for somebody erased", []string{"INSERT INTO balance (part, holder, asset, amount) VALUES (0, 1, 'POINT/city/2027-12', 5)"}, []audit.Kind{audit.Balances, audit.Sums}},
		} {
			t.Run(d.name, func(t *testing.T) {
				defer wreck.mend(t, d.do)
				for _, statement := range d.do {
					if wreck.do(t, statement) == 0 {
						t.Fatalf("%s: there was nothing to damage", statement)
					}
				}
				r := run(t, wreck.db)
				for _, kind := range d.kinds {
					if r.Found[kind] == 0 {
						t.Errorf("nothing of kind %s was found, only %v", kind, r.Found)
					}
				}
			})
		}
		if r := run(t, wreck.db); !r.Clean() {
			t.Errorf("mended, it is not clean: %v", r.Findings)
		}
	})
}
