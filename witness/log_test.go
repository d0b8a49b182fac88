package witness

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
)

// A testLog is a log in memory. Its owner can make another history for it.
type testLog struct {
	t      testing.TB
	origin string
	vkey   string
	signer note.Signer
	size   int64
	hashes []tlog.Hash // as package tlog stores them
}

func newLog(t testing.TB, origin string, size int64) *testLog {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	l := &testLog{t: t, origin: origin, vkey: vkey, signer: signer}
	l.grow(size, "leaf")
	return l
}

// fork is a log of the same name and key that has the first leaves in common with l, and so many others after them.
func (l *testLog) fork(common, more int64) *testLog {
	other := &testLog{t: l.t, origin: l.origin, vkey: l.vkey, signer: l.signer}
	other.grow(common, "leaf")
	other.grow(more, "another leaf")
	return other
}

func (l *testLog) grow(by int64, leaf string) {
	for range by {
		more, err := tlog.StoredHashes(l.size, fmt.Appendf(nil, "%s %d", leaf, l.size), l)
		if err != nil {
			l.t.Fatal(err)
		}
		l.hashes = append(l.hashes, more...)
		l.size++
	}
}

// ReadHashes lets package tlog read what is stored.
func (l *testLog) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var list []tlog.Hash
	for _, i := range indexes {
		list = append(list, l.hashes[i])
	}
	return list, nil
}

func (l *testLog) head(size int64) proof.Checkpoint {
	root, err := tlog.TreeHash(size, l)
	if err != nil {
		l.t.Fatal(err)
	}
	return proof.Checkpoint{Origin: l.origin, Size: size, Root: root}
}

func (l *testLog) sign(c proof.Checkpoint) []byte {
	msg, err := note.Sign(&note.Note{Text: c.Text()}, l.signer)
	if err != nil {
		l.t.Fatal(err)
	}
	return msg
}

func (l *testLog) path(old, size int64) []tlog.Hash {
	if old == 0 {
		return nil
	}
	path, err := tlog.ProveTree(size, old, l)
	if err != nil {
		l.t.Fatal(err)
	}
	return path
}

// request asks for a signature under the head of that size, which extends the one of the old size.
func (l *testLog) request(old, size int64) Request {
	return Request{Old: old, Proof: l.path(old, size), Checkpoint: l.sign(l.head(size))}
}

// now is when all is signed in these tests.
var now = time.Unix(1_790_000_000, 0)

// newFolder makes a witness's folder.
func newFolder(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "witness")
	if _, err := Create(dir, "witness.example/w1", bytes.NewReader(bytes.Repeat([]byte{9}, ed25519.SeedSize))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// open opens a witness of these logs.
func open(t testing.TB, dir string, logs ...*testLog) *Witness {
	t.Helper()
	config := Config{Dir: dir, Now: func() time.Time { return now }}
	for _, l := range logs {
		config.Logs = append(config.Logs, Log{l.origin, []string{l.vkey}})
	}
	w, err := Open(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	return w
}

// reopen ends a witness and starts it again, as after a crash.
func reopen(t testing.TB, w *Witness, logs ...*testLog) *Witness {
	t.Helper()
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return open(t, w.folder.path, logs...)
}

// mustSign asks for a signature, wants it, and verifies it.
func mustSign(t testing.TB, w *Witness, r Request) {
	t.Helper()
	line, err := w.Add(r)
	if err != nil {
		t.Fatalf("Add from %d: %v", r.Old, err)
	}
	signed, err := note.Open(slices.Concat(r.Checkpoint, []byte(line)), note.VerifierList(w.cosigner.Verifier()))
	if err != nil {
		t.Fatalf("Add from %d: %v", r.Old, err)
	}
	if at, err := proof.CosignatureTime(signed.Sigs[0]); err != nil || at != now.Unix() {
		t.Errorf("signed at %d, %v; want %d", at, err, now.Unix())
	}
}
