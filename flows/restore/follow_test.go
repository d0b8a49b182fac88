package restore_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/flows/receipt"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/mirror"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store/storetest"
)

// follow has another log go on.
func (w *world) follow(origin string) (vkey string) {
	w.t.Helper()
	vkey, err := seal.Follow(w.t.Context(), w.db, w.key, origin, false, w.now)
	if err != nil {
		w.t.Fatal(err)
	}
	return vkey
}

// receipt makes a claim's receipt, as its member or its partner has it.
func (w *world) receipt(id, partner string) []byte {
	w.t.Helper()
	r, err := receipt.Make(w.t.Context(), w.db, w.recorded(id), partner, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Encode()
}

// proves verifies a receipt by one key.
func (w *world) proves(text []byte, vkey string) (*proof.Report, error) {
	w.t.Helper()
	v, err := note.NewVerifier(vkey)
	if err != nil {
		w.t.Fatal(err)
	}
	return proof.Verify(text, proof.Trust{Logs: []note.Verifier{v}})
}

// A log whose key was stolen goes on as another one. What was in it before is proved by the new key alone, and nobody who
// followed the old one sees it changed.
func TestFollow(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, first, second := newWorld(t, url), t.TempDir(), t.TempDir()
		w.judge(20)
		w.seal()
		old := w.signer().Keys()[0]
		w.mirror(first)
		early := w.receipt("1", "")
		w.judge(5) // committed, and in no head when the key is stolen
		secret, err := os.ReadFile(w.key)
		if err != nil {
			t.Fatal(err)
		}
		next := w.follow("example.org/log2")
		if _, err := seal.Follow(t.Context(), w.db, w.key, "example.org/log2", false, w.now); err == nil || !strings.Contains(err.Error(), "goes on already") {
			t.Errorf("a log went on from itself: %v", err)
		}
		if _, err := seal.Follow(t.Context(), w.db, w.key, origin, false, w.now); err == nil || !strings.Contains(err.Error(), "name of its own") {
			t.Errorf("a log has the name of the one whose key was stolen: %v", err)
		}
		if kept, err := os.ReadFile(w.key + ".log1"); err != nil || !bytes.Equal(kept, secret) {
			t.Errorf("the old key was not kept: %v", err)
		}
		w.publish(revised)
		w.judge(10)
		w.retract("3")
		w.seal()
		w.clean()
		if m := w.mirror(second); m.Log != "example.org/log2" || !strings.Contains(strings.Join(m.Notes, "\n"), "goes on from the log example.org/log of 31 entries") {
			t.Errorf("the new log is %s: %q", m.Log, m.Notes)
		}
		served := strings.TrimSuffix(w.serve(), "/log") + "/logs/1"
		r, err := mirror.Run(t.Context(), mirror.Config{URL: served, Dir: first, Pause: time.Millisecond})
		if err != nil || !r.Clean() || r.Entries != 31 || r.Log != origin {
			t.Errorf("the old log: %+v, %v", r, err)
		}
		third := ""
		for round := range 2 {
			for _, id := range []string{"1", "22", "30"} {
				for _, partner := range []string{"", "utility"} {
					if _, err := w.proves(w.receipt(id, partner), next); err != nil {
						t.Errorf("round %d: the receipt of claim %s does not hold: %v", round, id, err)
					}
					if _, err := w.proves(w.receipt(id, partner), old); err == nil {
						t.Errorf("round %d: the receipt of claim %s holds by the old key", round, id)
					}
				}
			}
			if round == 0 {
				third = w.follow("example.org/log3")
				w.judge(3)
				w.seal()
				w.clean()
				next = third
			}
		}
		if _, err := w.proves(early, old); err != nil {
			t.Errorf("a receipt from before does not hold: %v", err)
		}
		w.forged(w.receipt("1", ""), next)
		w.forged(w.receipt("30", ""), next)
	})
}

