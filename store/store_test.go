package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

func TestCreateAgain(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		if _, err := store.Open(ctx(), url); err == nil {
			t.Error("Open made something of nothing")
		}
		first, err := store.Create(ctx(), url, 3)
		if err != nil {
			t.Fatal(err)
		}
		put(t, first, documents...)
		first.Close()
		again := create(t, url, 7)
		if again.ID != first.ID || again.Parts != 3 {
			t.Errorf("made again it is %s with %d partitions, want %s with 3", again.ID, again.Parts, first.ID)
		}
		if n, err := again.Rulebook(ctx()); n != int64(len(documents)) || err != nil {
			t.Errorf("made again it has rulebook %d, %v", n, err)
		}
		if got := cells(t, again, "SELECT count(*) FROM partition"); got != "3\t\n" {
			t.Errorf("it has %s partitions", got)
		}
	})
	for _, parts := range []int{-1, 0, store.MaxParts + 1} {
		if _, err := store.Create(ctx(), storetest.SQLite(t), parts); fault.KindOf(err) != fault.Invalid {
			t.Errorf("with %d partitions: %v", parts, err)
		}
	}
}

// Several servers that start at once make one database: on PostgreSQL all of them get it, on SQLite one.
func TestCreateAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		var wg sync.WaitGroup
		dbs, errs := make([]*store.DB, 4), make([]error, 4)
		for i := range dbs {
			wg.Go(func() { dbs[i], errs[i] = store.Create(ctx(), url, 2) })
		}
		wg.Wait()
		ids := map[string]bool{}
		for i, db := range dbs {
			if errs[i] == nil {
				ids[db.ID] = true
				db.Close()
			} else if fault.KindOf(errs[i]) != fault.Conflict || strings.HasPrefix(url, "postgres") {
				t.Error(errs[i])
			}
		}
		if len(ids) != 1 {
			t.Errorf("the databases made are %v, want one", ids)
		}
	})
}

// A database that another program's migrations made is left alone, and so is what is no database.
func TestOpenOther(t *testing.T) {
	url := storetest.SQLite(t)
	db := create(t, url, 1)
	if err := db.Exec(ctx(), "INSERT INTO migration (number, at) VALUES (99, 0)"); err != nil {
		t.Fatal(err)
	}
	db.Close()
	for _, open := range []func(context.Context, string) (*store.DB, error){store.Open, store.OpenRead, store.OpenKeys} {
		if _, err := open(ctx(), url); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "newer") {
			t.Errorf("a newer schema: %v", err)
		}
	}
	for _, url := range []string{"", "tanpu.db", "mysql://x", "sqlite:", "sqlite:a?mode=memory", "sqlite:a#b", "postgres://user:secret@%zz/"} {
		if _, err := store.Create(ctx(), url, 1); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("Create(%q) = %v, want an error without the password", url, err)
		}
	}
	text := filepath.Join(t.TempDir(), "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("this is no database\n", 100)), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(ctx(), "sqlite:"+text); err == nil {
		t.Error("a text file was opened as a database")
	}
}

