package restore_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/api"
	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/flows/receipt"
	"github.com/tanpu/tanpu/flows/restore"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/mirror"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

const origin = "example.org/log"

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
	{Name: "city.programme.yaml", Text: []byte(city)},
}

const city = `
id: city
title: a city
region: CN
timezone: Asia/Shanghai
operator: {name: an operator, mode: platform}
applicant: {name: an applicant}
ownership: member
accepts: {late: 87600h, early: 5m}
points: none
scenarios: {meter: {methodology: METER, partners: [utility]}}
`

// revised is the programme as it is published after the backup was made.
var revised = publish.File{Name: "city.programme.yaml", Text: []byte(strings.Replace(city, "a city", "the city", 1))}

// A world is a database with a log, and what its partner has reported and been told.
type world struct {
	t    *testing.T
	db   *store.DB
	url  string
	key  string // file
	now  time.Time
	subs []string
	all  []claim.Claim
	gone map[string]bool  // subs of links that are not in force
	mg   map[string]int64 // what a claim comes to, by its id, if it counts
}

func newWorld(t *testing.T, url string) *world {
	t.Helper()
	if t.Name() != "TestBackup" {
		storetest.OneByOne(t)
	}
	w := &world{t: t, url: url, key: filepath.Join(t.TempDir(), "log-key"), now: time.Date(2026, 8, 21, 12, 0, 0, 0, time.UTC), mg: map[string]int64{}, gone: map[string]bool{}}
	var err error
	if w.db, err = store.Create(t.Context(), url, 3); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close() })
	w.publish(documents...)
	if _, err := seal.CreateKey(w.key, origin); err != nil {
		t.Fatal(err)
	}
	if err := seal.Begin(t.Context(), w.db, w.signer(), w.now); err != nil {
		t.Fatal(err)
	}
	w.enrol(30)
	return w
}

func (w *world) publish(files ...publish.File) {
	w.t.Helper()
	if _, err := publish.Publish(w.t.Context(), w.db, files); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) enrol(n int) {
	w.t.Helper()
	subs, err := link.Enrol(w.t.Context(), w.db, w.book(), "city", "utility", n, w.now.Add(-time.Minute))
	if err != nil {
		w.t.Fatal(err)
	}
	w.subs = append(w.subs, subs...)
}

