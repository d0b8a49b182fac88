package link_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

var documents = []publish.File{
	{Name: "meter.methodology.yaml", Text: []byte(`
id: METER
version: 1
title: a meter
domain: life
activity: meter
kind: reduction
use: points
region: CN
timezone: Asia/Shanghai
valid: {from: 2020-01-01}
sources: [{id: s, title: a source}]
inputs: {used: {unit: kWh}}
parameters: {grid: {value: 0.5, unit: kgCO2e/kWh, source: s, seen: true}}
reduction: used * grid
evidence: {system: {weight: 1}}
`)},
	{Name: "city.programme.yaml", Text: []byte(`
id: city
title: a city
region: CN
timezone: Asia/Shanghai
operator: {name: an operator, mode: platform}
applicant: {name: an applicant}
ownership: assigned
accepts: {late: 87600h, early: 5m}
points: none
scenarios:
  meter: {methodology: METER, partners: [utility]}
  other: {methodology: METER, partners: [landlord]}
`)},
}

var now = time.Date(2026, 8, 21, 12, 0, 0, 0, time.UTC)

func world(t *testing.T, url string, parts int) (*store.DB, *rulebook.Rulebook) {
	t.Helper()
	db, err := store.Create(t.Context(), url, parts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	report, err := publish.Publish(t.Context(), db, documents)
	if err != nil {
		t.Fatal(err)
	}
	book, err := publish.Load(t.Context(), db, report.Rulebook)
	if err != nil {
		t.Fatal(err)
	}
	return db, book
}

// verdict is that of a reading that begins and is judged at an instant.
func verdict(t *testing.T, db *store.DB, sub, id, object string, at time.Time) reason.Code {
	t.Helper()
	return verdictAt(t, db, sub, id, object, at, at)
}

// verdictAt has an act judged at another time than that at which it was done.
func verdictAt(t *testing.T, db *store.DB, sub, id, object string, at, clock time.Time) reason.Code {
	t.Helper()
	c := claim.Claim{Partner: "utility", ID: id, Sub: sub, Scenario: "meter", Start: at.UnixMicro(), End: at.UnixMicro(), Evidence: "system", Object: object,
		Quantities: []claim.Quantity{{Name: "used", Text: "1"}}}
	v, err := (&intake.Judge{DB: db}).Admit(t.Context(), db.Route(sub), []claim.Claim{c}, clock.UnixMicro())
	if err != nil {
		t.Fatal(err)
	}
	return v[0].Reason
}

// A consent is in force from its beginning to its end, and only for what was agreed to.
func TestGrantAndRevoke(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, book := world(t, url, 4)
		consent := link.Consent{Programme: "city", Partner: "utility", Purposes: []string{claim.Credit}, Objects: []string{"meter 1"}}
		first, err := link.Grant(t.Context(), db, book, consent, now)
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			id, object string
			at         time.Time
			want       reason.Code
		}{
			{"a", "", now.Add(-time.Microsecond), reason.NoLink},
			{"b", "", now, reason.OK},
			{"c", "meter 1", now.Add(time.Second), reason.OK},
			{"d", "meter 2", now.Add(time.Second), reason.ObjectUnknown},
		} {
			if got := verdict(t, db, first.Sub, tt.id, tt.object, tt.at); got != tt.want {
				t.Errorf("a reading of %q at %s: %s, want %s", tt.object, tt.at, got, tt.want)
			}
		}
		// The same member, to another partner and from an earlier time on.
		consent.Account, consent.Partner, consent.Since = first.Account, "landlord", now.AddDate(-1, 0, 0)
		second, err := link.Grant(t.Context(), db, book, consent, now)
		if err != nil || second.Account != first.Account || second.Sub == first.Sub {
			t.Errorf("a second link: %+v, %v", second, err)
		}
		if got := verdict(t, db, second.Sub, "e", "", now.Add(time.Minute)); got != reason.NoLink {
			t.Errorf("the utility used the landlord's sub: %s", got)
		}
		// Ending it: only who has it, and once.
		later := now.Add(time.Hour)
		for _, who := range []string{"landlord", "stranger"} {
			if err := link.Revoke(t.Context(), db, first.Sub, who, later); fault.KindOf(err) != fault.NotFound {
				t.Errorf("%s ended the utility's link: %v", who, err)
			}
		}
		for _, who := range []string{"utility", "", "utility"} {
			if err := link.Revoke(t.Context(), db, first.Sub, who, later); err != nil {
				t.Errorf("%q could not end it: %v", who, err)
			}
			later = later.Add(time.Hour)
		}
		l, _, err := db.LinkOf(t.Context(), first.Sub)
		if want := now.Add(time.Hour).UnixMicro(); err != nil || l.Revoked != want {
			t.Errorf("it ended at %d, %v; want %d, when it was first ended", l.Revoked, err, want)
		}
		if got := verdict(t, db, first.Sub, "f", "", later); got != reason.LinkRevoked {
			t.Errorf("after the end: %s", got)
		}
		if got := verdictAt(t, db, first.Sub, "b", "", now, later); got != reason.Replay {
			t.Errorf("a retry after the end: %s", got)
		}
		if err := link.Revoke(t.Context(), db, "nobody", "", later); fault.KindOf(err) != fault.NotFound {
			t.Errorf("a link that is not there was ended: %v", err)
		}
	})
}

