package seal_test

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// signedBy tells which of the keys signed the published head.
func (w *world) signedBy(keys ...string) (signed []bool) {
	w.t.Helper()
	l, _, err := w.db.Log(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, k := range keys {
		v, err := note.NewVerifier(k)
		if err != nil {
			w.t.Fatal(err)
		}
		_, _, err = proof.OpenCheckpoint([]byte(l.Checkpoint), "example.org/log", v)
		signed = append(signed, err == nil)
	}
	return signed
}

// A key takes over from another under a sealer that goes on: both sign for a while, and then the new one alone.
func TestRotate(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		first := w.signer().Keys()[0]
		s := w.sealer()
		w.judge(3)
		step(t, s)
		if _, err := seal.Retire(t.Context(), w.db, w.key, now); err == nil || !strings.Contains(err.Error(), "make the next one first") {
			t.Errorf("the only key was retired: %v", err)
		}
		second, err := seal.Rotate(t.Context(), w.db, w.key, now)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := seal.Rotate(t.Context(), w.db, w.key, now); err == nil || !strings.Contains(err.Error(), "two keys sign already: the log names the next one since "+now.UTC().Format(time.DateOnly)+"; once all who check") {
			t.Errorf("a third key was made: %v", err)
		}
		if _, err := seal.Retire(t.Context(), w.db, w.key, now); err == nil || !strings.Contains(err.Error(), "has not signed yet") {
			t.Errorf("a key was retired before the next one had signed: %v", err)
		}
		step(t, s)
		if got := w.signedBy(first, second); !slices.Equal(got, []bool{true, true}) {
			t.Errorf("signed by %v, want both", got)
		}
		old, err := os.ReadFile(w.key)
		if err != nil {
			t.Fatal(err)
		}
		if ended, err := seal.Retire(t.Context(), w.db, w.key, now); err != nil || ended != first {
			t.Fatalf("retired %s, %v", ended, err)
		}
		// Asked again it says so: to tell whoever asks to make the next key first would begin another rotation.
		want := "this has been done already: " + first + " ended on " + now.UTC().Format(time.DateOnly) + ", and one key signs"
		if _, err := seal.Retire(t.Context(), w.db, w.key, now); fault.KindOf(err) != fault.Conflict || err.Error() != want {
			t.Errorf("retired again: %v, want: %s", err, want)
		}
		step(t, s)
		w.judge(1)
		step(t, s)
		if got := w.signedBy(first, second); !slices.Equal(got, []bool{false, true}) {
			t.Errorf("signed by %v, want the second", got)
		}
		l, _, err := w.db.Log(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if keys, err := seal.PublicKeys(t.Context(), w.db, l); err != nil || !slices.Equal(keys, []string{second}) {
			t.Errorf("the log is believed by %v, %v", keys, err)
		}
		// A server that nobody gave the new key signs nothing that nobody would believe.
		if err := os.WriteFile(w.key, []byte(strings.Fields(string(old))[0]+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		w.judge(1)
		if _, err := s.Step(t.Context(), now); err == nil {
			t.Error("a key that had ended signed on")
		}
	})
}

// A file of keys that was changed twice within a tick of its clock has the time and the size that it had, and other keys.
func TestKeysOfTheSameTime(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	s := w.sealer()
	w.judge(1)
	step(t, s)
	info, err := os.Stat(w.key)
	if err != nil {
		t.Fatal(err)
	}
	skey, _, err := note.GenerateKey(nil, "example.org/log")
	if err == nil {
		err = os.WriteFile(w.key, []byte(skey+"\n"), 0o600)
	}
	if err == nil {
		err = os.Chtimes(w.key, time.Time{}, info.ModTime())
	}
	if again, err2 := os.Stat(w.key); err != nil || err2 != nil || again.Size() != info.Size() || !again.ModTime().Equal(info.ModTime()) {
		t.Fatal(err, err2, again)
	}
	w.judge(1)
	for range 3 {
		if _, err = s.Step(t.Context(), now); err != nil {
			break
		}
	}
	if err == nil || !strings.Contains(err.Error(), "no verifiable signatures") {
		t.Errorf("it goes on with the key that it knew: %v", err)
	}
}

// Whoever dies on the way goes on with the same command.
func TestRotateKilled(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	s := w.sealer()
	w.judge(1)
	step(t, s)
	only, err := os.ReadFile(w.key)
	if err != nil {
		t.Fatal(err)
	}
	other, err := seal.CreateKey(w.key+".other", "example.org/log")
	if err != nil {
		t.Fatal(err)
	}
	secret, err := os.ReadFile(w.key + ".other")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.key, append(only, secret...), 0o600); err != nil { // the file is written, and the log does not name it
		t.Fatal(err)
	}
	w.judge(1)
	step(t, s)
	if vkey, err := seal.Rotate(t.Context(), w.db, w.key, now); err != nil || vkey != other {
		t.Fatalf("went on with %s, %v", vkey, err)
	}
	step(t, s)
	if err := os.WriteFile(w.key, secret, 0o600); err != nil { // the first is out of the file, and the log does not say so
		t.Fatal(err)
	}
	if _, err := seal.Retire(t.Context(), w.db, w.key, now); err != nil {
		t.Fatal(err)
	}
	step(t, s)
	if got := w.signedBy(other); !got[0] {
		t.Error("the second key did not sign")
	}
}

// Whoever knows the first key only must be able to learn of the next one from a head that both signed: a head that only the next
// key signed before it was named, or that was signed and never published, is not enough.
func TestRetireUnseen(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t))
	s := w.sealer()
	w.judge(1)
	step(t, s)
	if _, err := seal.CreateKey(w.key+".other", "example.org/log"); err != nil {
		t.Fatal(err)
	}
	both := slices.Concat(read(t, w.key), read(t, w.key+".other"))
	if err := os.WriteFile(w.key, both, 0o600); err != nil { // a rotation died before the log was to name its key
		t.Fatal(err)
	}
	w.judge(1)
	step(t, s)
	if _, err := seal.Rotate(t.Context(), w.db, w.key, now); err != nil {
		t.Fatal(err)
	}
	_, err := w.db.Seal(t.Context(), func(tx *store.Sealing) error { // and a server, before it signed that
		items, _, err := tx.Pending(t.Context(), 10)
		if err != nil {
			return err
		}
		return seal.Append(t.Context(), tx, items, now.UnixMicro())
	})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(when string) {
		t.Helper()
		if _, err := seal.Retire(t.Context(), w.db, w.key, now); err == nil || !strings.Contains(err.Error(), "wait until") {
			t.Errorf("the first key was retired %s: %v", when, err)
		}
		if !bytes.Equal(read(t, w.key), both) {
			t.Errorf("the file with the keys was changed %s", when)
		}
	}
	refused("before a head that names the next one was signed")
	l, _, err := w.db.Log(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	signer := w.signer()
	if _, err := signer.Sign(proof.Checkpoint{Origin: l.Origin, Size: l.Size, Root: tlog.Hash(l.Root)}, signer.Last(), signer.Keys()); err != nil {
		t.Fatal(err)
	}
	refused("before that head was published")
	step(t, s) // learns that another server signed it
	step(t, s)
	if _, err := seal.Retire(t.Context(), w.db, w.key, now); err != nil {
		t.Error(err)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
