package seal_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/record"
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
scenarios: {meter: {methodology: METER, partners: [utility]}}
`)},
}

var now = time.Date(2026, 8, 21, 12, 0, 0, 0, time.UTC)

// A world is a database with a log and some members.
type world struct {
	t    *testing.T
	db   *store.DB
	book *rulebook.Rulebook
	url  string
	key  string // file
	subs []string
	next int
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	db, err := store.Create(t.Context(), url, 3)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	report, err := publish.Publish(t.Context(), db, documents)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, db: db, url: url, key: filepath.Join(t.TempDir(), "log-key")}
	if w.book, err = publish.Load(t.Context(), db, report.Rulebook); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.CreateKey(w.key, "example.org/log"); err != nil {
		t.Fatal(err)
	}
	if err := seal.Begin(t.Context(), db, w.signer(), now); err != nil {
		t.Fatal(err)
	}
	if w.subs, err = link.Enrol(t.Context(), db, w.book, "city", "utility", 30, now.AddDate(0, -1, 0)); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) signer() *seal.Signer {
	w.t.Helper()
	s, err := seal.LoadSigner(w.key, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) sealer(witnesses ...seal.Witness) *seal.Sealer {
	w.t.Helper()
	s, err := seal.New(w.t.Context(), seal.Config{DB: w.db, Signer: w.signer(), Witnesses: witnesses})
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// judge has n claims judged, each in a batch of its own.
func (w *world) judge(n int) {
	w.t.Helper()
	j := &intake.Judge{DB: w.db}
	for range n {
		w.next++
		c := claim.Claim{Partner: "utility", ID: fmt.Sprint(w.next), Sub: w.subs[w.next%len(w.subs)], Scenario: "meter",
			Start: now.UnixMicro(), End: now.UnixMicro(), Evidence: "system", Quantities: []claim.Quantity{{Name: "used", Text: fmt.Sprint(w.next)}}}
		if _, err := j.Admit(w.t.Context(), w.db.Route(c.Sub), []claim.Claim{c}, now.UnixMicro()); err != nil {
			w.t.Fatal(err)
		}
	}
}

func step(t *testing.T, s *seal.Sealer) {
	t.Helper()
	for {
		more, err := s.Step(context.Background(), now)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			return
		}
	}
}

// published reads the whole log as a stranger would, and checks it against its checkpoint.
func (w *world) published() (proof.Checkpoint, []record.Entry) {
	w.t.Helper()
	l, found, err := w.db.Log(w.t.Context())
	if err != nil || !found {
		w.t.Fatal(found, err)
	}
	c, _, err := proof.OpenCheckpoint([]byte(l.Checkpoint), "example.org/log", w.signer().Verifiers()...)
	if err != nil {
		w.t.Fatal(err)
	}
	texts, err := w.db.LogEntries(w.t.Context(), l.Number, 0, int(c.Size))
	if err != nil || int64(len(texts)) != c.Size {
		w.t.Fatalf("%d entries of %d, %v", len(texts), c.Size, err)
	}
	edge := &proof.Edge{}
	var entries []record.Entry
	for _, text := range texts {
		edge.Append(tlog.RecordHash(text))
		e, err := record.Parse(text)
		if err != nil {
			w.t.Fatalf("%s: %v", text, err)
		}
		entries = append(entries, e)
	}
	if edge.Root() != c.Root {
		w.t.Fatal("the entries have not the root that was signed")
	}
	return c, entries
}

// Everything that was committed is in the log once, in order, and the head over it is signed.
func TestSeal(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.judge(300)
		s := w.sealer()
		step(t, s)
		w.judge(40)
		if err := link.Revoke(t.Context(), w.db, w.subs[0], "", now); err != nil {
			t.Fatal(err)
		}
		step(t, s)
		_, entries := w.published()
		counts := map[string]int64{}
		rulebook := int64(0)
		for i, e := range entries {
			switch e := e.(type) {
			case *record.Origin:
				if i != 0 || e.Origin != "example.org/log" || e.Database != w.db.ID {
					t.Errorf("entry %d is the origin %+v", i, e)
				}
			case *record.Document:
				if rulebook++; e.Rulebook != rulebook {
					t.Errorf("document %d comes as number %d", e.Rulebook, rulebook)
				}
			case *record.Batch:
				if counts[fmt.Sprint("batch", e.Part)]++; counts[fmt.Sprint("batch", e.Part)] != e.Number {
					t.Errorf("batch %d.%d comes as number %d", e.Part, e.Number, counts[fmt.Sprint("batch", e.Part)])
				}
				if e.Rulebook > rulebook {
					t.Errorf("batch %d.%d comes before its rulebook %d", e.Part, e.Number, e.Rulebook)
				}
				counts["batches"]++
			case *record.Links:
				counts["links"]++
			}
		}
		if counts["batches"] != 340 || counts["links"] != 3+1 || rulebook != 2 {
			t.Errorf("the log has %v and %d documents", counts, rulebook)
		}
		// Nothing new: no new head.
		before, _, _ := w.db.Log(t.Context())
		step(t, s)
		if after, _, _ := w.db.Log(t.Context()); after != before {
			t.Errorf("the log went on from %+v to %+v, and nothing had happened", before, after)
		}
	})
}

// Several sealers at once, as on several servers, make one log.
func TestSealTogether(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		head, err := os.ReadFile(w.key + ".head")
		if err != nil {
			t.Fatal(err)
		}
		secret, err := os.ReadFile(w.key)
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		for range 4 {
			key := filepath.Join(t.TempDir(), "log-key") // each server has files of its own
			if err := os.WriteFile(key, secret, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(key+".head", head, 0o600); err != nil {
				t.Fatal(err)
			}
			signer, err := seal.LoadSigner(key, "")
			if err != nil {
				t.Fatal(err)
			}
			s, err := seal.New(t.Context(), seal.Config{DB: w.db, Signer: signer})
			if err != nil {
				t.Fatal(err)
			}
			group.Go(func() {
				for range 40 {
					if _, err := s.Step(t.Context(), now); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		w.judge(100)
		group.Wait()
		if err := seal.Trust(w.key, "", []byte(mustLog(t, w.db).Checkpoint)); err != nil {
			t.Fatal(err)
		}
		step(t, w.sealer())
		c, entries := w.published()
		if batches := count[*record.Batch](entries); batches != 100 {
			t.Errorf("%d entries, %d of them batches; want 100", c.Size, batches)
		}
	})
}

func mustLog(t *testing.T, db *store.DB) store.Log {
	t.Helper()
	l, found, err := db.Log(t.Context())
	if err != nil || !found {
		t.Fatal(found, err)
	}
	return l
}

func count[E record.Entry](entries []record.Entry) (n int) {
	for _, e := range entries {
		if _, ok := e.(E); ok {
			n++
		}
	}
	return n
}

// A sealer that died after it signed and before it published is followed by one that publishes.
func TestSignedAndNotPublished(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		step(t, w.sealer())
		published := mustLog(t, w.db)
		w.judge(5)
		step(t, w.sealer())
		signed := mustLog(t, w.db)
		w.damage(fmt.Sprintf("UPDATE log SET signed = %d, checkpoint = '%s'", published.Signed, published.Checkpoint))
		step(t, w.sealer())
		if got := mustLog(t, w.db); got != signed {
			t.Errorf("published is %+v, want %+v", got, signed)
		}
	})
}

// damage changes the database as only its owner can.
func (w *world) damage(statement string) {
	w.t.Helper()
	driver, source, zeros := "pgx", w.url, `'\x%x'`
	if file, ok := strings.CutPrefix(w.url, "sqlite:"); ok {
		driver, source, zeros = "sqlite", file+"?_pragma=busy_timeout(10000)", "x'%x'"
	}
	owner, err := sql.Open(driver, source)
	if err != nil {
		w.t.Fatal(err)
	}
	defer owner.Close()
	statement = strings.ReplaceAll(statement, "{zeros}", fmt.Sprintf(zeros, make([]byte, 600)))
	if _, err := owner.Exec(statement); err != nil {
		w.t.Fatalf("%s: %v", statement, err)
	}
}

// A database that is older than what was signed, or that was changed, is not sealed and not served.
func TestRefusals(t *testing.T) {
	for _, tt := range []struct{ name, damage, want string }{
		{"a shorter log", "UPDATE log SET size = size - 1", "is older than the log"},
		{"another root", "UPDATE log SET root = (SELECT root FROM consent WHERE part = 0)", "does not extend"},
		{"another tile", "UPDATE log_tile SET hashes = (SELECT leaves FROM consent WHERE part = 0)", "too short"},
		{"a changed tile", "UPDATE log_tile SET hashes = {zeros}", "inconsistent tile|have been changed"},
		{"no tile", "DELETE FROM log_tile", "missing"},
		{"no mark", "DELETE FROM log_mark WHERE stream = 'batch'", "UNIQUE|duplicate key"},
		{"a later mark", "UPDATE log_mark SET next = next + 1 WHERE stream = 'batch'", "does not follow"},
		{"another key's log", "UPDATE log SET origin = 'example.org/other'", "is that of the log example.org/log"},
	} {
		storetest.Each(t, func(t *testing.T, url string) {
			w := newWorld(t, url)
			w.judge(10)
			step(t, w.sealer())
			w.damage(tt.damage)
			s, err := seal.New(t.Context(), seal.Config{DB: w.db, Signer: w.signer()})
			if err == nil {
				w.judge(10)
				_, err = s.Step(t.Context(), now)
			}
			if err == nil || !slices.ContainsFunc(strings.Split(tt.want, "|"), func(s string) bool { return strings.Contains(err.Error(), s) }) {
				t.Errorf("%s: %v, want an error that says %q", tt.name, err, tt.want)
			}
		})
	}
}

// The log refuses to begin anew under a key that has signed already.
func TestBeginAgain(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	step(t, w.sealer())
	other, err := store.Create(t.Context(), storetest.SQLite(t), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := seal.Begin(t.Context(), other, w.signer(), now); err == nil || !strings.Contains(err.Error(), "has signed a log") {
		t.Errorf("another database took the key: %v", err)
	}
}

// Keys that others can read, that are missing, or whose last head is, are not used.
func TestLoadSigner(t *testing.T) {
	folder := t.TempDir()
	key := filepath.Join(folder, "key")
	load := func(want string) {
		t.Helper()
		if _, err := seal.LoadSigner(key, ""); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want an error that says %q", err, want)
		}
	}
	load("there is no log key")
	if _, err := seal.CreateKey(key, "a name"); err == nil {
		t.Error("a name with a space was taken")
	}
	if _, err := seal.CreateKey(key, "example.org/log"); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.CreateKey(key, "example.org/log"); err == nil {
		t.Error("a key was made over another one")
	}
	if err := os.Chmod(key, 0o640); err != nil {
		t.Fatal(err)
	}
	load("others can read")
	if err := errors.Join(os.Chmod(key, 0o600), os.Remove(key+".head")); err != nil {
		t.Fatal(err)
	}
	load("the newest checkpoint that anybody has")
	if err := os.WriteFile(key+".head", []byte("example.org/log\n5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load("malformed note")
	if err := os.WriteFile(key, []byte("PRIVATE+KEY+x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	load("cannot be read")
}

// Two copies of one database, as after a restore beside a server that still runs, share a key. What one has signed the
// other's sealer finds in the file only when it signs, after it made sure of the head that it knew.
func TestTwoDatabasesOfOneKey(t *testing.T) {
	for _, more := range []int{2, 5} { // the other log gets as long as ours, or longer
		w := newWorld(t, storetest.SQLite(t))
		w.judge(3)
		step(t, w.sealer())
		other := *w
		other.url, other.next = storetest.SQLite(t), 100
		w.damage(fmt.Sprintf("VACUUM INTO '%s'", strings.TrimPrefix(other.url, "sqlite:")))
		var err error
		if other.db, err = store.Open(t.Context(), other.url); err != nil {
			t.Fatal(err)
		}
		defer other.db.Close()
		ours, theirs := w.sealer(), other.sealer()
		w.judge(2)
		step(t, ours)
		signed, published := w.signer().Last(), mustLog(t, other.db).Checkpoint
		other.judge(more)
		for range 3 {
			_, err = theirs.Step(t.Context(), now)
		}
		if err == nil || !strings.Contains(err.Error(), "does not extend") {
			t.Errorf("after another database's head of %d entries, one of %d: %v", signed.Size, mustLog(t, other.db).Size, err)
		}
		if theirs.Unfit() == nil || ours.Unfit() != nil {
			t.Errorf("fit to be written to: ours %v, the other's %v", ours.Unfit(), theirs.Unfit())
		}
		if last := w.signer().Last(); last.Root != signed.Root {
			t.Errorf("signed a head of %d entries that does not extend the one of %d", last.Size, signed.Size)
		}
		if mustLog(t, other.db).Checkpoint != published {
			t.Error("published a head that is not that of its log")
		}
	}
}

// An operator whose server refuses an older database cannot make it serve by trusting that: the last signed head stays.
func TestTrustNothingOlder(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	step(t, w.sealer())
	older := mustLog(t, w.db).Checkpoint
	w.judge(2)
	step(t, w.sealer())
	last := w.signer().Last()
	for _, checkpoint := range []string{older, strings.Replace(older, "example.org", "example.net", 1), "<html>"} {
		if err := seal.Trust(w.key, "", []byte(checkpoint)); err == nil {
			t.Errorf("trusted %.40q after a head of %d entries", checkpoint, last.Size)
		}
		if s, err := seal.LoadSigner(w.key, ""); err != nil || s.Last().Size != last.Size {
			t.Fatalf("the last signed head is lost: %v", err)
		}
	}
	if err := os.WriteFile(w.key+".head", []byte("torn"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := seal.Trust(w.key, "", []byte(mustLog(t, w.db).Checkpoint)); err != nil || w.signer().Last().Root != last.Root {
		t.Errorf("a damaged file was not replaced: %v", err)
	}
}