// A file's name is a file's name, whatever stands in it.
func TestFileNames(t *testing.T) {
	for _, name := range []string{"a b.db", "100%25.db", "a+b&c=d.db", "碳普.db", "file:x.db", "a'b.db"} {
		path := filepath.Join(t.TempDir(), name)
		db, err := store.Create(ctx(), "sqlite:"+path, 1)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		db.Close()
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// On SQLite one process writes; others may read beside it, and add keys. However the first ends, its lock goes with it.
func TestSecondWriter(t *testing.T) {
	url := storetest.SQLite(t)
	if at := os.Getenv("TANPU_SECOND_WRITER"); at != "" { // we are the other process
		_, err := store.Open(ctx(), at)
		fmt.Println("kind:", fault.KindOf(err))
		return
	}
	db := create(t, url, 1)
	other := func() string {
		c := exec.Command(os.Args[0], "-test.run=^TestSecondWriter$")
		c.Env = append(os.Environ(), "TANPU_SECOND_WRITER="+url)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		_, kind, _ := strings.Cut(string(out), "kind: ")
		return strings.SplitN(kind, "\n", 2)[0]
	}
	if got := other(); got != string(fault.Conflict) {
		t.Errorf("beside a writer a second process got %q, want a conflict", got)
	}
	if _, err := store.Open(ctx(), url); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a second writer in the same process: %v, want a conflict", err)
	}
	reader, err := store.OpenRead(ctx(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if err := reader.Update(ctx(), 0, 1, func(*store.Tx) error { return nil }); err == nil {
		t.Error("what was opened for reading could write")
	}
	if _, err := reader.Heads(ctx()); err != nil {
		t.Error(err)
	}
	keys, err := store.OpenKeys(ctx(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	if err := keys.AddKey(ctx(), store.Key{Role: "operator"}); err != nil {
		t.Error(err)
	}
	// It used to go on beside the process that holds the partitions, commit, and panic.
	err = keys.Update(ctx(), 0, 1, func(tx *store.Tx) error {
		_, err := tx.OpenAccounts(ctx(), 1)
		return err
	})
	if err == nil {
		t.Error("what was opened for its keys could decide")
	}
	db.Close()
	if got := other(); got != "" {
		t.Errorf("after the writer had gone a second process got %q", got)
	}
}

// A transaction has one instant, never before the last, a number that is the next, and the hash of the batch before.
func TestBatches(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 2)
		put(t, db, documents...)
		sub := members(t, db, 1, 1, "city", "bikes")[0]
		broken := errors.New("broken")
		for i, clock := range []int64{noon, noon - 60e6, noon + 1, noon - 599e6} {
			// One that breaks takes no number.
			err := db.UpdateBatch(ctx(), 1, clock, func(tx *store.Tx) error {
				if err := tx.Exec(ctx(), "UPDATE partition SET accounts = 99 WHERE part = 1"); err != nil {
					t.Error(err)
				}
				return broken
			})
			if !errors.Is(err, broken) {
				t.Errorf("Update = %v, want what its function said", err)
			}
			if v := admit(t, db, 1, clock, ride(sub, fmt.Sprint(i), 10*i)); v[0].Reason != reason.OK || v[0].Ref != (claim.Ref{Part: 1, Batch: int64(i) + 1}) {
				t.Errorf("batch %d: %v", i+1, v)
			}
		}
		got := cells(t, db, "SELECT batch, at, backfill, claims FROM batch ORDER BY batch")
		want := fmt.Sprintf("1\t%d\t0\t1\t\n2\t%d\t0\t1\t\n3\t%d\t0\t1\t\n4\t%d\t0\t1\t\n", noon, noon, noon+1, noon+1)
		if got != want {
			t.Errorf("batches\n%swant\n%s", got, want)
		}
		if got := cells(t, db, "SELECT count(*) FROM batch a JOIN batch b ON b.part = a.part AND b.batch = a.batch + 1 AND b.prev = a.hash"); got != "3\t\n" {
			t.Errorf("of 3 batches %s name the one before", got)
		}
		if got := cells(t, db, "SELECT p.next, p.at, p.accounts, p.hash = b.hash FROM partition p JOIN batch b ON b.part = p.part AND b.batch = 4"); !strings.HasPrefix(got, fmt.Sprintf("5\t%d\t1\t", noon+1)) {
			t.Errorf("the partition stands at %s", got)
		}
		heads, err := db.Heads(ctx())
		if err != nil || heads[0] != 0 || heads[1] != 4 {
			t.Errorf("Heads = %v, %v", heads, err)
		}
		if err := db.Update(ctx(), 2, 1, func(*store.Tx) error { return nil }); err == nil {
			t.Error("a partition that is not there was updated")
		}
		if err := db.Update(ctx(), -1, 1, func(*store.Tx) error { return nil }); err == nil {
			t.Error("partition -1 was updated")
		}
		err = db.UpdateBatch(ctx(), 1, noon, func(tx *store.Tx) error {
			o := claim.Open(claim.Session{}, nil, nil).Judge(1, tx.Number+1, claim.NewKnown())
			return tx.WriteBatch(ctx(), claim.Seal(ledger.Batch{Part: 1, Number: tx.Number + 1}, o, nil, nil))
		})
		if err == nil {
			t.Error("a batch was written under another's number")
		}
	})
}

// A clock that is far behind judges nothing, since it would refuse as too late what only waits; nothing is written,
// and when time has caught up it goes on.
func TestClockFarBehind(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		put(t, db, documents...)
		sub := members(t, db, 0, 1, "city", "bikes")[0]
		admit(t, db, 0, noon, ride(sub, "a", 0))
		j := &intake.Judge{DB: db}
		if _, err := j.Admit(ctx(), 0, []claim.Claim{ride(sub, "b", 10)}, noon-600e6-1); err == nil {
			t.Error("a clock more than ten minutes behind judged a claim")
		}
		if v := admit(t, db, 0, noon-600e6, ride(sub, "b", 10)); v[0].Reason != reason.OK || v[0].Ref.Batch != 2 {
			t.Errorf("ten minutes behind: %+v, want batch 2", v)
		}
	})
}

