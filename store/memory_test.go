package store_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/erase"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// another opens a database once more, as a second server would. On SQLite there is only one.
func another(t *testing.T, db *store.DB, url string) *store.DB {
	t.Helper()
	if db.Single() {
		return db
	}
	return begin(t, url)
}

// begin opens a database as a server does that starts, and reopen as one that is started anew.
func begin(t *testing.T, url string) *store.DB {
	t.Helper()
	db, err := store.Open(ctx(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func reopen(t *testing.T, db *store.DB, url string) *store.DB {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	return begin(t, url)
}

func revoke(t *testing.T, db *store.DB, sub string, clock int64) {
	t.Helper()
	part, _ := db.PartOf(sub)
	if err := db.Update(ctx(), part, clock, func(tx *store.Tx) error { return tx.Revoke(ctx(), sub) }); err != nil {
		t.Fatal(err)
	}
}

// join opens an account at an instant and links it.
func join(t *testing.T, db *store.DB, clock int64) (sub string) {
	t.Helper()
	err := db.Update(ctx(), 0, clock, func(tx *store.Tx) error {
		n, err := tx.OpenAccounts(ctx(), 1)
		if err != nil {
			return err
		}
		links := []claim.Link{{Account: n, Programme: "city", Partner: "bikes", Purposes: claim.Purposes}}
		err = tx.Grant(ctx(), links)
		sub = links[0].Sub
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// What a server remembers of links holds against whatever another does to them between two of its batches.
func TestMemoryOfLinks(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		put(t, db, documents...)
		other := another(t, db, url)
		subs := members(t, db, 0, 3*store.Neighbours, "city", "bikes")
		n := 0
		now := func() int64 { n++; return noon + int64(n)*1e6 }
		says := func(what, sub string, want reason.Code) {
			t.Helper()
			clock := now()
			if v := admit(t, db, 0, clock, ride(sub, fmt.Sprint("r", n), 10*n)); v[0].Reason != want {
				t.Errorf("%s: a ride is %v, want %s", what, v[0], want)
			}
		}
		kept := func(what string, want bool, subs ...string) {
			t.Helper()
			for _, sub := range subs {
				if db.Remembers(sub) != want {
					t.Errorf("%s: whether %s is remembered is not %v", what, sub, want)
				}
			}
		}

		says("a first ride", subs[0], reason.OK)
		kept("a first ride", true, subs[:store.Neighbours-1]...) // accounts are counted from 1
		kept("a first ride", false, subs[2*store.Neighbours:]...)

		revoke(t, other, subs[0], now())
		if err := db.Refresh(ctx()); err != nil {
			t.Fatal(err)
		}
		kept("what was ended", false, subs[0])
		kept("what was not", true, subs[1])
		says("one of the others", subs[1], reason.OK)
		kept("what was ended", false, subs[0])
		says("what was ended", subs[0], reason.LinkRevoked)
		kept("what has ended", false, subs[0])
		kept("what had not", true, subs[1])

		fresh := join(t, other, now())
		says("one who came since", fresh, reason.OK)

		says("before more news than are read", subs[2], reason.OK)
		revoke(t, other, subs[2], now())
		for range 120 {
			join(t, other, noon)
		}
		says("after more news than are read", subs[2], reason.LinkRevoked)
		says("and another", subs[1], reason.OK)

		// An erasure ends the links, and then takes out of the news whose they were.
		gone := subs[2*store.Neighbours]
		says("one who will be erased", gone, reason.OK)
		kept("one who will be erased", true, gone)
		l, part, err := db.LinkOf(ctx(), gone)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := erase.New(other).Account(ctx(), store.AccountID{Part: part, Number: l.Account}, time.UnixMicro(now())); err != nil {
			t.Fatal(err)
		}
		if err := db.Refresh(ctx()); err != nil { // as a server does from time to time, on which nothing is reported
			t.Fatal(err)
		}
		kept("one who was erased", false, gone)
		says("one who was erased", gone, reason.NoLink)
		says("and one who was not", subs[1], reason.OK)

		clean(t, db)
	})
}

func clean(t *testing.T, db *store.DB) {
	t.Helper()
	if report, err := audit.Run(ctx(), db, audit.Options{}); err != nil || !report.Clean() {
		t.Errorf("the audit found %v, %v", report, err)
	}
}

// A database that was set back has consents of the same numbers and other contents: nothing that was remembered holds.
func TestMemorySetBack(t *testing.T) {
	at := storetest.Postgres(t)
	db := create(t, at, 1)
	put(t, db, documents...)
	subs := members(t, db, 0, 2, "city", "bikes")
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	back := storetest.Backup(t, at)
	db = begin(t, at)
	lost := join(t, db, noon)
	if v := admit(t, db, 0, noon, ride(lost, "1", 0)); v[0].Reason != reason.OK || !db.Remembers(lost) {
		t.Fatal(v)
	}
	back()
	other := another(t, db, at)
	join(t, other, noon)
	judge := &intake.Judge{DB: db}
	v, err := judge.Admit(ctx(), 0, []claim.Claim{ride(lost, "2", 60), ride(subs[0], "3", 0)}, noon)
	for range 20 { // its connections were cut
		if err == nil {
			break
		}
		v, err = judge.Admit(ctx(), 0, []claim.Claim{ride(lost, "2", 60), ride(subs[0], "3", 0)}, noon)
	}
	if err != nil || v[0].Reason != reason.NoLink || v[1].Reason != reason.OK {
		t.Errorf("rides by a link that was lost, and by one that was not: %v, %v", v, err)
	}
	clean(t, db)
}

// What is recorded is found though the server has not heard of it: before it began, or through another. Every claim counts
// once and gets its first verdict.
func TestMemoryOfClaims(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		put(t, db, documents...)
		other := another(t, db, url)
		subs := members(t, db, 0, 3, "city", "bikes")
		claims := []claim.Claim{ride(subs[0], "a", 0), ride(subs[0], "b", 30), ride(subs[1], "a", 0), ride(subs[2], "far", 0), ride(subs[2], "quiet", 30)}
		claims[3].Quantities = []claim.Quantity{{Name: "distance", Text: "1000"}}
		first := admit(t, other, 0, noon, claims...)
		if db == other { // begin anew
			db = reopen(t, db, url)
			other = db
		}
		for i := range 2 * store.Doubt { // until it takes what it has not heard of for new
			admit(t, db, 0, noon, ride(subs[1], fmt.Sprint("x", i), 60+10*i))
		}
		changed := ride(subs[0], "b", 31)
		again := admit(t, db, 0, noon, ride(subs[1], "new", 600), claims[0], changed, claims[2], claims[3], claims[0], ride(subs[1], "new", 600))
		for i, want := range []claim.Verdict{{Reason: reason.OK}, first[0], {Reason: reason.IDReused}, first[2], first[3], first[0], again[0]} {
			got := again[i]
			if i == 0 || i == 2 {
				if got.Reason != want.Reason {
					t.Errorf("claim %d is %v, want %v", i, got, want)
				}
				continue
			}
			if got.Reason != reason.Replay || got.First != want.Reason || got.Ref != want.Ref || got.Milligrams != want.Milligrams {
				t.Errorf("claim %d is %v, want the first verdict again, %v", i, got, want)
			}
		}

		// One whose verdict would leave no row is always looked for: no key could refuse it.
		admit(t, db, 0, noon, ride(subs[1], "y", 700))
		revoke(t, other, subs[2], noon)
		if v := admit(t, db, 0, noon+1e6, claims[4], ride(subs[2], "z", 0)); v[0].Reason != reason.Replay || v[1].Reason != reason.LinkRevoked {
			t.Errorf("after the link has ended: %v", v)
		}
		if got, want := cells(t, db, "SELECT count(*), count(DISTINCT id || '/' || account) FROM claim"), fmt.Sprintf("%d\t%[1]d\t\n", len(claims)+2*store.Doubt+2); got != want {
			t.Errorf("there are %swant %s", got, want)
		}
		clean(t, db)
	})
}

// A claim that is not looked for must not be asked for either: that is what the memory is for.
func TestMemorySpares(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		put(t, db, documents...)
		sub := members(t, db, 0, 1, "city", "bikes")[0]
		needs := func(id string) (found int) {
			err := db.UpdateBatch(ctx(), 0, noon, func(tx *store.Tx) error {
				l, _, err := db.LinkOf(ctx(), sub)
				if err != nil {
					return err
				}
				known, err := tx.Known(ctx(), &claim.Needs{Guarded: []claim.Identity{{Account: l.Account, Partner: "bikes", ID: id}}})
				if err == nil {
					found = len(known.Same)
				}
				return fmt.Errorf("to change nothing: %w", err)
			})
			if err == nil {
				t.Fatal("it was committed")
			}
			return found
		}
		if needs("1") != 0 {
			t.Error("there was something before anything was recorded")
		}
		if other := another(t, db, url); other != db {
			admit(t, other, 0, noon, ride(sub, "0", 700))
			if needs("0") != 0 {
				t.Error("a server that began on an empty partition looked for what it had not heard of")
			}
			if v := admit(t, db, 0, noon, ride(sub, "0", 700)); v[0].Reason != reason.Replay {
				t.Errorf("what another server recorded meanwhile is %v when it is sent again", v[0])
			}
			for i := range store.Doubt { // after which it trusts itself once more
				admit(t, db, 0, noon, ride(sub, fmt.Sprint("y", i), 800+10*i))
			}
		}
		admit(t, db, 0, noon, ride(sub, "1", 0))
		if needs("1") != 1 {
			t.Error("what was recorded here was not looked for")
		}
		db = reopen(t, db, url)
		if needs("1") != 1 {
			t.Error("the first batch did not look for everything")
		}
		for i := range store.Doubt {
			admit(t, db, 0, noon, ride(sub, fmt.Sprint("x", i), 60+10*i))
		}
		if needs("1") != 0 {
			t.Error("what was not heard of was looked for")
		}
	})
}