// forged changes what leads back to earlier logs, piece by piece; none may pass.
func (w *world) forged(text []byte, vkey string) {
	w.t.Helper()
	for _, change := range []func(r *proof.Receipt){
		func(r *proof.Receipt) { r.Log.Earlier[0].Entry.Follows.Root[0]++ },
		func(r *proof.Receipt) { r.Log.Earlier[0].Entry.Follows.Size++ },
		func(r *proof.Receipt) { r.Log.Earlier[0].Entry.Follows.Origin += "x" },
		func(r *proof.Receipt) { r.Log.Earlier[0].Entry.Follows = nil },
		func(r *proof.Receipt) { r.Log.Earlier[0].Entry.Key += "x" },
		func(r *proof.Receipt) { r.Log.Earlier[0].Entry.At++ },
		func(r *proof.Receipt) { r.Log.Earlier[0].Entry.Type = "" },
		func(r *proof.Receipt) { r.Log.Earlier[0].Path[0][0]++ },
		func(r *proof.Receipt) { r.Log.Earlier = r.Log.Earlier[:1] },
		func(r *proof.Receipt) { r.Log.Earlier = append(r.Log.Earlier, r.Log.Earlier[0]) },
		func(r *proof.Receipt) {
			r.Log.Earlier[0], r.Log.Earlier[1] = r.Log.Earlier[1], r.Log.Earlier[0]
		},
		func(r *proof.Receipt) { r.Log.Before++ },
		func(r *proof.Receipt) { r.Log.Before-- },
		func(r *proof.Receipt) { r.Documents[0].Before = 0 },
		func(r *proof.Receipt) { r.Documents[0].Before++ },
		func(r *proof.Receipt) { r.Documents[0].Before = -1 },
	} {
		r, err := proof.ParseReceipt(text)
		if err != nil {
			w.t.Fatal(err)
		}
		change(r)
		if _, err := w.proves(r.Encode(), vkey); err == nil {
			w.t.Errorf("a forged receipt holds:\n%s", r.Encode())
		}
	}
}

// A backup from before another log went on is brought forward by the old log's copy and key first, and then by the new one's. Nothing is
// added to the old log: the new one says what was lost of both, and goes on from its own losses, which are of another disaster.
func TestRestoreFollowed(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, first, second := newWorld(t, url), t.TempDir(), t.TempDir()
		w.judge(10)
		w.seal()
		putBack := w.backup()
		w.judge(10)
		w.seal()
		w.judge(3) // committed, and taken in when the other log begins
		old := w.signer().Last()
		vkey := w.follow("example.org/log2")
		later := w.backup()
		w.judge(5)
		w.seal()
		w.mirror(second)
		later()
		if r, err := w.restore(w.copyOf(second)); err != nil || r.Batches != 5 || r.Lost == 0 || r.Followed {
			t.Fatalf("the new log: %+v, %v", r, err)
		}
		w.seal()
		w.judge(10)
		w.seal()
		w.mirror(second)
		served := strings.TrimSuffix(w.serve(), "/log") + "/logs/1"
		if _, err := mirror.Run(t.Context(), mirror.Config{URL: served, Dir: first, Pause: time.Millisecond}); err != nil {
			t.Fatal(err)
		}

		putBack()
		if _, err := w.restore(w.copyOf(second)); err == nil || !strings.Contains(err.Error(), "restore that one first") {
			t.Errorf("the new log was restored before the old one: %v", err)
		}
		key := w.key
		w.key += ".log1"
		head := w.signer().Last()
		for _, batches := range []int64{13, 0} { // again changes nothing
			if r, err := w.restore(w.copyOf(first)); err != nil || r.Batches != batches || r.Lost != 0 || !r.Followed {
				t.Fatalf("the old log: %+v, %v", r, err)
			}
			if l, _, err := w.db.Log(t.Context()); err != nil || l.Size != head.Size || w.signer().Last().Size != head.Size || head.Size <= old.Size {
				t.Fatalf("the old log has %d entries, and %d were signed, %v; want %d", l.Size, w.signer().Last().Size, err, head.Size)
			}
		}
		w.key = key
		if r, err := w.restore(w.copyOf(second)); err != nil || r.Batches != 15 || r.Lost == 0 || r.Followed {
			t.Fatalf("the new log: %+v, %v", r, err)
		}
		w.seal()
		for range 2 {
			for _, c := range w.all {
				w.report(c)
			}
		}
		w.seal()
		if a := w.clean(); a.Held.Batches != 28 {
			t.Errorf("%d batches are held", a.Held.Batches)
		}
		if m := w.mirror(second); !says(m.Notes, "what was in 28 batches and 0 consents is lost") {
			t.Errorf("the new log says %q", m.Notes)
		}
		var want int64
		for _, mg := range w.mg {
			want += mg
		}
		if got := w.credited(); got != want {
			t.Errorf("members hold %d mg, want %d", got, want)
		}
		if _, err := w.proves(w.receipt("1", ""), vkey); err != nil {
			t.Error(err)
		}
	})
}

// A key that is named like one that was put away, without that of the log that goes on beside it, is nobody's to guess about.
func TestRestoreNamedFollowed(t *testing.T) {
	w, copied := newWorld(t, storetest.SQLite(t)), t.TempDir()
	w.judge(5)
	w.seal()
	w.mirror(copied)
	key := w.key
	w.key += ".log1"
	for _, name := range []string{"", ".head"} {
		if err := os.Rename(key+name, w.key+name); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.restore(w.copyOf(copied)); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "put that one's key beside it") {
		t.Errorf("it was restored: %v", err)
	}
}