// Transactions of one partition come one after the other, whoever begins them; what each read still holds when it writes.
func TestUpdateAlone(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 2)
		servers := []*store.DB{db}
		if !db.Single() {
			other, err := store.Open(ctx(), url)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { other.Close() })
			servers = append(servers, other)
		}
		var wg sync.WaitGroup
		inside := [2]int{}
		var mu sync.Mutex
		for i := range 40 {
			part := i % 2
			wg.Go(func() {
				err := servers[i%len(servers)].Update(ctx(), part, int64(i), func(tx *store.Tx) error {
					mu.Lock()
					inside[part]++
					if inside[part] > 1 {
						t.Errorf("%d transactions hold partition %d", inside[part], part)
					}
					mu.Unlock()
					_, err := tx.OpenAccounts(ctx(), 1)
					mu.Lock()
					inside[part]--
					mu.Unlock()
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if got := cells(t, db, "SELECT part, count(*), min(account), max(account) FROM account GROUP BY part ORDER BY part"); got != "0\t20\t1\t20\t\n1\t20\t1\t20\t\n" {
			t.Errorf("accounts\n%s", got)
		}
	})
}

// A context that is over ends a transaction without a trace, and the next one goes on.
func TestUpdateCancelled(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		for range 10 {
			over, cancel := context.WithCancel(ctx())
			err := db.Update(over, 0, 1, func(tx *store.Tx) error {
				if _, err := tx.OpenAccounts(over, 1); err != nil {
					return err
				}
				cancel()
				_, err := tx.OpenAccounts(over, 1)
				return err
			})
			cancel()
			if err == nil {
				t.Error("a transaction whose context was over was committed")
			}
		}
		members(t, db, 0, 1, "city", "bikes")
		if got := cells(t, db, "SELECT account FROM account"); got != "1\t\n" {
			t.Errorf("accounts\n%s", got)
		}
	})
}

// Whatever a claim says comes back as it was said, from batches of every size that statements are cut into.
func TestClaimsComeBack(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		put(t, db, documents...)
		subs := members(t, db, 0, 2, "city", "bikes")
		odd := []string{`quo"te`, `back\slash`, "new\nline", "tab\t", "碳普惠 🚲", "it's", "$1", strings.Repeat("x", claim.MaxID), "é", "e\u0301", " ", "%", "\u2028", "\U0010FFFD"}
		var sent []claim.Claim
		size := 0
		for _, n := range []int{1, 2, 3, 127, 128, 129, 300} {
			var batch []claim.Claim
			for range n {
				c := ride(subs[0], fmt.Sprint(len(sent), odd[len(sent)%len(odd)]), 10*len(sent))
				c.ID = c.ID[:min(len(c.ID), claim.MaxID)]
				if len(sent)%3 == 0 {
					c.Evidence = odd[len(sent)%7]
				}
				c.Commitment = odd[len(sent)%5]
				batch, sent = append(batch, c), append(sent, c)
			}
			for i, v := range admit(t, db, 0, noon+1e12, batch...) {
				if v.Ref.Ord != i {
					t.Fatalf("claim %d of %d is %v", i, n, v)
				}
			}
			size += n
		}
		var got []store.Listed
		for place := (store.Place{}); ; {
			page, err := db.Claims(ctx(), store.AccountID{Part: 0, Number: 1}, place, "", 100)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			got = append(got, page...)
			last := page[len(page)-1].Verdict.Ref
			place = store.Place{Batch: last.Batch, Ord: last.Ord}
		}
		slices.Reverse(got)
		if len(got) != size {
			t.Fatalf("%d claims came back of %d", len(got), size)
		}
		for i, r := range got {
			c := sent[i]
			if r.ID != c.ID || r.Start != c.Start || r.End != c.End || r.Partner != c.Partner || r.Sub != c.Sub || r.Body != claim.Body(&c) || r.Account != 1 {
				t.Errorf("claim %d came back as %+v, was %+v", i, r, c)
			}
		}
		again := admit(t, db, 0, noon+1e12, sent...)
		for i, v := range again {
			if v.Reason != reason.Replay || v.First != got[i].Verdict.Reason || v.Operands != got[i].Verdict.Operands || v.Milligrams != got[i].Verdict.Milligrams {
				t.Errorf("claim %d again: %+v, first %+v", i, v, got[i].Verdict)
			}
		}
		if refused, err := db.Claims(ctx(), store.AccountID{Part: 0, Number: 1}, store.Place{}, "bad-evidence", 3); err != nil || len(refused) != 3 || refused[0].Verdict.Reason != "bad-evidence" {
			t.Errorf("three refused claims: %v, %v", refused, err)
		}
		if others, err := db.Claims(ctx(), store.AccountID{Part: 0, Number: 2}, store.Place{}, "", 3); err != nil || len(others) != 0 {
			t.Errorf("another account has %v, %v", others, err)
		}
	})
}