// What cannot be granted says why, and leaves nothing behind.
func TestRefused(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, book := world(t, url, 4)
		good := link.Consent{Programme: "city", Partner: "utility", Purposes: claim.Purposes, Objects: []string{"taken"}}
		owner, err := link.Grant(t.Context(), db, book, good, now)
		if err != nil {
			t.Fatal(err)
		}
		before := accounts(t, db)
		for what, tt := range map[string]struct {
			change func(*link.Consent)
			want   fault.Kind
		}{
			"no programme":      {func(c *link.Consent) { c.Programme = "" }, fault.NotFound},
			"another programme": {func(c *link.Consent) { c.Programme = "country" }, fault.NotFound},
			"another partner":   {func(c *link.Consent) { c.Partner = "stranger" }, fault.Invalid},
			"a scenario":        {func(c *link.Consent) { c.Scenarios = []string{"meter", "bike"} }, fault.Invalid},
			"a purpose":         {func(c *link.Consent) { c.Purposes = []string{"credit", "sell"} }, fault.Invalid},
			"an object's name":  {func(c *link.Consent) { c.Objects = []string{""} }, fault.Invalid},
			"a long name":       {func(c *link.Consent) { c.Objects = []string{strings.Repeat("x", claim.MaxID+1)} }, fault.Invalid},
			"a control":         {func(c *link.Consent) { c.Objects = []string{"meter\x00"} }, fault.Invalid},
			"no UTF-8":          {func(c *link.Consent) { c.Objects = []string{"meter\xff"} }, fault.Invalid},
			"many objects":      {func(c *link.Consent) { c.Objects = make([]string, 21) }, fault.Invalid},
			"another's object":  {func(c *link.Consent) { c.Objects = []string{"free", "taken"} }, fault.Conflict},
			"no account":        {func(c *link.Consent) { c.Account = store.AccountID{Part: owner.Account.Part, Number: 99} }, fault.NotFound},
			"no partition":      {func(c *link.Consent) { c.Account = store.AccountID{Part: 99, Number: 1} }, fault.NotFound},
		} {
			c := good
			c.Objects = []string{"free"}
			tt.change(&c)
			if got, err := link.Grant(t.Context(), db, book, c, now); fault.KindOf(err) != tt.want {
				t.Errorf("%s: %+v, %v; want %s", what, got, err, tt.want)
			}
		}
		if after := accounts(t, db); after != before {
			t.Errorf("%d accounts were opened", after-before)
		}
		// An object asked for together with another's, or for an account that is not there, once was lost for good.
		c := good
		c.Objects = []string{"free"}
		if _, err := link.Grant(t.Context(), db, book, c, now); err != nil {
			t.Errorf("what was never granted is taken: %v", err)
		}
	})
}

func accounts(t *testing.T, db *store.DB) (n int) {
	t.Helper()
	for part := range db.Parts {
		for number := int64(1); ; number++ {
			if _, _, err := db.Account(t.Context(), store.AccountID{Part: part, Number: number}); err != nil {
				break
			}
			n++
		}
	}
	return n
}