// Whoever dies while another log begins goes on with the same command; without the old key only when told.
func TestFollowKilled(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	w.judge(5)
	w.seal()
	if err := os.Remove(w.key); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Follow(t.Context(), w.db, w.key, "example.org/log2", false, w.now); err == nil || !strings.Contains(err.Error(), "--though-older") {
		t.Errorf("without the old key another log began: %v", err)
	}
	w.judge(2)
	vkey, err := seal.CreateKey(w.key+".next", "example.org/log2") // it died here
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(w.key + ".next.head"); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.Follow(t.Context(), w.db, w.key, "example.org/other", true, w.now); err == nil || !strings.Contains(err.Error(), "is a key of the log example.org/log2") {
		t.Errorf("a key served another log: %v", err)
	}
	if got, err := seal.Follow(t.Context(), w.db, w.key, "example.org/log2", true, w.now); err != nil || got != vkey {
		t.Fatalf("went on with %s, %v", got, err)
	}
	w.seal()
	w.clean()

	// It dies between the database and the files.
	l, _, err := w.db.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if vkey, err = seal.CreateKey(w.key+".next", "example.org/log3"); err != nil {
		t.Fatal(err)
	}
	first := record.Text(&record.Origin{Origin: "example.org/log3", Database: w.db.ID, Parts: w.db.Parts, At: 1, Key: vkey, Follows: &record.Follows{Origin: l.Origin, Size: l.Size, Root: record.Hash(l.Root)}})
	if err := w.db.BeginLog(t.Context(), "example.org/log3", first, ledger.Hash(proof.EmptyRoot)); err != nil {
		t.Fatal(err)
	}
	if _, err := seal.New(t.Context(), seal.Config{DB: w.db, Signer: w.signer()}); err == nil {
		t.Error("the old key signs the new log")
	}
	if got, err := seal.Follow(t.Context(), w.db, w.key, "example.org/log3", false, w.now); err != nil || got != vkey {
		t.Fatalf("went on with %s, %v", got, err)
	}
	w.judge(2)
	w.seal()
	w.clean()
	if _, err := w.proves(w.receipt("1", ""), vkey); err != nil {
		t.Error(err)
	}
}

// An older database from which another log goes on cites what was signed, though less of it, and gives nobody the number of an account
// that is lost.
func TestFollowOlder(t *testing.T) {
	w, copied := newWorld(t, storetest.SQLite(t)), t.TempDir()
	w.judge(10)
	w.seal()
	w.judge(4) // committed, and not in the log when the backup is made
	putBack := w.backup()
	w.enrol(30)
	w.judge(30)
	w.seal()
	l, _, err := w.db.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signed, err := w.db.LogEntries(t.Context(), l.Number, 0, int(l.Size))
	if err != nil {
		t.Fatal(err)
	}
	given := w.accounts()
	for _, sub := range w.subs[30:] {
		w.gone[sub] = true
	}
	putBack()
	if _, err := seal.Follow(t.Context(), w.db, w.key, "example.org/log2", true, w.now); err != nil {
		t.Fatal(err)
	}
	w.enrol(3)
	w.judge(5)
	w.seal()
	w.clean()
	w.mirror(copied)
	l, _, err = w.db.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e, err := record.Parse([]byte(l.First))
	if err != nil {
		t.Fatal(err)
	}
	cited, edge := e.(*record.Origin).Follows, &proof.Edge{}
	for _, text := range signed[:cited.Size] {
		edge.Append(tlog.RecordHash(text))
	}
	if record.Hash(edge.Root()) != cited.Root {
		t.Errorf("the %d entries that the new log cites are not the first of those %d that were signed", cited.Size, len(signed))
	}
	for part, n := range w.accounts() {
		if n <= given[part]+10 {
			t.Errorf("partition %d goes on with account %d, and had given %d", part, n, given[part])
		}
	}
}

// A copy of the next log whose first entry was changed leaves nothing behind: a log is begun once.
func TestFollowForged(t *testing.T) {
	w, copied := newWorld(t, storetest.SQLite(t)), t.TempDir()
	w.judge(10)
	w.seal()
	putBack := w.backup()
	w.follow("example.org/log2")
	w.judge(10)
	w.seal()
	w.mirror(copied)
	putBack()
	forger := &liar{w.copyOf(copied), func(text []byte) []byte {
		return bytes.Replace(text, []byte(`"key":"example`), []byte(`"key":"xample`), 1)
	}}
	if _, err := w.restore(forger); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("a changed copy: %v", err)
	}
	if r, err := w.restore(w.copyOf(copied)); err != nil || r.Batches != 10 {
		t.Errorf("the copy itself: %+v, %v", r, err)
	}
}