func (w *world) book() *rulebook.Rulebook {
	w.t.Helper()
	n, err := w.db.Rulebook(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	book, err := publish.Load(w.t.Context(), w.db, n)
	if err != nil {
		w.t.Fatal(err)
	}
	return book
}

func (w *world) signer() *seal.Signer {
	w.t.Helper()
	s, err := seal.LoadSigner(w.key, "")
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// seal takes all that was committed into the log, and signs its head.
func (w *world) seal(witnesses ...seal.Witness) {
	w.t.Helper()
	s, err := seal.New(w.t.Context(), seal.Config{DB: w.db, Signer: w.signer(), Witnesses: witnesses})
	if err != nil {
		w.t.Fatal(err)
	}
	for more := true; more; {
		if more, err = s.Step(w.t.Context(), w.now); err != nil {
			w.t.Fatal(err)
		}
	}
}

// judge has n new claims judged, each in a batch of its own.
func (w *world) judge(n int) {
	w.t.Helper()
	for range n {
		k := len(w.all) + 1
		sub := w.subs[k%len(w.subs)]
		for i := k; w.gone[sub]; i++ {
			sub = w.subs[i%len(w.subs)]
		}
		c := claim.Claim{Partner: "utility", ID: fmt.Sprint(k), Sub: sub, Scenario: "meter",
			Start: w.now.UnixMicro(), End: w.now.UnixMicro(), Evidence: "system", Quantities: []claim.Quantity{{Name: "used", Text: fmt.Sprint(k)}}}
		w.all = append(w.all, c)
		v := w.report(c)
		if v.Reason != reason.OK {
			w.t.Fatalf("claim %s: %+v", c.ID, v)
		}
		w.mg[c.ID] = v.Milligrams
	}
}

func (w *world) report(c claim.Claim) claim.Verdict {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	v, err := (&intake.Judge{DB: w.db}).Admit(w.t.Context(), w.db.Route(c.Sub), []claim.Claim{c}, w.now.UnixMicro())
	if err != nil {
		w.t.Fatal(err)
	}
	return v[0]
}

func (w *world) retract(id string) {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	i := slices.IndexFunc(w.all, func(c claim.Claim) bool { return c.ID == id })
	_, err := correct.New(w.db).Retract(w.t.Context(), correct.Request{Subject: w.all[i].Sub, Partner: "utility", ID: id, By: "utility", Reason: "a mistake"}, w.now.UnixMicro())
	if err != nil {
		w.t.Fatal(err)
	}
	delete(w.mg, id)
}

func (w *world) revoke(sub string) {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	if err := link.Revoke(w.t.Context(), w.db, sub, "", w.now); err != nil {
		w.t.Fatal(err)
	}
	w.gone[sub] = true
}

// close closes the database, and open opens what lies in its place.
func (w *world) close() {
	w.t.Helper()
	if err := w.db.Close(); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.db, err = store.OpenRestore(w.t.Context(), w.url); err != nil {
		w.t.Fatal(err)
	}
}

// backup makes a copy of the database as it is, to be put in its place once.
func (w *world) backup() (putBack func()) {
	w.t.Helper()
	copied := w.copy()
	return func() {
		w.t.Helper()
		w.close()
		storetest.Replace(w.t, w.url, copied)
		w.open()
	}
}

// copy copies the database to another place.
func (w *world) copy() (url string) {
	w.t.Helper()
	w.close()
	url = storetest.Copy(w.t, w.url)
	w.open()
	return url
}

// serve serves the log, and nothing else of interest.
func (w *world) serve() (url string) {
	w.t.Helper()
	return serve(w.t, w.db)
}

func serve(t *testing.T, db *store.DB) (url string) {
	t.Helper()
	in := intake.New(db, intake.Config{})
	s := httptest.NewServer(api.New(api.Config{DB: db, Intake: in, Log: slog.New(slog.DiscardHandler)}).Handler)
	t.Cleanup(func() {
		s.Close()
		in.Close(context.Background())
	})
	return s.URL + "/log"
}

// mirror copies the log to a folder, or goes on with it, and must find nothing.
func (w *world) mirror(dir string) *mirror.Report {
	w.t.Helper()
	r, err := mirror.Run(w.t.Context(), mirror.Config{URL: w.serve(), Dir: dir, Pause: time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range r.Findings {
		w.t.Error(f)
	}
	return r
}

func (w *world) copyOf(dir string) *mirror.Reader {
	w.t.Helper()
	r, err := mirror.OpenReader(dir)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(r.Close)
	return r
}

func (w *world) restore(from restore.Source, more ...func(*restore.Config)) (*restore.Report, error) {
	c := restore.Config{DB: w.db, Signer: w.signer(), Source: from, Documents: [][]byte{revised.Text}}
	for _, f := range more {
		f(&c)
	}
	return restore.Run(w.t.Context(), c, w.now)
}

// clean audits the database, and returns the report.
func (w *world) clean() *audit.Report {
	w.t.Helper()
	r, err := audit.Run(w.t.Context(), w.db, audit.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	for _, f := range r.Findings {
		w.t.Error(f)
	}
	return r
}

// credited sums what all members hold.
func (w *world) credited() (mg int64) {
	w.t.Helper()
	for part := range w.db.Parts {
		err := w.db.Snapshot(w.t.Context(), part, func(s *store.Snapshot) error {
			return s.Balances(w.t.Context(), store.Range{From: 1, To: 1 << 40}, func(_ ledger.Key, n int64) { mg += n })
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return mg
}

// A watcher is a witness that signs nothing that does not extend what it saw.
type watcher struct {
	*proof.Cosigner
	t    *testing.T
	last proof.Checkpoint
}

func newWatcher(t *testing.T) *watcher {
	t.Helper()
	skey, _, err := proof.GenerateWitnessKey(bytes.NewReader(make([]byte, 64)), "regulator.example")
	if err != nil {
		t.Fatal(err)
	}
	cosigner, err := proof.NewCosigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	return &watcher{cosigner, t, proof.Checkpoint{}}
}

func (w *watcher) Cosign(_ context.Context, old int64, path []tlog.Hash, checkpoint []byte) ([]byte, error) {
	text, _, _ := strings.Cut(string(checkpoint), "\n\n")
	c, err := proof.ParseCheckpoint(text + "\n")
	if err != nil {
		return nil, err
	}
	if old != w.last.Size {
		return nil, &seal.Stale{Size: w.last.Size}
	}
	if w.last.Size > 0 {
		if err := proof.CheckExtends(path, w.last, c); err != nil {
			w.t.Errorf("the witness was shown a fork: %v", err)
			return nil, err
		}
	}
	w.last = c
	line, err := w.Cosigner.Cosign(text+"\n", 1787270400)
	return []byte(line), err
}

// A database is lost, and a backup from the past put in its place. What came after the backup is brought back from a copy of
// the log as far as the log has it; partners report everything again. The log is not forked, and not a gram is there twice.
func TestDisaster(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, witness, copied := newWorld(t, url), newWatcher(t), t.TempDir()
		w.judge(60)
		w.seal(witness)
		w.judge(20) // in the backup, and sealed only after it
		w.retract("3")
		putBack := w.backup()

		w.seal(witness)
		before := len(w.subs)
		w.enrol(10)
		w.publish(revised)
		w.judge(150)
		w.retract("50")
		w.retract("120")
		ended := w.subs[4]
		w.revoke(ended)
		w.judge(10)
		if _, err := seal.Rotate(t.Context(), w.db, w.key, w.now); err != nil {
			t.Fatal(err)
		}
		w.seal(witness)
		w.mirror(copied)
		head := w.signer().Last()
		lost := w.recorded("120")
		w.judge(5) // acknowledged, and in no log yet: what is lost is lost

		putBack()
		if _, err := seal.New(t.Context(), seal.Config{DB: w.db, Signer: w.signer()}); err == nil || !strings.Contains(err.Error(), "tanpu restore") {
			t.Fatalf("a database from the past was served: %v", err)
		}
		r, err := w.restore(w.copyOf(copied))
		if err != nil {
			t.Fatal(err)
		}
		if r.Batches != 162 || r.Corrections != 2 || r.Links != 3 || r.Ended != 1 || r.Documents != 1 || r.To != head.Size {
			t.Errorf("restored %+v", r)
		}
		if again, err := w.restore(w.copyOf(copied)); err != nil || again.Batches != 0 || again.From != again.To {
			t.Errorf("restored again: %+v, %v", again, err)
		}
		w.seal(witness)
		a := w.clean()
		if a.Held != (audit.Held{Batches: 162, Consents: 3}) || !strings.Contains(strings.Join(a.Notes, "\n"), "162 batches and 3 consents hold their numbers") {
			t.Errorf("the audit says %+v: %q", a.Held, a.Notes)
		}
		m := w.mirror(copied)
		if m.Known != head.Size || m.Lost[record.BatchType] != 162 || m.Lost[record.LinksType] != 3 {
			t.Errorf("the auditor knew %d of %d entries, and heard of %v", m.Known, head.Size, m.Lost)
		}

		for _, sub := range w.subs[before:] {
			w.gone[sub] = true
		}
		// Whoever withdrew has withdrawn; who joined since has to join again.
		for i, sub := range w.subs {
			c := w.all[0]
			c.ID, c.Sub = fmt.Sprint("again-", i), sub
			want := reason.Code(reason.OK)
			switch {
			case sub == ended:
				want = reason.LinkRevoked
			case i >= before:
				want = reason.NoLink
			}
			if v := w.report(c); v.Reason != want {
				t.Errorf("a claim of member %d is %s, want %s", i, v.Reason, want)
			} else if want == reason.OK {
				w.all, w.mg[c.ID] = append(w.all, c), v.Milligrams
			}
		}
		// Partners report all that they ever did, twice, and take back again what they had.
		for range 2 {
			for _, c := range w.all {
				w.report(c)
			}
			w.retract("50")
		}
		w.retract("120")
		var want int64
		for _, c := range w.all {
			if gone := slices.Index(w.subs, c.Sub) >= before || c.Sub == ended && !w.stands(c.ID); !gone {
				want += w.mg[c.ID]
			}
		}
		if got := w.credited(); got != want {
			t.Errorf("members hold %d mg, want %d: each claim once", got, want)
		}
		if _, err := seal.Retire(t.Context(), w.db, w.key, w.now); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.AddDate(0, 0, 2) // sums are opened
		w.judge(1)
		w.seal(witness)
		w.clean()
		w.mirror(copied)
		if witness.last.Text() != w.signer().Last().Text() {
			t.Errorf("the witness signed %d entries, and %d were published", witness.last.Size, w.signer().Last().Size)
		}
		if _, err := receipt.Make(t.Context(), w.db, lost, "", nil); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "was lost") {
			t.Errorf("the receipt of a lost claim: %v", err)
		}
	})
}

// recorded is where a claim is recorded that counts.
func (w *world) recorded(id string) (ref claim.Ref) {
	w.t.Helper()
	for part := range w.db.Parts {
		err := w.db.Snapshot(w.t.Context(), part, func(s *store.Snapshot) error {
			return s.Claims(w.t.Context(), store.Range{From: 1, To: 1 << 40}, func(c *store.ClaimRow) {
				if c.ID == id {
					ref = c.Verdict.Ref
				}
			})
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	return ref
}

func (w *world) stands(id string) bool { return w.recorded(id) != claim.Ref{} }

// Nothing that was given to somebody is given to somebody else: numbers of batches, accounts and links go on beyond the lost ones.
func TestNumbers(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, copied := newWorld(t, url), t.TempDir()
		w.judge(10)
		w.seal()
		putBack := w.backup()
		w.enrol(30)
		w.judge(100)
		w.seal()
		w.mirror(copied)
		heads, err := w.db.LastBatches(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		last := w.accounts()
		putBack()
		if _, err := w.restore(w.copyOf(copied)); err != nil {
			t.Fatal(err)
		}
		after, err := w.db.LastBatches(t.Context())
		if err != nil || !slices.Equal(after, heads) {
			t.Errorf("partitions go on after %+v, want %+v (%v)", after, heads, err)
		}
		for part, n := range w.accounts() {
			if n <= last[part]+100_000 {
				t.Errorf("partition %d goes on with account %d, and had given %d", part, n, last[part])
			}
		}
		for _, sub := range w.subs[30:] {
			w.gone[sub] = true
		}
		w.enrol(3)
		w.judge(50)
		w.seal()
		w.clean()
	})
}

// A server that lives through a restore, cut off from its database meanwhile, does not go on with links that were lost, though
// their consents stand there under the same numbers and roots.
func TestServerLivesOn(t *testing.T) {
	w, copied := newWorld(t, storetest.Postgres(t)), t.TempDir()
	w.judge(10)
	w.seal()
	putBack := w.backup()
	w.enrol(30)
	server, err := store.Open(t.Context(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	reports := func(k int) (list []reason.Code) {
		for i, sub := range w.subs {
			c := claim.Claim{Partner: "utility", ID: fmt.Sprint("s", k, "-", i), Sub: sub, Scenario: "meter", Start: w.now.UnixMicro(), End: w.now.UnixMicro(),
				Evidence: "system", Quantities: []claim.Quantity{{Name: "used", Text: "1"}}}
			var v []claim.Verdict
			for range 20 { // its connections are cut once
				w.now = w.now.Add(time.Second)
				if v, err = (&intake.Judge{DB: server}).Admit(t.Context(), server.Route(sub), []claim.Claim{c}, w.now.UnixMicro()); err == nil {
					break
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, v[0].Reason)
		}
		return list
	}
	if got := reports(1); !slices.Equal(got, slices.Repeat([]reason.Code{reason.OK}, 60)) {
		t.Fatal(got)
	}
	w.seal()
	w.mirror(copied)
	putBack()
	if _, err := w.restore(w.copyOf(copied)); err != nil {
		t.Fatal(err)
	}
	if got := reports(2); !slices.Equal(got, slices.Concat(slices.Repeat([]reason.Code{reason.OK}, 30), slices.Repeat([]reason.Code{reason.NoLink}, 30))) {
		t.Error(got)
	}
	w.clean()
}

// accounts are the numbers that each partition has given.
func (w *world) accounts() (list [3]int64) {
	w.t.Helper()
	for part := range list {
		if err := w.db.Snapshot(w.t.Context(), part, func(s *store.Snapshot) error { list[part] = s.Accounts; return nil }); err != nil {
			w.t.Fatal(err)
		}
	}
	return list
}

// Whom nobody sealed before the database was lost has had a number all the same: it is not given again, though the log has nothing
// that the backup has not.
func TestUnsealedNumbers(t *testing.T) {
	w, copied := newWorld(t, storetest.SQLite(t)), t.TempDir()
	w.judge(10)
	w.seal()
	w.mirror(copied)
	putBack := w.backup()
	w.enrol(30)
	given := w.accounts()
	putBack()
	if r, err := w.restore(w.copyOf(copied)); err != nil || r.From != r.To {
		t.Fatalf("restored %+v, %v", r, err)
	}
	for part, n := range w.accounts() {
		if n < given[part] {
			t.Errorf("partition %d goes on after account %d, and had given %d", part, n, given[part])
		}
	}
	w.clean()
}

// A database that went on otherwise than the log that was signed is not said to have all of it, because it has as much.
func TestForked(t *testing.T) {
	for _, more := range []int{0, 5} {
		w, copied := newWorld(t, storetest.SQLite(t)), t.TempDir()
		w.judge(10)
		w.seal()
		head, err := os.ReadFile(w.key + ".head")
		if err != nil {
			t.Fatal(err)
		}
		putBack := w.backup()
		w.judge(10)
		w.seal()
		w.mirror(copied)
		putBack()
		if err := os.WriteFile(w.key+".head", head, 0o600); err != nil { // from a server that had not signed for a while
			t.Fatal(err)
		}
		w.judge(10 + more)
		w.seal()
		if r, err := w.restore(w.copyOf(copied)); err == nil || !strings.Contains(err.Error(), "does not extend the one of") {
			t.Errorf("%d more: restored %+v, %v", more, r, err)
		}
	}
}

// Sums that were opened and then lost are not opened again; what was lost is in them when it is reported again.
func TestOpenedSums(t *testing.T) {
	w, copied := newWorld(t, storetest.SQLite(t)), t.TempDir()
	w.judge(30)
	w.seal()
	putBack := w.backup()
	w.judge(60)
	w.now = w.now.AddDate(0, 0, 2)
	w.seal()
	opened := w.mirror(copied).Totals
	if len(opened) != 1 || opened[0].Claims != 90 {
		t.Fatalf("opened %+v", opened)
	}
	putBack()
	if _, err := w.restore(w.copyOf(copied)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.now = w.now.AddDate(0, 0, 1)
		w.seal()
	}
	if got := w.mirror(copied).Totals; !slices.Equal(got, opened) {
		t.Errorf("opened %+v, want %+v", got, opened)
	}
	for _, c := range w.all {
		w.report(c)
	}
	w.now = w.now.AddDate(0, 0, 2)
	w.seal()
	if got := w.mirror(copied).Totals; !slices.Equal(got, opened) {
		t.Errorf("after all was reported again opened %+v, want %+v", got, opened)
	}
	w.judge(40)
	w.now = w.now.AddDate(0, 0, 2)
	w.seal()
	if got := w.mirror(copied).Totals; len(got) != 1 || got[0].Claims != 130 || got[0].Reduction != w.credited() {
		t.Errorf("after more claims opened %+v; members hold %d mg", got, w.credited())
	}
	w.clean()
}

// A restore that dies goes on where it was, whenever that is. No server starts in between.
func TestKilled(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, copied := newWorld(t, url), t.TempDir()
		w.judge(10)
		w.seal()
		putBack := w.backup()
		w.publish(revised)
		w.enrol(5)
		w.judge(80)
		w.revoke(w.subs[1])
		w.seal()
		w.mirror(copied)
		putBack()
		kills := 0
		for {
			ctx, kill := context.WithCancel(t.Context())
			steps := 0
			_, err := restore.Run(ctx, restore.Config{DB: w.db, Signer: w.signer(), Source: w.copyOf(copied), Documents: [][]byte{revised.Text}, AtOnce: 9,
				Progress: func(float64, int64) {
					if steps++; steps > kills%3 {
						kill()
					}
				}}, w.now)
			kill()
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if _, err := seal.New(t.Context(), seal.Config{DB: w.db, Signer: w.signer()}); err == nil && w.last() < w.signer().Last().Size {
				t.Fatal("a database that is half restored was served")
			}
			kills++
		}
		if kills < 3 {
			t.Errorf("it was killed %d times", kills)
		}
		w.seal()
		if a := w.clean(); a.Held.Batches != 80 {
			t.Errorf("%d batches are held", a.Held.Batches)
		}
		w.mirror(copied)
	})
}

func (w *world) last() int64 {
	w.t.Helper()
	l, _, err := w.db.Log(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return l.Size
}

// A second disaster, with a backup that is older than the first one's, loses more; with a newer one, less.
func TestTwice(t *testing.T) {
	w, copied := newWorld(t, storetest.SQLite(t)), t.TempDir()
	w.judge(10)
	w.seal()
	oldest := w.backup()
	w.judge(10)
	w.seal()
	older := w.backup()
	w.judge(20)
	w.seal()
	w.mirror(copied)
	older()
	if _, err := w.restore(w.copyOf(copied)); err != nil {
		t.Fatal(err)
	}
	for _, c := range w.all {
		w.report(c)
	}
	w.seal()
	w.clean()
	w.mirror(copied)
	oldest()
	r, err := w.restore(w.copyOf(copied))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		for _, c := range w.all {
			w.report(c)
		}
	}
	w.seal()
	if a := w.clean(); a.Held.Batches != r.Batches || r.Batches < 50 {
		t.Errorf("%d batches are held, restored %+v", a.Held.Batches, r)
	}
	w.mirror(copied)
	var want int64
	for id := range maps.Keys(w.mg) {
		want += w.mg[id]
	}
	if got := w.credited(); got != want {
		t.Errorf("members hold %d mg, want %d", got, want)
	}
}

// Whoever takes claims out of a database and says to its audit that they were lost, without saying it in the log, is found out.
func TestQuietLoss(t *testing.T) {
	for _, tt := range []struct{ name, damage, want string }{
		{"an emptied batch", "", "its claims are not there, and it is not recorded as lost"},
		{"one that is said to be lost", "INSERT INTO lost VALUES (0, 1, 1, 'batch', 1, 1)", ""},
		{"a loss taken back", "DROP TRIGGER lost_no_delete; DELETE FROM lost", "is in the log, and not recorded"},
		{"a loss widened", "DROP TRIGGER lost_no_update; UPDATE lost SET last = last + 1 WHERE stream = 'batch'", "is not the one that the log has"},
	} {
		w, copied := newWorld(t, storetest.SQLite(t)), t.TempDir()
		w.judge(10)
		w.seal()
		if strings.Contains(tt.name, "loss") {
			putBack := w.backup()
			w.judge(10)
			w.seal()
			w.mirror(copied)
			putBack()
			if _, err := w.restore(w.copyOf(copied)); err != nil {
				t.Fatal(err)
			}
			w.seal()
			w.clean()
		} else {
			w.damage(`DROP TRIGGER claim_no_delete; DROP TRIGGER batch_no_update; DELETE FROM claim WHERE part = 0 AND batch = 1;
				UPDATE batch SET backfill = backfill | 4, claims = 0, leaves = x'', accounts = x'' WHERE part = 0 AND batch = 1`)
		}
		w.damage(tt.damage)
		r, err := audit.Run(t.Context(), w.db, audit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		found := slices.ContainsFunc(r.Findings, func(f audit.Finding) bool { return strings.Contains(f.Text, tt.want) })
		if tt.want != "" && !found {
			t.Errorf("%s: found %v, want %q", tt.name, r.Findings, tt.want)
		}
		if tt.want == "" { // what follows from the claims is still there; and the log will say it to everybody
			w.seal()
			if m := w.mirror(copied); m.Lost[record.BatchType] != 1 {
				t.Errorf("%s: the log's readers hear of %v", tt.name, m.Lost)
			}
		}
	}
}

// damage changes the database with all rights.
func (w *world) damage(statements string) {
	w.t.Helper()
	owner, err := sql.Open("sqlite", strings.TrimPrefix(w.url, "sqlite:")+"?_pragma=busy_timeout(10000)")
	if err != nil {
		w.t.Fatal(err)
	}
	defer owner.Close()
	if _, err := owner.Exec(statements); err != nil {
		w.t.Fatalf("%s: %v", statements, err)
	}
}

// What does not lead to the head that was signed is not taken, and changes nothing.
func TestRefusals(t *testing.T) {
	w, copied, early, between := newWorld(t, storetest.SQLite(t)), t.TempDir(), t.TempDir(), t.TempDir()
	w.judge(10)
	w.seal()
	w.mirror(early)
	putBack := w.backup()
	w.publish(revised)
	w.judge(10)
	w.seal()
	w.mirror(between)
	w.judge(20)
	w.seal()
	w.mirror(copied)
	putBack()
	size := w.last()
	refused := func(name, want string, from restore.Source, more ...func(*restore.Config)) {
		t.Helper()
		if _, err := w.restore(from, more...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error that says %q", name, err, want)
		}
		if n := w.last(); n != size {
			t.Fatalf("%s: the log has %d entries, and had %d", name, n, size)
		}
	}
	refused("a copy that is too old", "find a copy that has them all", w.copyOf(early))
	refused("a copy that has some of it", "find a copy that has them all", w.copyOf(between))
	refused("no copy", "there is no copy of a log", w.copyOf(t.TempDir()))
	refused("no documents", "programme city, SHA-256", w.copyOf(copied), func(c *restore.Config) { c.Documents = [][]byte{documents[1].Text} })

	other := newWorld(t, storetest.SQLite(t))
	other.judge(100)
	other.seal()
	refused("another log", "does not hold", restore.Database(other.db))

	liar := &liar{Reader: w.copyOf(copied)}
	liar.change = func(text []byte) []byte { return bytes.Replace(text, []byte(`"totals":"`), []byte(`"totals":"0`), 1) }
	refused("entries that are none", "does not follow", liar)
	liar.change = func(text []byte) []byte { return bytes.Replace(text, []byte(`"at":17`), []byte(`"at":18`), 1) }
	refused("changed entries", "", liar)

	// Somebody served the old database.
	w.judge(1)
	refused("a database that was written to", "was written to after it was put in place", w.copyOf(copied))
}

// A liar changes entries on their way.
type liar struct {
	*mirror.Reader
	change func([]byte) []byte
}

func (l *liar) Entries(ctx context.Context, from, size int64) ([][]byte, error) {
	list, err := l.Reader.Entries(ctx, from, size)
	for i := range list {
		list[i] = l.change(bytes.Clone(list[i]))
	}
	return list, err
}

// A copy is made beside whoever writes: whole, as of one moment, and without the accounts' keys, which lie in a file of their own.
func TestBackup(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.judge(20)
	w.seal()
	writing, stop := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		for writing.Err() == nil {
			w.judge(3)
			w.seal()
		}
	})
	folder := t.TempDir()
	keys := filepath.Join(folder, "keys")
	var copies []string
	for i := range 3 {
		copies = append(copies, filepath.Join(folder, fmt.Sprint("copy", i)))
		if err := store.Backup(t.Context(), w.url, copies[i], keys); err != nil {
			t.Fatal(err)
		}
	}
	stop()
	wait.Wait()
	for _, name := range append(slices.Clone(copies), keys) {
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", name, info.Mode(), err)
		}
	}
	text, err := os.ReadFile(copies[2])
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for part := range w.db.Parts {
		err := w.db.Snapshot(t.Context(), part, func(s *store.Snapshot) error {
			return s.Opened(t.Context(), store.Range{From: 1, To: 100}, func(_ claim.Number, key []byte) {
				if n++; bytes.Contains(text, key) {
					t.Error("a key is in the copy")
				}
			})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n != 30 {
		t.Errorf("looked for %d keys", n)
	}
	other := newWorld(t, storetest.SQLite(t))
	if err := store.Backup(t.Context(), other.url, filepath.Join(folder, "other"), filepath.Join(folder, "otherkeys")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{strings.TrimPrefix(w.url, "sqlite:"), copies[0], filepath.Join(folder, "otherkeys"), w.key} {
		before, _ := os.Stat(name)
		err := store.Backup(t.Context(), w.url, filepath.Join(folder, "copy3"), name)
		if after, _ := os.Stat(name); fault.KindOf(err) != fault.Conflict || !os.SameFile(before, after) {
			t.Errorf("keys took the place of %s: %v", filepath.Base(name), err)
		}
	}
	w.close()
	if err := store.PutBack(w.url, copies[2]); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a copy was put in the place of a database that is there: %v", err)
	}
	w.url += "-restored"
	if err := store.PutBack(w.url, copies[2]); err != nil {
		t.Fatal(err)
	}
	w.open()
	if a := w.clean(); a.Keyless != a.Claims || a.Claims < 20 {
		t.Errorf("of %d claims %d have no key", a.Claims, a.Keyless)
	}
	if accounts, keyless, err := w.db.Keyless(t.Context()); err != nil || accounts != 30 || keyless != 30 {
		t.Errorf("of %d accounts %d have no key, %v", accounts, keyless, err)
	}
	if n, err := w.db.AddKeys(t.Context(), keys); err != nil || n != 30 {
		t.Errorf("brought %d keys back, %v", n, err)
	}
	if a := w.clean(); a.Keyless != 0 {
		t.Errorf("%d claims have no key", a.Keyless)
	}
}

// The log can be taken from where it is served, and from another database, even beyond the last head that was published.
func TestSources(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.judge(300)
		w.seal()
		putBack := w.backup()
		w.judge(300)
		w.seal()
		source, err := store.OpenRead(t.Context(), w.copy())
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		putBack()
		reader, err := mirror.NewReader(mirror.Config{URL: serve(t, source), Pause: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		half, cancel := context.WithCancel(t.Context())
		defer cancel()
		_, err = restore.Run(half, restore.Config{DB: w.db, Signer: w.signer(), Source: reader, AtOnce: 170, Progress: func(float64, int64) { cancel() }}, w.now)
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if r, err := w.restore(restore.Database(source)); err != nil || r.Batches != 130 {
			t.Fatalf("from the other database: %+v, %v", r, err)
		}
		w.seal()
		w.clean()
	})
}