// A link that was lost when a backup was restored is nobody's. Its number used to be given again, to the next
// member, and with it the sub: then a partner's claims for the one were credited to the other.
func TestRestoredFromBackup(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, book := world(t, url, 1)
		db.Close()
		restore := storetest.Backup(t, url)
		consent := link.Consent{Programme: "city", Partner: "utility", Purposes: []string{claim.Credit}}
		grant := func(at time.Time) link.Granted {
			t.Helper()
			g, err := link.Grant(t.Context(), db, book, consent, at)
			if err != nil {
				t.Fatal(err)
			}
			return g
		}
		db = reopen(t, url)
		lost := grant(now)
		db.Close()
		restore()
		db = reopen(t, url)
		other := grant(now.Add(time.Second))
		if other.Account != lost.Account || other.Sub == lost.Sub {
			t.Errorf("after the restore %v, before it %v: want the account's number, and not the sub, given again", other, lost)
		}
		if got := verdict(t, db, lost.Sub, "a", "", now.Add(time.Minute)); got != reason.NoLink {
			t.Errorf("a reading of the member whose link was lost is %s", got)
		}
		if got := verdict(t, db, other.Sub, "b", "", now.Add(time.Minute)); got != reason.OK {
			t.Errorf("a reading of the other member is %s", got)
		}
	})
}

func reopen(t *testing.T, url string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// Of two who register one meter at once, one gets it.
func TestGrantAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, book := world(t, url, 4)
		errs := make([]error, 6)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				c := link.Consent{Programme: "city", Partner: "utility", Purposes: claim.Purposes, Objects: []string{"meter"}}
				_, errs[i] = link.Grant(t.Context(), db, book, c, now)
			})
		}
		wg.Wait()
		granted := 0
		for _, err := range errs {
			if err == nil {
				granted++
			} else if fault.KindOf(err) != fault.Conflict {
				t.Error(err)
			}
		}
		if granted != 1 {
			t.Errorf("%d consents got the meter, want 1", granted)
		}
	})
}

// A consent that is sent again under its key, because its answer was lost, is granted once: one account, one
// link, also when it is sent many times at once, and when its first time broke off in the middle.
func TestGrantOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, book := world(t, url, 4)
		grant := func(c link.Consent, at time.Time) (link.Granted, error) {
			return link.Grant(t.Context(), db, book, c, at)
		}
		consent := link.Consent{Programme: "city", Partner: "utility", Purposes: []string{claim.Credit}, Objects: []string{"meter 1"}, Key: "consent 1"}
		answers := make(chan link.Granted, 8)
		var sending sync.WaitGroup
		for i := range cap(answers) {
			sending.Go(func() {
				g, err := grant(consent, now.Add(time.Duration(i)*time.Second))
				if err != nil {
					t.Error(err)
				}
				answers <- g
			})
		}
		sending.Wait()
		first := <-answers
		for range cap(answers) - 1 {
			if g := <-answers; g != first {
				t.Errorf("the same consent was answered by %v and by %v", first, g)
			}
		}
		if n, err := db.AccountCount(t.Context()); err != nil || n != 1 {
			t.Errorf("%d accounts were opened, %v", n, err)
		}
		if got := verdict(t, db, first.Sub, "a", "meter 1", now.Add(time.Minute)); got != reason.OK {
			t.Errorf("a reading by that link is %s", got)
		}

		other := consent
		other.Purposes = claim.Purposes
		if _, err := grant(other, now); fault.KindOf(err) != fault.Conflict {
			t.Errorf("another consent under the same key: %v", err)
		}
		other.Key = "consent 2"
		if _, err := grant(other, now); fault.KindOf(err) != fault.Conflict {
			t.Errorf("the meter of somebody else: %v", err)
		}
		if n, _ := db.AccountCount(t.Context()); n != 1 {
			t.Errorf("a conflict left %d accounts", n)
		}
		own := other
		own.Key, own.Account = "consent 3", first.Account
		second, err := grant(own, now)
		if err != nil || second.Account != first.Account || second.Sub == first.Sub {
			t.Errorf("another link for the same account: %v, %v", second, err)
		}
		if again, err := grant(own, now); err != nil || again != second {
			t.Errorf("sent again: %v, %v; want %v", again, err, second)
		}

		// It broke off after the account was opened and its meter taken: the meter is not lost.
		broken := link.Consent{Programme: "city", Partner: "utility", Purposes: []string{claim.Credit}, Objects: []string{"meter 4"}, Key: "consent 4"}
		left, err := link.BreakOff(t.Context(), db, broken, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.TakeObject(t.Context(), "meter 4", left, now.UnixMicro()); err != nil {
			t.Fatal(err)
		}
		if g, err := grant(broken, now); err != nil || g.Account != left {
			t.Errorf("what broke off for %s went on as %v, %v", left, g, err)
		}
	})
}

