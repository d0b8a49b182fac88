package store_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/erase"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/flows/testimony"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/signature"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// A resident is a member with something in every table: a ride that counts, one that was retracted, a meter, a request with a key,
// and claims that the partner signed.
type resident struct {
	id          store.AccountID
	ride, power string // subs
	name        string
}

// settleIn makes residents, whose claims share batches and signed requests.
func settleIn(t testing.TB, db *store.DB, n int) (list []resident) {
	t.Helper()
	book, err := publish.Load(ctx(), db, 6)
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMicro(noon)
	rides, reads := map[int][]claim.Claim{}, map[int][]claim.Claim{}
	for i := range n {
		r := resident{name: fmt.Sprintf("person-%03d", i)}
		grant := func(programme, partner string, objects ...string) string {
			g, err := link.Grant(ctx(), db, book, link.Consent{Account: r.id, Programme: programme, Partner: partner, Purposes: claim.Purposes,
				Since: at.AddDate(-3, 0, 0), Objects: objects, Key: "consent " + programme + " of " + r.name}, at)
			if err != nil {
				t.Fatal(err)
			}
			r.id = g.Account
			return g.Sub
		}
		r.ride = grant("city", "bikes")
		r.power = grant("home", "utility", "meter of "+r.name)
		read := month(r.power, "read "+r.name, 2026, 7, "100")
		read.Object = "meter of " + r.name
		rides[r.id.Part] = append(rides[r.id.Part], ride(r.ride, "first ride of "+r.name, 0), ride(r.ride, "second ride of "+r.name, 10))
		reads[r.id.Part] = append(reads[r.id.Part], read)
		list = append(list, r)
	}
	public, private, err := ed25519.GenerateKey(nil)
	if err == nil {
		err = db.AddPartnerKey(ctx(), store.PartnerKey{ID: signature.KeyID(public), Partner: "bikes", Public: public, Created: noon})
	}
	if err != nil {
		t.Fatal(err)
	}
	for part, claims := range rides {
		for len(claims) > 0 {
			some := claims[:min(9, len(claims))] // of which one person's may be in two
			claims = claims[len(some):]
			said(t, db, private, some, admit(t, db, part, noon, some...))
		}
		admit(t, db, part, noon, reads[part]...)
	}
	for _, r := range list {
		retract(t, db, noon, r.ride, "bikes", "second ride of "+r.name)
	}
	return list
}