// What an account has, and what the days sum to.
func TestAccounts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 2)
		put(t, db, documents...)
		bikes, power := members(t, db, 1, 2, "city", "bikes"), members(t, db, 1, 1, "home", "utility")
		admit(t, db, 1, noon, ride(bikes[0], "a", 0), ride(bikes[0], "b", 10), ride(bikes[0], "c", 10), ride(bikes[1], "a", 0),
			month(power[0], "d", 2025, 7, "100"), month(power[0], "e", 2026, 7, "90"), ride("nobody", "a", 0))
		balances, opened, err := db.Account(ctx(), store.AccountID{Part: 1, Number: 1})
		if want := []store.Balance{{Asset: "POINT/city/2027-12", Amount: 20000}}; err != nil || !slices.Equal(balances, want) || opened != 1 {
			t.Errorf("Account = %v, %d, %v", balances, opened, err)
		}
		balances, _, err = db.Account(ctx(), store.AccountID{Part: 1, Number: 3})
		if want := []store.Balance{{Asset: "CO2E/home/POWER@1/2026", Amount: 5000000}, {Asset: "NET/home/POWER@1/2026", Amount: 5000000}}; err != nil || !slices.Equal(balances, want) {
			t.Errorf("Account = %v, %v", balances, err)
		}
		for _, id := range []store.AccountID{{Part: 0, Number: 1}, {Part: 1, Number: 4}, {Part: 1, Number: -2}, {Part: 9, Number: 1}} {
			if _, _, err := db.Account(ctx(), id); fault.KindOf(err) != fault.NotFound {
				t.Errorf("account %s: %v, want none", id, err)
			}
		}
		reductions, err := db.Reductions(ctx(), store.AccountID{Part: 1, Number: 3})
		if want := []store.Reduction{{"home", "POWER@1", "2025", 1, 0}, {"home", "POWER@1", "2026", 1, 5000000}}; err != nil || !slices.Equal(reductions, want) {
			t.Errorf("Reductions = %v, %v", reductions, err)
		}
		totals, err := db.Totals(ctx(), "city", "2026-08-21", "2026-08-21")
		want := []claim.Total{
			{Programme: "city", Day: "2026-08-21", Method: "BIKE@1", Vintage: "2026", Reason: "ok", Claims: 3, Milligrams: 300000, Points: 30000},
			{Programme: "city", Day: "2026-08-21", Method: "BIKE@1", Vintage: "2026", Reason: "overlap", Claims: 1},
		}
		if err != nil || !slices.Equal(totals, want) {
			t.Errorf("Totals = %v, %v", totals, err)
		}
		if totals, err := db.Totals(ctx(), "", "", "9"); err != nil || len(totals) != 5 {
			t.Errorf("Totals of all = %v, %v; want those of two programmes and of nobody", totals, err)
		}
		link, part, err := db.LinkOf(ctx(), bikes[0])
		if err != nil || part != 1 || link.Account != 1 || link.Partner != "bikes" || link.Revoked != 0 || !slices.Equal(link.Purposes, claim.Purposes) {
			t.Errorf("LinkOf = %+v, %d, %v", link, part, err)
		}
		if _, _, err := db.LinkOf(ctx(), "nobody"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("LinkOf nobody: %v", err)
		}
	})
}