// A consent's list that was damaged, or of which an erasure took something out, does not tell whose links it names, and breaks nothing.
func TestDamagedNews(t *testing.T) {
	whole := slices.Repeat([]byte{1}, 26)
	for n := range whole {
		if got, want := store.Tells(whole[:n]), n == 13; got != want {
			t.Errorf("a list of %d bytes tells: %v, want %v", n, got, want)
		}
	}
	if !store.Tells(whole) {
		t.Error("a list of two links does not tell")
	}
	clear(whole[13:25])
	if store.Tells(whole) {
		t.Error("a list of which an erasure took something out tells")
	}
}

// A recent set has all that was added of late, however much was added before, little that was not, and a bound.
func TestRecent(t *testing.T) {
	const most = 1 << 12
	r := store.NewRecent(most)
	mark := func(i int) uint64 {
		return store.MarkOf(claim.Identity{Account: int64(i % 7), Partner: "bikes", ID: fmt.Sprint("r-", i)})
	}
	for i := range 40 * most {
		r.Add(mark(i))
		for _, back := range []int{0, 1, 100, most / 2} {
			if i >= back && !r.Has(mark(i-back)) {
				t.Fatalf("of %d elements the one %d before the last is missing", i+1, back)
			}
		}
	}
	wrong := 0
	for i := range 10_000 {
		if r.Has(mark(-1 - i)) {
			wrong++
		}
	}
	if wrong > 200 {
		t.Errorf("of 10,000 that were never added it has %d", wrong)
	}
	if n := r.Size(); n > most {
		t.Errorf("it has room for %d, where %d is the most", n, most)
	}
	if mark(1) == store.MarkOf(claim.Identity{Account: 1, Partner: "bike", ID: "sr-1"}) {
		t.Error("where the partner ends and the id begins makes no difference")
	}
}