// said keeps that the partner signed claims in one request.
func said(t testing.TB, db *store.DB, key ed25519.PrivateKey, claims []claim.Claim, verdicts []claim.Verdict) {
	t.Helper()
	r := &testimony.Request{Partner: "bikes", Claims: claims, Verdicts: verdicts}
	rand.Read(r.Salt[:])
	r.Leaves = claim.SaidLeaves(claims, r.Salt)
	asked := &signature.Request{Method: "POST", Authority: "tanpu.example", Path: "/v1/claims", Root: signature.FormatRoot(ledger.Root(r.Leaves))}
	input, text := signature.Sign(key, asked, noon/1e6)
	signed, err := signature.Read(asked, input, text)
	if r.Signed = signed; err == nil {
		err = (&testimony.Keeper{DB: db}).Keep(ctx(), r)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestEraseFaults lets erasures fail at every step in every way, and ends what broke off as a server does that starts anew.
func TestEraseFaults(t *testing.T) {
	storetest.OneByOne(t)
	t.Run("sqlite", func(t *testing.T) { eraseFaults(t, newSQLiteStage(t), *eraseStride) })
	t.Run("postgres", func(t *testing.T) { eraseFaults(t, newPostgresStage(t), *eraseStride) })
}

// eraseStride leaves steps out: each costs an erasure, and on PostgreSQL a server's start. With 1 none is left out.
var eraseStride = flag.Int("erase.stride", 5, "of how many steps of an erasure one is struck")

func eraseFaults(t *testing.T, s stage, stride int) {
	db, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { db.Close() }()
	put(t, db, documents...)
	people := settleIn(t, db, 20+200/stride)
	at := time.UnixMicro(noon).Add(time.Hour)
	struck, erased, fallen := map[string]int{}, 0, 0
	for after := 0; ; after += stride {
		if erased == len(people)-4 {
			t.Fatalf("after %d strokes an erasure still has steps", after)
		}
		r := people[erased]
		erased++
		how := stroke(fallen % 4)
		s.arm(after, how)
		_, err := erase.New(db).Account(ctx(), r.id, at)
		on, fell := s.disarm()
		if s.died() {
			db.Close()
			if db, err = s.open(); err != nil {
				t.Fatalf("opening again after dying at %q: %v", on, err)
			}
		}
		if !fell {
			if err != nil {
				t.Fatalf("without a fault: %v", err)
			}
			break
		}
		fallen++
		struck[how.String()]++
		if _, err := erase.New(db).Finish(ctx(), at); err != nil {
			t.Fatalf("after %q, which it was to %s: %v", on, how, err)
		}
		for range 2 { // as whoever asked for it does, who has no answer
			e, err := erase.New(db).Account(ctx(), r.id, at)
			if err != nil || e.Number == 0 {
				t.Fatalf("after %q: %+v, %v", on, e, err)
			}
		}
		if list, err := db.Erasing(ctx()); err != nil || len(list) > 0 {
			t.Fatalf("after %q, %v are still being erased, %v", on, list, err)
		}
		at = at.Add(time.Second)
	}
	t.Logf("%d strokes: %v", fallen, struck)
	if fallen < 20 {
		t.Errorf("only %d strokes fell", fallen)
	}
	for _, r := range people[:erased] {
		leavesNothing(t, db, r)
	}
	report, err := audit.Run(ctx(), db, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !report.Clean() || report.Erased != int64(erased) || report.Removed != int64(4*erased) || report.Claims != int64(3*(len(people)-erased)) {
		t.Errorf("%d accounts are erased, %d places removed, %d claims there, found %v; want %d, %d, %d and nothing", report.Erased, report.Removed, report.Claims,
			report.Findings, erased, 4*erased, 3*(len(people)-erased))
	}
}

// leavesNothing looks for whatever could lead to a person who was erased.
func leavesNothing(t *testing.T, db *store.DB, r resident) {
	t.Helper()
	part, n := r.id.Part, r.id.Number
	for _, query := range []string{
		"SELECT id FROM claim WHERE part = $1 AND account = $2", "SELECT why FROM reversal WHERE part = $1 AND account = $2",
		"SELECT link FROM link WHERE part = $1 AND account = $2", "SELECT object FROM account_object WHERE part = $1 AND account = $2",
		"SELECT period FROM usage WHERE part = $1 AND account = $2", "SELECT key FROM slot WHERE part = $1 AND account = $2",
		"SELECT value FROM history WHERE part = $1 AND account = $2", "SELECT key FROM account_key WHERE part = $1 AND account = $2",
		"SELECT asset FROM balance WHERE part = $1 AND holder = $2", "SELECT step FROM request WHERE owner_part = $1 AND owner = $2",
		"SELECT object FROM object WHERE owner_part = $1 AND owner = $2", "SELECT at FROM erasing WHERE part = $1 AND account = $2",
	} {
		if got := cells(t, db, query, part, n); got != "" {
			t.Errorf("%s is erased, and %s gives %q", r.name, query, got)
		}
	}
	number := fmt.Sprintf("%016x", n)
	for _, query := range []string{"SELECT accounts FROM batch WHERE part = $1", "SELECT links FROM consent WHERE part = $1"} {
		for _, row := range strings.Fields(cells(t, db, query, part)) {
			for width := 16; len(row) >= width; row = row[width:] {
				if strings.Contains(query, "links") {
					width = 26
				}
				if row[:16] == number {
					t.Errorf("%s is erased, and %s names the account", r.name, query)
				}
			}
		}
	}
}

// TestEraseRight: what is recorded of an account can be taken away while it is erased, and of no other.
func TestEraseRight(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 2)
		put(t, db, documents...)
		people := settleIn(t, db, 4)
		if db.Engine() == "postgres" {
			for _, attempt := range []string{"DELETE FROM claim", "UPDATE batch SET accounts = accounts", "DELETE FROM account_key",
				"INSERT INTO erasing (part, account, at, open) VALUES (0, 1, 1, 1)", "INSERT INTO forgotten (part, mark, at) VALUES (0, '\\x01', 1)"} {
				if err := db.Exec(ctx(), attempt); err == nil || !strings.Contains(err.Error(), "permission denied") {
					t.Errorf("%s: error %v, want the guard's", attempt, err)
				}
			}
			_, err := erase.New(plainLogin(t, url)).Account(ctx(), people[0].id, time.UnixMicro(noon))
			if fault.KindOf(err) != fault.Forbidden {
				t.Errorf("a login without the right erases: %v", err)
			}
			return
		}
		other := people[1]
		err := db.Erase(ctx(), people[0].id.Part, noon, people[0].id, func(tx *store.Tx) error {
			if _, err := tx.BeginErasing(ctx()); err != nil {
				return err
			}
			for _, table := range []string{"claim", "reversal", "link", "account_object", "account_key"} {
				attempt := fmt.Sprintf("DELETE FROM %s WHERE part = %d AND account = %d", table, other.id.Part, other.id.Number)
				if err := tx.Exec(ctx(), attempt); err == nil || !strings.Contains(err.Error(), "is append-only") {
					t.Errorf("%s, while somebody else is erased: error %v, want the guard's", attempt, err)
				}
			}
			for _, attempt := range []string{"UPDATE batch SET leaves = accounts", "UPDATE batch SET totals = root", "UPDATE batch SET accounts = x'00'", "UPDATE consent SET root = x'00'", "DELETE FROM batch",
				"UPDATE testimony SET signature = x'00'", "UPDATE request SET owner = 7"} {
				if err := tx.Exec(ctx(), attempt); err == nil || !strings.Contains(err.Error(), "is append-only") {
					t.Errorf("%s, while somebody is erased: error %v, want the guard's", attempt, err)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// Between the flow's transactions the right is closed.
		attempt := fmt.Sprintf("DELETE FROM claim WHERE part = %d AND account = %d", people[0].id.Part, people[0].id.Number)
		if err := db.Exec(ctx(), attempt); err == nil || !strings.Contains(err.Error(), "is append-only") {
			t.Errorf("%s: error %v, want the guard's", attempt, err)
		}
	})
}

// plainLogin opens the database with a login that may do what a server does, and not erase.
func plainLogin(t *testing.T, at string) *store.DB {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	owner, err := sql.Open("pgx", at)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close()
	if _, err := owner.Exec(fmt.Sprintf("CREATE ROLE %[1]s_plain LOGIN; GRANT %[1]s_runtime TO %[1]s_plain", name)); err != nil {
		t.Fatal(err)
	}
	u.User = url.User(name + "_plain")
	db, err := store.Open(ctx(), u.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// TestEraseOverwrites: what was deleted is not left in SQLite's files, once they were written anew.
func TestEraseOverwrites(t *testing.T) {
	url := storetest.SQLite(t)
	db := create(t, url, 2)
	put(t, db, documents...)
	people := settleIn(t, db, 9)
	found := func(text string) (in []string) {
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(strings.TrimPrefix(url, "sqlite:") + suffix)
			if err == nil && strings.Contains(string(b), text) {
				in = append(in, suffix)
			}
		}
		return in
	}
	if len(found("first ride of person-003")) == 0 {
		t.Fatal("a claim's id is not found in the files before, so that this shows nothing")
	}
	if _, err := erase.New(db).Account(ctx(), people[3].id, time.UnixMicro(noon)); err != nil {
		t.Fatal(err)
	}
	if err := db.Compact(ctx()); err != nil {
		t.Fatal(err)
	}
	if in := found("person-003"); len(in) > 0 {
		t.Errorf("the person is erased, and still in the files %q", in)
	}
	if len(found("person-004")) == 0 {
		t.Error("somebody else is gone as well")
	}
}

// TestDictionary tries all plausible claims of a person against every hash that is kept: with the account's key, before it
// is destroyed, they give the person away; afterwards nothing does, whatever else is in the database.
func TestDictionary(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 2)
		put(t, db, documents...)
		people := settleIn(t, db, 8)
		target := people[2]
		d := newDictionary(t, db, target)
		if hits := d.try(t, db); hits["claim"] != 2 || hits["link"] != 2 || hits["said"] != 2 {
			t.Fatalf("before the erasure the dictionary finds %v; want two rides, two links, and what was said of the rides", hits)
		}
		if _, err := erase.New(db).Account(ctx(), target.id, time.UnixMicro(noon)); err != nil {
			t.Fatal(err)
		}
		if hits := d.try(t, db); len(hits) > 0 {
			t.Errorf("after the erasure the dictionary finds %v, want nothing", hits)
		}
	})
}

// A dictionary is what somebody knows who knows nearly all of a person: the subs, the links, and which rides there can have been.
type dictionary struct {
	rows  []claim.Row
	links []claim.Link
	at    claim.Micros
}

func newDictionary(t *testing.T, db *store.DB, r resident) *dictionary {
	t.Helper()
	book, err := publish.Load(ctx(), db, 6)
	if err != nil {
		t.Fatal(err)
	}
	d := &dictionary{at: noon}
	for _, sub := range []string{r.ride, r.power} {
		l, _, err := db.LinkOf(ctx(), sub)
		if err != nil {
			t.Fatal(err)
		}
		d.links = append(d.links, l)
	}
	for _, id := range []string{"first ride of " + r.name, "second ride of " + r.name} {
		for minute := range 11 {
			for km := int64(1); km <= 3; km++ {
				c := ride(r.ride, id, minute)
				c.Quantities[0].Text = fmt.Sprint(km)
				d.rows = append(d.rows, claim.Row{Claim: &c, Body: claim.Body(&c), Programme: "city", Group: "trip", Vintage: "2026", Holder: ledger.Applicant,
					Method:  book.Versions("BIKE")[0],
					Verdict: claim.Verdict{Reason: "ok", Method: "BIKE@1", Milligrams: km * 100_000, Points: km * 10_000}})
			}
		}
	}
	return d
}

// try counts what the dictionary finds: with every key that there is and a few that somebody might try, in every place.
func (d *dictionary) try(t *testing.T, db *store.DB) map[string]int {
	t.Helper()
	var keys [][32]byte
	add := func(query string) {
		for _, text := range strings.Fields(cells(t, db, query)) {
			b, err := hex.DecodeString(text)
			if err != nil || len(b) != 32 {
				t.Fatalf("%s gives no key: %s", query, text)
			}
			keys = append(keys, [32]byte(b))
		}
	}
	add("SELECT key FROM account_key")
	add("SELECT secret FROM partition")
	keys = append(keys, [32]byte{})
	hits := map[string]int{}
	for part := range db.Parts {
		err := db.Snapshot(ctx(), part, func(s *store.Snapshot) error {
			if err := s.Batches(ctx(), func(b *store.BatchRow) { hits["claim"] += d.tryBatch(b, keys) }); err != nil {
				return err
			}
			return s.EachConsent(ctx(), func(c *store.ConsentRow) {
				for leaf := range slices.Chunk(c.Leaves, 32) {
					for i := range d.links {
						for _, key := range keys {
							l := d.links[i]
							l.Key = key
							if claim.LinkLeafHash(&l, c.At, false) == [32]byte(leaf) {
								hits["link"]++
							}
						}
					}
				}
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	hits["said"] = d.trySaid(t, db)
	maps.DeleteFunc(hits, func(_ string, n int) bool { return n == 0 })
	return hits
}

func (d *dictionary) tryBatch(b *store.BatchRow, keys [][32]byte) (hits int) {
	place := 0
	for leaf := range slices.Chunk(b.Leaves, 32) {
		for _, key := range keys {
			for _, usage := range []string{"0", "1 distance=1000"} { // what the day's cap had counted by then
				for i := range d.rows {
					r := d.rows[i]
					r.Key, r.Verdict.Ref = key, claim.Ref{Part: b.Part, Batch: b.Number, Ord: place}
					r.Used = []methodology.Use{{What: "usage 2026-08-01", Value: usage}}
					if claim.LeafHash(&r) == [32]byte(leaf) {
						hits++
					}
				}
			}
		}
		place++
	}
	return hits
}

// trySaid tries what partners signed, with the salts that are kept of it.
func (d *dictionary) trySaid(t *testing.T, db *store.DB) (hits int) {
	t.Helper()
	for _, row := range strings.Split(strings.TrimSpace(cells(t, db, "SELECT salt, leaves FROM testimony")), "\n") {
		f := strings.Fields(row)
		salt, _ := hex.DecodeString(f[0])
		leaves, _ := hex.DecodeString(f[1])
		i := 0
		for leaf := range slices.Chunk(leaves, 32) {
			var s [32]byte
			if len(salt) == 32 { // the request's
				s = claim.SaidSalt([32]byte(salt), i)
			} else {
				copy(s[:], salt[32*i:])
			}
			for k := range d.rows {
				if claim.SaidLeaf(d.rows[k].Claim, s) == [32]byte(leaf) {
					hits++
				}
			}
			i++
		}
	}
	return hits
}

// What was noted of an account in another partition while it was erased used to stay: a meter of nobody's that could not be
// registered again by anybody, and a request with its content.
func TestNotedWhileErased(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 32)
		put(t, db, documents...)
		people := settleIn(t, db, 3)
		note := func(part int, id store.AccountID, key string, then func()) error {
			return db.Update(ctx(), part, noon, func(tx *store.Tx) error {
				defer then()
				return tx.NoteSettled(ctx(), store.Request{Key: key}, id)
			})
		}
		early, gone, begun := people[0].id, people[1].id, people[2].id
		if _, err := erase.New(db).Account(ctx(), gone, time.UnixMicro(noon)); err != nil {
			t.Fatal(err)
		}
		tied, err := db.Tied(ctx(), early)
		if err != nil {
			t.Fatal(err)
		}
		elsewhere := 0 // where its erasure has no business, unless a mark falls there
		for elsewhere == early.Part || slices.Contains(tied, elsewhere) {
			elsewhere++
		}
		err = note(elsewhere, early, "early", func() { // in hand while the erasure begins
			done := make(chan error, 1)
			go func() {
				_, err := erase.New(db).Account(ctx(), early, time.UnixMicro(noon))
				done <- err
			}()
			t.Cleanup(func() {
				if err := <-done; err != nil {
					t.Error(err)
				}
				leavesNothing(t, db, people[0])
			})
			time.Sleep(200 * time.Millisecond)
		})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Erase(ctx(), begun.Part, noon, begun, func(tx *store.Tx) error {
			_, err := tx.BeginErasing(ctx())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		for id, want := range map[store.AccountID]fault.Kind{gone: fault.Gone, begun: fault.Conflict} {
			for part := range db.Parts {
				if err := note(part, id, "late", func() {}); fault.KindOf(err) != want {
					t.Errorf("a request of account %s: %v, want %s", id, err, want)
				}
			}
			for i := range 8 { // at both homes
				if err := db.TakeObject(ctx(), fmt.Sprint("new meter ", i), id, noon); fault.KindOf(err) != want {
					t.Errorf("an object of account %s: %v, want %s", id, err, want)
				}
			}
		}
		leavesNothing(t, db, people[1])
	})
}

// One account that cannot be erased, because its balance does not follow from its claims, used to keep all from being ended
// whose erasures had broken off after it.
func TestFinishOthers(t *testing.T) {
	db := create(t, storetest.SQLite(t), 1)
	put(t, db, documents...)
	people := settleIn(t, db, 3)
	if err := db.Exec(ctx(), "UPDATE balance SET amount = amount + 1 WHERE holder = $1", people[0].id.Number); err != nil {
		t.Fatal(err)
	}
	for _, r := range people {
		err := db.Erase(ctx(), r.id.Part, noon, r.id, func(tx *store.Tx) error {
			_, err := tx.BeginErasing(ctx())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n, err := erase.New(db).Finish(ctx(), time.UnixMicro(noon)); n != 2 || err == nil || !strings.Contains(err.Error(), "does not follow") {
		t.Errorf("%d erasures were ended, %v; want 2, and what is wrong with the other", n, err)
	}
	for _, r := range people[1:] {
		leavesNothing(t, db, r)
	}
}

// What was signed is kept after its claims are recorded, and replays may be signed again with others' claims. Both used to
// leave a salt, with which whoever has the database could try out what somebody erased had done.
func TestSaidOfErased(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		put(t, db, documents...)
		people := settleIn(t, db, 3)
		public, private, err := ed25519.GenerateKey(nil)
		if err == nil {
			err = db.AddPartnerKey(ctx(), store.PartnerKey{ID: signature.KeyID(public), Partner: "bikes", Public: public, Created: noon})
		}
		if err != nil {
			t.Fatal(err)
		}
		again, late, other := people[0], people[1], people[2]
		ids := map[string]*dictionary{}
		for _, r := range people {
			ids[r.name] = newDictionary(t, db, r)
		}
		more := []claim.Claim{ride(again.ride, "first ride of "+again.name, 0), ride(other.ride, "third ride of "+other.name, 20)}
		said(t, db, private, more, admit(t, db, 0, noon, more...))
		if n := ids[again.name].trySaid(t, db); n != 3 {
			t.Fatalf("before the erasure %d of what was signed is found, want 3", n)
		}
		tardy := []claim.Claim{ride(late.ride, "third ride of "+late.name, 5), ride(other.ride, "fourth ride of "+other.name, 40)}
		verdicts := admit(t, db, 0, noon, tardy...)
		for _, r := range []resident{again, late} {
			for i := range 11 {
				c := ride(r.ride, "third ride of "+r.name, i)
				ids[r.name].rows = append(ids[r.name].rows, claim.Row{Claim: &c})
			}
			if _, err := erase.New(db).Account(ctx(), r.id, time.UnixMicro(noon)); err != nil {
				t.Fatal(err)
			}
		}
		said(t, db, private, tardy, verdicts)
		for _, r := range []resident{again, late} {
			if n := ids[r.name].trySaid(t, db); n != 0 {
				t.Errorf("%s is erased, and of what was signed %d is found", r.name, n)
			}
		}
		if kept, i, found, err := db.TestimonyOf(ctx(), verdicts[1].Ref); err != nil || !found || claim.SaidLeaf(&tardy[1], kept.SaltOf(i)) != kept.Leaves[i] {
			t.Errorf("what was signed of somebody else: %v, %v", found, err)
		}
		report, err := audit.Run(ctx(), db, audit.Options{})
		if err != nil || !report.Clean() {
			t.Errorf("the audit: %v, %v", err, report.Findings)
		}
	})
}