func TestAccountID(t *testing.T) {
	for _, s := range []string{"a0-1", "a1023-9223372036854775807"} {
		if id, ok := store.ParseAccountID(s); !ok || id.String() != s {
			t.Errorf("ParseAccountID(%q) = %v, %v", s, id, ok)
		}
	}
	for _, s := range []string{"", "a", "a0", "a0-0", "a0--1", "a-1-1", "0-1", "a00-1", "a0-01", "a0-1 ", "a0-9223372036854775808", "aa0-1", "a1024-1", "a9999999999-1"} {
		if id, ok := store.ParseAccountID(s); ok {
			t.Errorf("ParseAccountID(%q) = %v, want none", s, id)
		}
	}
}

// A sub carries its partition, and names one link of one account, which only the database can tell; what is
// no sub goes somewhere all the same.
func TestSubs(t *testing.T) {
	for _, parts := range []int{1, 2, 16, 100, store.MaxParts} {
		db, other := create(t, storetest.SQLite(t), parts), create(t, storetest.SQLite(t), parts)
		seen := map[string]bool{}
		for part := range parts {
			sub := db.Sub(part, 1, 1)
			if len(sub) != 28 || strings.Trim(sub, "abcdefghijkmnpqrstuvwxyz23456789") != "" || seen[sub] || sub == other.Sub(part, 1, 1) {
				t.Errorf("sub %q", sub)
			}
			seen[sub] = true
			if got, ok := db.PartOf(sub); !ok || got != part {
				t.Errorf("of %d partitions, that of a sub made for %d is %d, %v", parts, part, got, ok)
			}
			if to := db.Route(sub); to != part {
				t.Errorf("of %d partitions, a sub made for %d is routed to %d", parts, part, to)
			}
		}
		beyond := "99" + strings.Repeat("a", 26)
		if _, ok := db.PartOf(beyond); ok != (parts == store.MaxParts) {
			t.Errorf("of %d partitions, a sub of the last one there can be is one: %v", parts, ok)
		}
		for _, sub := range []string{"", "a", strings.Repeat("0", 28), strings.Repeat("A", 28), "a" + strings.Repeat("\n", 27), strings.Repeat("碳", 100), "\xff\xfe" + strings.Repeat("a", 26), beyond} {
			if to := db.Route(sub); to < 0 || to >= parts {
				t.Errorf("of %d partitions, %q is routed to %d", parts, sub, to)
			}
		}
	}
}

// Only the very text that was given out names a link: not one that decodes to the same bytes, not one of
// another partition, and not one that a partner made up by changing a letter.
func TestForgedSubs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 2)
		put(t, db, documents...)
		sub := members(t, db, 1, 1, "city", "bikes")[0]
		if _, _, err := db.LinkOf(ctx(), sub); err != nil {
			t.Fatal(err)
		}
		forged := []string{sub[:27] + "\n" + sub[27:], sub[:10] + "\r\n" + sub[12:], strings.ToUpper(sub), "aa" + sub[2:], sub + "a", sub[:27]}
		for i := range sub {
			for _, c := range "abz9" {
				if other := sub[:i] + string(c) + sub[i+1:]; other != sub {
					forged = append(forged, other)
				}
			}
		}
		for _, f := range forged {
			if _, _, err := db.LinkOf(ctx(), f); fault.KindOf(err) != fault.NotFound {
				t.Errorf("%q is taken for %q: %v", f, sub, err)
			}
			if v := admit(t, db, 1, noon, ride(f, "a", 1)); v[0].Reason != reason.NoLink {
				t.Errorf("a claim by %q is %s", f, v[0].Reason)
			}
		}
		if err := db.Update(ctx(), 1, noon, func(tx *store.Tx) error { return tx.Revoke(ctx(), forged[0]) }); err != nil {
			t.Error(err)
		}
		if l, _, _ := db.LinkOf(ctx(), sub); l.Revoked != 0 {
			t.Error("a forged sub ended a link")
		}
	})
}