// A key is one request's, also when two requests name accounts of different partitions: it used to be looked for in
// the account's, and so one key answered both. What such a request broke off is gone on with as well.
func TestKeyOfTwoRequests(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, book := world(t, url, 4)
		consent := link.Consent{Programme: "city", Partner: "utility", Purposes: []string{claim.Credit}}
		grant := func(key string, of store.AccountID) (link.Granted, error) {
			c := consent
			c.Key, c.Account = key, of
			return link.Grant(t.Context(), db, book, c, now)
		}
		accounts := make([]store.AccountID, db.Parts)
		for slices.Contains(accounts, store.AccountID{}) {
			g, err := grant("", store.AccountID{})
			if err != nil {
				t.Fatal(err)
			}
			accounts[g.Account.Part] = g.Account
		}
		for i, account := range accounts {
			key := fmt.Sprint("key ", i)
			first, err := grant(key, account)
			if err != nil || first.Account != account {
				t.Fatalf("a link for %s: %v, %v", account, first, err)
			}
			if again, err := grant(key, account); err != nil || again != first {
				t.Errorf("sent again: %v, %v; want %v", again, err, first)
			}
			for _, other := range append(accounts, store.AccountID{}) {
				if _, err := grant(key, other); other != account && fault.KindOf(err) != fault.Conflict {
					t.Errorf("the key of a request for %s, used for %s: %v", account, other, err)
				}
			}
			broken := consent
			broken.Key, broken.Account = fmt.Sprint("broken ", i), account
			if _, err := link.BreakOff(t.Context(), db, broken, now); err != nil {
				t.Fatal(err)
			}
			if g, err := grant(broken.Key, account); err != nil || g.Account != account {
				t.Errorf("what broke off for %s went on as %v, %v", account, g, err)
			}
		}
	})
}

// A consent that is sent again gets its link also when the rulebook has changed meanwhile, and would not allow it
// any more. It used to be refused, though the link was there.
func TestGrantAgainUnderNewRulebook(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, book := world(t, url, 4)
		consent := link.Consent{Programme: "city", Partner: "utility", Purposes: []string{claim.Credit}, Key: "consent 1"}
		first, err := link.Grant(t.Context(), db, book, consent, now)
		if err != nil {
			t.Fatal(err)
		}
		city := publish.File{Name: "city.programme.yaml", Text: bytes.Replace(documents[1].Text, []byte("[utility]"), []byte("[landlord]"), 1)}
		report, err := publish.Publish(t.Context(), db, []publish.File{city})
		if err != nil {
			t.Fatal(err)
		}
		if book, err = publish.Load(t.Context(), db, report.Rulebook); err != nil {
			t.Fatal(err)
		}
		if again, err := link.Grant(t.Context(), db, book, consent, now); err != nil || again != first {
			t.Errorf("sent again: %v, %v; want %v", again, err, first)
		}
		consent.Key = "consent 2"
		if g, err := link.Grant(t.Context(), db, book, consent, now); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a partner that reports nothing any more got %v, %v", g, err)
		}
	})
}

