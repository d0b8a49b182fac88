package intake_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
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
parameters: {grid: {value: 1, unit: mgCO2e/kWh, source: s, seen: true}}
reduction: used * grid
caps: [{per: year, of: used, max: 1000000 GJ}]
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
`)},
}

var noon = time.Date(2026, 8, 21, 12, 0, 0, 0, time.UTC).UnixMicro()

// quiet keeps the failures that tests provoke out of their output.
var quiet = slog.New(slog.DiscardHandler)

// members makes a database with so many members, and returns their subs.
func members(t *testing.T, url string, parts, n int) (*store.DB, []string) {
	t.Helper()
	db, err := store.Create(t.Context(), url, parts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if _, err := publish.Publish(t.Context(), db, documents); err != nil {
		t.Fatal(err)
	}
	book, err := publish.Load(t.Context(), db, 2)
	if err != nil {
		t.Fatal(err)
	}
	subs, err := link.Enrol(t.Context(), db, book, "city", "utility", n, time.UnixMicro(1))
	if err != nil {
		t.Fatal(err)
	}
	return db, subs
}

// reading is a claim worth so many milligrams.
func reading(sub, id string, mg int) claim.Claim {
	return claim.Claim{Partner: "utility", ID: id, Sub: sub, Scenario: "meter", Start: noon, End: noon, Evidence: "system",
		Quantities: []claim.Quantity{{Name: "used", Text: fmt.Sprint(mg)}}}
}

func start(t *testing.T, db *store.DB, c intake.Config) *intake.Server {
	t.Helper()
	c.Clock, c.Log = func() claim.Micros { return noon }, quiet
	s := intake.New(db, c)
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

// Each of many callers at once gets the verdicts on its own claims, in their order, whatever the batches.
func TestSubmit(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, subs := members(t, url, 4, 10)
		s := start(t, db, intake.Config{Full: 7, Most: 5, Linger: time.Millisecond})
		var wg sync.WaitGroup
		for caller := range 8 {
			wg.Go(func() {
				for request := range 5 {
					var claims []claim.Claim
					for i := range 23 {
						claims = append(claims, reading(subs[(caller+i)%len(subs)], fmt.Sprint(caller, request, i), i+1))
					}
					claims[7] = claims[3] // the same claim twice in one request
					verdicts, err := s.Submit(t.Context(), claims)
					if err != nil {
						t.Error(err)
						return
					}
					for i, v := range verdicts {
						want := claim.Verdict{Reason: reason.OK, Method: "METER@1", Milligrams: int64(i + 1)}
						if i == 7 {
							want.Reason, want.First, want.Milligrams = reason.Replay, reason.OK, 4
						}
						if v.Ref == (claim.Ref{}) {
							t.Errorf("claim %d has no reference", i)
						}
						if v.Ref = (claim.Ref{}); v != want {
							t.Errorf("claim %d: %+v, want %+v", i, v, want)
						}
					}
				}
			})
		}
		wg.Wait()
		if claims, bytes := s.Load(); claims != 0 || bytes != 0 {
			t.Errorf("%d claims and %d bytes are still taken", claims, bytes)
		}
	})
}

// One claim on a quiet server does not wait for others.
func TestSubmitAlone(t *testing.T) {
	db, subs := members(t, storetest.SQLite(t), 4, 1)
	s := start(t, db, intake.Config{Linger: time.Hour})
	began := time.Now()
	if _, err := s.Submit(t.Context(), []claim.Claim{reading(subs[0], "a", 1)}); err != nil || time.Since(began) > time.Minute {
		t.Errorf("after %s: %v", time.Since(began), err)
	}
	if v, err := s.Submit(t.Context(), nil); v != nil || err != nil {
		t.Errorf("no claims: %v, %v", v, err)
	}
}

// A wait that is over before the writer sleeps must wake it all the same: once, such claims lay there until more came.
func TestShortWaits(t *testing.T) {
	db, subs := members(t, storetest.SQLite(t), 2, 8)
	for _, linger := range []time.Duration{100 * time.Microsecond, 300 * time.Microsecond, time.Millisecond} {
		s := start(t, db, intake.Config{Full: 8, Linger: linger, Writers: 1})
		for round := range 150 {
			hurry, cancel := context.WithTimeout(t.Context(), time.Minute)
			_, err := s.Submit(hurry, []claim.Claim{reading(subs[0], fmt.Sprint(round, "a"), 0), reading(subs[1], fmt.Sprint(round, "b"), 0), reading(subs[0], fmt.Sprint(round, "c"), 0)})
			cancel()
			if err != nil {
				t.Fatal(err)
			}
		}
	}
}

// What does not fit into the budget is not taken, and what was given back can be taken again.
func TestBudget(t *testing.T) {
	db, subs := members(t, storetest.SQLite(t), 2, 4)
	stop, entered := make(chan struct{}), make(chan struct{}, 9)
	c := intake.Config{MaxClaims: 10, MaxBytes: 100, Observe: func(intake.Written) { entered <- struct{}{}; <-stop }}
	s := start(t, db, c)
	var many []claim.Claim
	for i := range 11 {
		many = append(many, reading(subs[0], fmt.Sprint(i), 1))
	}
	if _, err := s.Submit(t.Context(), many); fault.KindOf(err) != fault.Busy {
		t.Errorf("eleven claims of ten: %v", err)
	}
	done := make(chan error)
	go func() { _, err := s.Submit(t.Context(), many[:8]); done <- err }()
	<-entered
	if _, err := s.Submit(t.Context(), many[8:]); fault.KindOf(err) != fault.Busy {
		t.Errorf("three more beside eight: %v", err)
	}
	if claims, _ := s.Load(); claims != 8 {
		t.Errorf("%d claims are taken, want 8", claims)
	}
	close(stop)
	if err := <-done; err != nil {
		t.Error(err)
	}
	verdicts, err := s.Submit(t.Context(), many[1:])
	if err != nil || verdicts[0].Reason != reason.Replay || verdicts[9].Reason != reason.OK {
		t.Errorf("afterwards: %v, %v; want a replay of what was taken, and the rest for the first time", verdicts, err)
	}
	release, ok := s.Reserve(60)
	if _, more := s.Reserve(41); !ok || more {
		t.Errorf("60 bytes of 100: %v; 41 more: %v", ok, more)
	}
	release()
	if _, ok := s.Reserve(100); !ok {
		t.Error("what was given back cannot be taken")
	}
	if _, ok := s.Reserve(1); ok {
		t.Error("the budget has no end")
	}
}

// A server that closes answers what it took, and takes nothing more.
func TestClose(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, subs := members(t, url, 4, 8)
		s := start(t, db, intake.Config{Full: 1000, Linger: time.Hour})
		answered := make(chan error, 20)
		for i := range 20 {
			go func() {
				var claims []claim.Claim
				for k := range 50 {
					claims = append(claims, reading(subs[k%8], fmt.Sprint(i, k), 1))
				}
				verdicts, err := s.Submit(context.Background(), claims)
				for _, v := range verdicts {
					if v.Reason != reason.OK {
						err = errors.Join(err, fmt.Errorf("verdict %s", v.Reason))
					}
				}
				answered <- err
			}()
		}
		for claims := 0; claims < 500; claims, _ = s.Load() {
			time.Sleep(time.Millisecond)
		}
		s.Close(t.Context())
		for range 20 {
			if err := <-answered; err != nil && fault.KindOf(err) != fault.Unavailable {
				t.Error(err)
			}
		}
		if _, err := s.Submit(t.Context(), []claim.Claim{reading(subs[0], "late", 1)}); fault.KindOf(err) != fault.Unavailable {
			t.Errorf("after closing: %v", err)
		}
		if _, ok := s.Reserve(1); ok {
			t.Error("bytes were taken after closing")
		}
	})
}

// Claims are judged though their sender has left, and the sender who comes back hears the first verdict.
func TestSenderLeaves(t *testing.T) {
	db, subs := members(t, storetest.SQLite(t), 2, 1)
	stop := make(chan struct{})
	s := start(t, db, intake.Config{Observe: func(intake.Written) { <-stop }})
	gone, leave := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer leave()
	if _, err := s.Submit(gone, []claim.Claim{reading(subs[0], "a", 5)}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who left got %v", err)
	}
	close(stop)
	v, err := s.Submit(t.Context(), []claim.Claim{reading(subs[0], "a", 5)})
	if err != nil || v[0].Reason != reason.Replay || v[0].Milligrams != 5 {
		t.Errorf("who came back got %v, %v", v, err)
	}
}

// Where a partition fails its claims are to be sent again, and only they; where all do, nothing was judged.
func TestPartitionFails(t *testing.T) {
	url := storetest.SQLite(t)
	db, subs := members(t, url, 2, 2)
	s := start(t, db, intake.Config{})
	broken, whole := subs[0], subs[1]
	first := []claim.Claim{reading(broken, "a", 1), reading(whole, "a", 1)}
	if _, err := s.Submit(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	spoil := func(used string) {
		if _, err := raw(t, url).Exec("UPDATE usage SET used = ? WHERE part = ?", used, db.Route(broken)); err != nil {
			t.Fatal(err)
		}
	}
	spoil("no usage")
	verdicts, err := s.Submit(t.Context(), []claim.Claim{reading(broken, "b", 1), reading(whole, "b", 1), reading(broken, "c", 1)})
	if err != nil || verdicts[0].Reason != reason.Retry || verdicts[1].Reason != reason.OK || verdicts[2].Reason != reason.Retry {
		t.Errorf("beside a partition that fails: %v, %v", verdicts, err)
	}
	if _, err := s.Submit(t.Context(), []claim.Claim{reading(broken, "b", 1)}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("on a partition that fails: %v", err)
	}
	spoil("1 used=3600000")
	verdicts, err = s.Submit(t.Context(), []claim.Claim{reading(broken, "b", 1), reading(whole, "b", 1), reading(broken, "a", 1)})
	if err != nil || verdicts[0].Reason != reason.OK || verdicts[1].Reason != reason.Replay || verdicts[2].Reason != reason.Replay {
		t.Errorf("sent again: %v, %v", verdicts, err)
	}
	heads, err := db.Heads(t.Context())
	if want := int64(2); err != nil || heads[db.Route(broken)] != want {
		t.Errorf("the partition that failed stands at batch %d, %v; want %d, with no gap", heads[db.Route(broken)], err, want)
	}
}

// raw connects to a database past the store.
func raw(t *testing.T, url string) *sql.DB {
	t.Helper()
	driver, name := "pgx", url
	if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, name = "sqlite", file
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// A claim that breaks every batch it is in comes to stand alone at once: those that were sent with it get their
// verdicts, in order, and the next ones go in one batch. Only the batch after used to be smaller, which did not
// help where others' claims came in between.
func TestOneClaimBreaksItsBatch(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db, subs := members(t, url, 1, 2)
		var batches atomic.Int32
		s := start(t, db, intake.Config{Writers: 1, Observe: func(intake.Written) { batches.Add(1) }})
		if _, err := s.Submit(t.Context(), []claim.Claim{reading(subs[0], "a", 1)}); err != nil {
			t.Fatal(err)
		}
		if _, err := raw(t, url).Exec("UPDATE usage SET used = 'no usage'"); err != nil { // that of the only member who has some
			t.Fatal(err)
		}
		var many []claim.Claim
		for i := range 1000 {
			many = append(many, reading(subs[1], fmt.Sprint(i), i))
		}
		many[371] = reading(subs[0], "breaks", 1)
		batches.Store(0)
		verdicts, err := s.Submit(t.Context(), many)
		if err != nil {
			t.Fatal(err)
		}
		var before claim.Ref
		for i, v := range verdicts {
			if i == 371 {
				if v.Reason != reason.Retry {
					t.Errorf("the claim that breaks its batch is %s", v.Reason)
				}
				continue
			}
			if v.Reason != reason.OK || v.Milligrams != int64(i) {
				t.Fatalf("claim %d: %+v", i, v)
			}
			if v.Ref.Batch < before.Batch || v.Ref.Batch == before.Batch && v.Ref.Ord <= before.Ord {
				t.Fatalf("claim %d was judged as %s, after %s", i, v.Ref, before)
			}
			before = v.Ref
		}
		if n := batches.Load(); n > 30 {
			t.Errorf("to judge 999 claims beside one that breaks its batch took %d transactions", n)
		}
		batches.Store(0)
		if _, err := s.Submit(t.Context(), many[400:]); err != nil || batches.Load() != 1 {
			t.Errorf("the next 600 claims took %d batches, %v", batches.Load(), err)
		}
	})
}

// A partition that the database does not give out is asked for once a batch, and in batches as large as ever. Each
// time-out used to halve the next one, down to a claim a minute.
func TestDatabaseIsSlow(t *testing.T) {
	url := storetest.Postgres(t)
	db, subs := members(t, url, 1, 1)
	db.Close()
	db, err := store.Open(t.Context(), url+"&lock_timeout=100ms")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	release := hold(t, url)
	var batches atomic.Int32
	s := start(t, db, intake.Config{Most: 100, Observe: func(intake.Written) { batches.Add(1) }})
	var many []claim.Claim
	for i := range 400 {
		many = append(many, reading(subs[0], fmt.Sprint(i), 1))
	}
	if _, err := s.Submit(t.Context(), many); fault.KindOf(err) != fault.Unavailable || batches.Load() != 4 {
		t.Errorf("%d batches, %v; want 4 that were not judged", batches.Load(), err)
	}
	release()
	batches.Store(0)
	verdicts, err := s.Submit(t.Context(), many)
	if err != nil || verdicts[399].Reason != reason.OK || batches.Load() != 4 {
		t.Errorf("afterwards: %d batches, %v; want 4 that were judged", batches.Load(), err)
	}
}

// hold takes all partitions, as another server may have them, until released.
func hold(t *testing.T, url string) (release func()) {
	t.Helper()
	tx, err := raw(t, url).Begin()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tx.Rollback() })
	if _, err := tx.Exec("SELECT 1 FROM partition FOR UPDATE"); err != nil {
		t.Fatal(err)
	}
	return func() { tx.Rollback() }
}

// A server that is to end while its database does not answer ends within its time, and tells the senders of what it
// took to try again. It used to wait a minute for each batch.
func TestCloseInTime(t *testing.T) {
	url := storetest.Postgres(t)
	db, subs := members(t, url, 1, 1)
	hold(t, url)
	s := start(t, db, intake.Config{Most: 100})
	answered := make(chan error, 1)
	go func() {
		var many []claim.Claim
		for i := range 400 {
			many = append(many, reading(subs[0], fmt.Sprint(i), 1))
		}
		_, err := s.Submit(context.Background(), many)
		answered <- err
	}()
	for claims := 0; claims == 0; claims, _ = s.Load() {
		time.Sleep(time.Millisecond)
	}
	soon, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	s.Close(soon)
	if took := time.Since(began); took < 200*time.Millisecond || took > 20*time.Second {
		t.Errorf("it closed after %s", took)
	}
	if err := <-answered; fault.KindOf(err) != fault.Unavailable {
		t.Errorf("the claims that it had taken: %v", err)
	}
}

// Where every claim breaks its batch there is an end to judging them by themselves.
func TestAllBreak(t *testing.T) {
	db, subs := members(t, storetest.SQLite(t), 1, 1)
	var batches atomic.Int32
	s := intake.New(db, intake.Config{Log: quiet, Clock: func() claim.Micros { panic("no clock") }, Observe: func(intake.Written) { batches.Add(1) }})
	defer s.Close(t.Context())
	if _, err := s.Submit(t.Context(), slices.Repeat([]claim.Claim{reading(subs[0], "a", 1)}, 2000)); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("claims of which each breaks its batch: %v", err)
	}
	if n := batches.Load(); n < 12 || n > 60 {
		t.Errorf("they were tried %d times", n)
	}
}

// Broken arithmetic costs a batch, not the server.
func TestPanic(t *testing.T) {
	db, subs := members(t, storetest.SQLite(t), 2, 1)
	panics := true
	s := intake.New(db, intake.Config{Log: quiet, Clock: func() claim.Micros {
		if panics {
			panic("no clock")
		}
		return noon
	}})
	t.Cleanup(func() { s.Close(context.Background()) })
	if _, err := s.Submit(t.Context(), []claim.Claim{reading(subs[0], "a", 1)}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("a panic: %v", err)
	}
	panics = false
	if v, err := s.Submit(t.Context(), []claim.Claim{reading(subs[0], "a", 1)}); err != nil || v[0].Reason != reason.OK {
		t.Errorf("after a panic: %v, %v", v, err)
	}
}