func TestKeys(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		key := func(text, role, partner string) store.Key {
			return store.Key{Hash: store.HashKey(text), Role: role, Partner: partner, Label: "for " + text, Created: 5}
		}
		a, b, other, operator := key("a", "partner", "bikes"), key("b", "partner", "bikes"), key("c", "partner", "rivals"), key("d", "operator", "")
		for _, k := range []store.Key{a, b, other, operator} {
			if err := db.AddKey(ctx(), k); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.AddKey(ctx(), key("a", "operator", "")); err == nil {
			t.Error("a partner's key became the operator's")
		}
		holds := func(k store.Key, at int64, want bool) {
			t.Helper()
			got, ok, err := db.KeyByHash(ctx(), k.Hash, at)
			if err != nil || ok != want {
				t.Errorf("key %s at %d: %v, %v; want %v", k.Label, at, ok, err, want)
			}
			if got.Expires = 0; ok && got != k {
				t.Errorf("key %s is %+v", k.Label, got)
			}
		}
		holds(a, 100, true)
		holds(store.Key{Hash: store.HashKey("")}, 100, false)
		// Rotating: a new one is in use, and the rest end at an instant.
		n, err := db.ExpireKeys(ctx(), "partner", "bikes", b.Hash, time.UnixMicro(200))
		if n != 1 || err != nil {
			t.Errorf("ExpireKeys = %d, %v; want one", n, err)
		}
		holds(a, 199, true)
		holds(a, 200, false)
		holds(b, 200, true)
		holds(other, 200, true)
		holds(operator, 200, true)
		// An end that is set already is not put off, but can be brought forward.
		if n, err := db.ExpireKeys(ctx(), "partner", "bikes", b.Hash, time.UnixMicro(300)); n != 0 || err != nil {
			t.Errorf("ExpireKeys = %d, %v; want none", n, err)
		}
		if n, err := db.ExpireKeys(ctx(), "partner", "bikes", [32]byte{}, time.UnixMicro(150)); n != 2 || err != nil {
			t.Errorf("ExpireKeys = %d, %v; want both", n, err)
		}
		holds(a, 149, true)
		holds(a, 150, false)
		holds(b, 150, false)
	})
}

// A meter belongs to one account. Of two that want it at once one gets it, and keeps it.
func TestObjects(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 4)
		for round := range 10 {
			object := fmt.Sprint("meter ", round)
			errs := make([]error, 4)
			var wg sync.WaitGroup
			for i := range errs {
				wg.Go(func() {
					errs[i] = db.TakeObject(ctx(), object, store.AccountID{Part: i % 2, Number: int64(i/2 + 1)}, noon)
				})
			}
			wg.Wait()
			owners := 0
			for i, err := range errs {
				switch {
				case err == nil:
					owners++
					if err := db.TakeObject(ctx(), object, store.AccountID{Part: i % 2, Number: int64(i/2 + 1)}, noon+1); err != nil {
						t.Errorf("taking what one has: %v", err)
					}
				case !errors.Is(err, store.ErrTaken):
					t.Error(err)
				}
			}
			if owners != 1 {
				t.Errorf("%s has %d owners", object, owners)
			}
		}
	})
}