// What a request asks for is hashed from a text that stays, and not from whatever Go makes of a struct: else a field
// more in the next version, or a list that is empty and not absent, made the same request another one.
func TestContent(t *testing.T) {
	consent := func(change func(*link.Consent)) string {
		c := link.Consent{Account: store.AccountID{Part: 3, Number: 17}, Programme: "city", Partner: "utility", Scenarios: []string{"meter"},
			Purposes: []string{claim.Credit}, Since: now, Objects: []string{"meter 1", "电表 2"}, Key: "consent 1"}
		change(&c)
		return c.Content()
	}
	const want = "ecd595777af7bdf54c14fa0cc1820c96c674fcbadc6bb2cb0268eea7626c505e"
	as := consent(func(*link.Consent) {})
	if as != want {
		t.Errorf("a consent's content is %s, want %s as ever", as, want)
	}
	if elsewhere := consent(func(c *link.Consent) { c.Since = now.In(time.FixedZone("", 8*3600)) }); elsewhere != as {
		t.Error("one instant, written in two time zones, has two contents")
	}
	absent := consent(func(c *link.Consent) { c.Scenarios, c.Purposes, c.Objects = nil, nil, nil })
	empty := consent(func(c *link.Consent) { c.Scenarios, c.Purposes, c.Objects = []string{}, []string{}, []string{} })
	if absent != empty {
		t.Error("empty lists have another content than absent ones")
	}
	seen := map[string]int{as: -1}
	for i, change := range []func(*link.Consent){
		func(c *link.Consent) { c.Account.Part = 31 },
		func(c *link.Consent) { c.Account.Number = 1 },
		func(c *link.Consent) { c.Programme = "other" },
		func(c *link.Consent) { c.Partner = "landlord" },
		func(c *link.Consent) { c.Scenarios = nil },
		func(c *link.Consent) { c.Purposes = []string{claim.Assign} },
		func(c *link.Consent) { c.Since = now.Add(time.Microsecond) },
		func(c *link.Consent) { c.Since = time.Time{} },
		func(c *link.Consent) { c.Objects = []string{"meter 1 meter 2"} },
		func(c *link.Consent) { c.Objects = []string{`meter 1" "meter 2`} },
		func(c *link.Consent) { c.Objects = []string{"meter 1"} },
	} {
		got := consent(change)
		if other, ok := seen[got]; ok {
			t.Errorf("changes %d and %d have one content", i, other)
		}
		seen[got] = i
	}
}

// Of a request that is sent twice at once, the slower one finds its own meter taken by the faster, and goes on with it.
// It used to be told that its meter was another account's.
func TestSameRequestAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, book := world(t, url, 4)
		slow := link.Consent{Programme: "city", Partner: "utility", Purposes: []string{claim.Credit}, Objects: []string{"meter 1"}, Key: "consent 1"}
		fast := slow
		account, err := link.BreakOff(t.Context(), db, fast, now)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.TakeObject(t.Context(), "meter 1", account, now.UnixMicro()); err != nil {
			t.Fatal(err)
		}
		c := slow
		if g, err := link.Unhindered(t.Context(), db, &c, now); err != nil || g.Sub != "" || c.Account != account {
			t.Errorf("after the other one took the meter: %v for %s, %v; want to go on for %s", g, c.Account, err, account)
		}
		granted, err := link.Grant(t.Context(), db, book, fast, now)
		if err != nil {
			t.Fatal(err)
		}
		c = slow
		if g, err := link.Unhindered(t.Context(), db, &c, now); err != nil || g != granted {
			t.Errorf("after the other one was done: %v, %v; want %v", g, err, granted)
		}
		other := slow
		other.Key = "consent 2"
		if _, err := link.Unhindered(t.Context(), db, &other, now); fault.KindOf(err) != fault.Conflict {
			t.Errorf("another request for the same meter: %v", err)
		}
	})
}

// Members who are brought along are spread over the partitions, each with a sub of its own.
func TestEnrol(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, book := world(t, url, 3)
		for _, n := range []int{0, 1, 3, 4, 101} {
			subs, err := link.Enrol(t.Context(), db, book, "city", "utility", n, now)
			if err != nil || len(subs) != n {
				t.Fatalf("enrolling %d: %d subs, %v", n, len(subs), err)
			}
			perPart := make([]int, db.Parts)
			for _, sub := range subs {
				perPart[db.Route(sub)]++
			}
			if slices.Max(perPart)-slices.Min(perPart) > 1 {
				t.Errorf("%d members are spread as %v", n, perPart)
			}
			slices.Sort(subs)
			if len(slices.Compact(subs)) != n {
				t.Error("two members have one sub")
			}
		}
		if _, err := link.Enrol(t.Context(), db, book, "city", "stranger", 1, now); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a stranger enrolled a member: %v", err)
		}
	})
}

// A partition that gets many opens them in several transactions.
func TestEnrolMany(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, book := world(t, url, 1)
		const n = 2001
		subs, err := link.Enrol(t.Context(), db, book, "city", "utility", n, now)
		if err != nil || len(subs) != n {
			t.Fatalf("%d subs, %v", len(subs), err)
		}
		if _, _, err := db.Account(t.Context(), store.AccountID{Part: 0, Number: n}); err != nil {
			t.Error(err)
		}
	})
}