// Objects are known where the claims of their account are judged, and to no other account's.
func TestObjectsOfLinks(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		put(t, db, documents...)
		subs := members(t, db, 0, 2, "home", "utility")
		err := db.Update(ctx(), 0, noon, func(tx *store.Tx) error {
			for _, object := range []string{"one", "two", "one"} {
				if err := tx.AddObject(ctx(), 1, object); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		of := time.January // each time another month: one is counted once, whatever meter it names
		reported := func(sub, object string) reason.Code {
			c := month(sub, object+sub, 2025, of, "1")
			of++
			c.Object = object
			return admit(t, db, 0, noon, c)[0].Reason
		}
		if a, b, c := reported(subs[0], "one"), reported(subs[0], "two"), reported(subs[0], ""); a != reason.NoHistory || b != reason.NoHistory || c != reason.NoHistory {
			t.Errorf("one's own objects: %s, %s, and none: %s", a, b, c)
		}
		if a, b := reported(subs[0], "three"), reported(subs[1], "one"); a != reason.ObjectUnknown || b != reason.ObjectUnknown {
			t.Errorf("what is not one's own: %s, %s", a, b)
		}
	})
}

// Two who publish at once make two rulebooks, one after the other.
func TestPublishAtOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		for round := range int64(10) {
			var wg sync.WaitGroup
			errs := make([]error, 3)
			for i := range errs {
				wg.Go(func() {
					errs[i] = db.Publish(ctx(), round, []store.Document{{Kind: "groups", Name: fmt.Sprint(round, i), Body: []byte{byte(i)}}}, time.Now())
				})
			}
			wg.Wait()
			published := 0
			for _, err := range errs {
				if err == nil {
					published++
				} else if !errors.Is(err, store.ErrOvertaken) {
					t.Errorf("who came second got %v, want ErrOvertaken", err)
				}
			}
			if published != 1 {
				t.Fatalf("%d published as rulebook %d", published, round+1)
			}
		}
		documents, err := db.Documents(ctx(), 4)
		if err != nil || len(documents) != 4 || documents[3].Rulebook != 4 {
			t.Errorf("Documents up to 4 = %v, %v", documents, err)
		}
	})
}

// A judge that remembers an older rulebook reads the newer one before it judges.
func TestRulebookReload(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		put(t, db, documents[:5]...)
		sub := members(t, db, 0, 1, "home", "utility")[0]
		j := &intake.Judge{DB: db}
		v, err := j.Admit(ctx(), 0, []claim.Claim{month(sub, "a", 2025, 7, "1")}, noon)
		if err != nil || v[0].Reason != reason.ProgrammeClosed {
			t.Errorf("before its programme is published: %v, %v", v, err)
		}
		put(t, db, documents[5])
		v, err = j.Admit(ctx(), 0, []claim.Claim{month(sub, "b", 2025, 7, "1")}, noon)
		if err != nil || v[0].Reason != reason.NoHistory {
			t.Errorf("after it was published: %v, %v", v, err)
		}
		if got := cells(t, db, "SELECT batch, rulebook FROM batch ORDER BY batch"); got != "1\t5\t\n2\t6\t\n" {
			t.Errorf("batches name the rulebooks\n%s", got)
		}
	})
}

// A batch that waited for its partition while a document was published is judged by it: another server's
// batch before it may have been, and rulebooks do not go back.
func TestRulebookAfterLock(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		put(t, db, documents[:5]...)
		var seen int64
		var waiting sync.WaitGroup
		err := db.Update(ctx(), 0, 1, func(*store.Tx) error {
			waiting.Go(func() {
				if err := db.Update(ctx(), 0, 1, func(tx *store.Tx) error { seen = tx.Rulebook; return nil }); err != nil {
					t.Error(err)
				}
			})
			for range 100 { // until it waits, as far as one can tell
				if time.Sleep(5 * time.Millisecond); !db.Single() && cells(t, db, "SELECT count(*) FROM pg_locks WHERE NOT granted") != "0\t\n" {
					break
				}
			}
			put(t, db, documents[5])
			return nil
		})
		waiting.Wait()
		if err != nil || seen != 6 {
			t.Errorf("who waited saw rulebook %d, %v; want 6", seen, err)
		}
	})
}

// Without the runtime role, as after a restore that left roles out, what is recorded could be changed.
func TestNoRole(t *testing.T) {
	url := storetest.Postgres(t)
	db := create(t, url, 1)
	role := strings.TrimSpace(cells(t, db, "SELECT current_user"))
	db.Close()
	owner, err := pgx.Connect(ctx(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer owner.Close(ctx())
	if _, err := owner.Exec(ctx(), fmt.Sprintf("ALTER ROLE %s RENAME TO %s_gone", role, role)); err != nil {
		t.Fatal(err)
	}
	if other, err := store.Open(ctx(), url); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a database without its runtime role: %v", err)
		if err == nil {
			other.Close()
		}
	}
}
