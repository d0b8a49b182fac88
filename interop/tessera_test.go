// Package interop_test tries Tanpu's transparency against what others wrote to the same standards: our witness with their log,
// their proofs and cosignatures with our checks, our log with their fsck, client and witness. It is a module of its own, so
// that nobody who imports Tanpu inherits what it needs.
package interop_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	theirs "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/witness"
)

const origin = "tessera.example/log"

// A tesseraLog is the key of a log that Tessera writes, and who watches it.
type tesseraLog struct {
	signer   note.Signer
	verifier note.Verifier
	vkey     string
	policy   string // of witnesses, as Sigsum writes it; none when empty
}

func newLog(t *testing.T) *tesseraLog {
	t.Helper()
	skey, vkey, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return &tesseraLog{signer: signer, verifier: verifier, vkey: vkey}
}

// watchedBy has a witness of ours watch the log, over HTTP, and makes its signature a condition of publishing.
func (l *tesseraLog) watchedBy(t *testing.T, name string) note.Verifier {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "witness")
	vkey, err := witness.Create(dir, name, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w, err := witness.Open(witness.Config{Dir: dir, Logs: []witness.Log{{Origin: origin, Keys: []string{l.vkey}}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	server := httptest.NewServer(w.Handler())
	t.Cleanup(server.Close)
	l.policy = fmt.Sprintf("witness w1 %s %s\nquorum w1\n", vkey, server.URL)
	verifier, err := proof.NewCosignatureVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	return verifier
}

// A running is Tessera at work in a folder.
type running struct {
	t        *testing.T
	appender *tessera.Appender
	reader   tessera.LogReader
	await    *tessera.PublicationAwaiter
	end      func()
}

// run starts Tessera in a folder; end stops it.
func (l *tesseraLog) run(t *testing.T, folder string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	driver, err := posix.New(ctx, posix.Config{Path: folder})
	if err != nil {
		t.Fatal(err)
	}
	options := tessera.NewAppendOptions().WithCheckpointSigner(l.signer).
		WithBatching(1, 50*time.Millisecond).WithCheckpointInterval(100 * time.Millisecond)
	if l.policy != "" {
		group, err := tessera.NewWitnessGroupFromPolicy([]byte(l.policy))
		if err != nil {
			t.Fatal(err)
		}
		options.WithWitnesses(group, nil)
	}
	appender, _, reader, err := tessera.NewAppender(ctx, driver, options)
	if err != nil {
		t.Fatal(err)
	}
	r := &running{t: t, appender: appender, reader: reader, end: cancel}
	r.await = tessera.NewPublicationAwaiter(ctx, reader.ReadCheckpoint, 20*time.Millisecond)
	t.Cleanup(cancel)
	return r
}

// add appends an entry and gives the checkpoint that has it, or an error if none is published in time.
func (r *running) add(entry string, patience time.Duration) (checkpoint []byte, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	_, checkpoint, err = r.await.Await(ctx, r.appender.Add(ctx, tessera.NewEntry([]byte(entry))))
	return checkpoint, err
}

// mustAdd appends entries one by one and gives the last checkpoint.
func (r *running) mustAdd(entries ...string) (checkpoint []byte) {
	r.t.Helper()
	for _, entry := range entries {
		var err error
		if checkpoint, err = r.add(entry, 10*time.Second); err != nil {
			r.t.Fatalf("adding %s: %v", entry, err)
		}
	}
	return checkpoint
}

// Tessera publishes what our witness cosigned, and both keys open it: in its first life and in the next.
func TestTesseraIsWitnessed(t *testing.T) {
	l := newLog(t)
	watcher := l.watchedBy(t, "witness.example/w1")
	folder := t.TempDir()
	for life, entries := range [][]string{{"a", "b", "c"}, {"d", "e"}} {
		running := l.run(t, folder)
		checkpoint := running.mustAdd(entries...)
		running.end()
		head, _, err := proof.OpenCheckpoint(checkpoint, origin, l.verifier)
		if err != nil {
			t.Fatal(err)
		}
		if want := int64(3 + 2*life); head.Size != want {
			t.Errorf("the checkpoint has %d leaves, want %d", head.Size, want)
		}
		if both, err := note.Open(checkpoint, note.VerifierList(l.verifier, watcher)); err != nil || len(both.Sigs) != 2 {
			t.Errorf("the checkpoint lacks a signature: %v\n%s", err, checkpoint)
		}
	}
}

// A witness that comes later than the log answers 409 with its size, and Tessera asks again from there.
func TestWitnessComesLater(t *testing.T) {
	l := newLog(t)
	folder := t.TempDir()
	alone := l.run(t, folder)
	alone.mustAdd("a", "b", "c")
	alone.end()
	watcher := l.watchedBy(t, "witness.example/w1")
	checkpoint := l.run(t, folder).mustAdd("d")
	if both, err := note.Open(checkpoint, note.VerifierList(l.verifier, watcher)); err != nil || len(both.Sigs) != 2 {
		t.Errorf("the checkpoint lacks a signature: %v\n%s", err, checkpoint)
	}
}

// A log that went back to a copy of itself, and on from there, publishes nothing more.
func TestRewoundTessera(t *testing.T) {
	l := newLog(t)
	l.watchedBy(t, "witness.example/w1")
	folder, older := t.TempDir(), t.TempDir()
	first := l.run(t, folder)
	published := first.mustAdd("a", "b")
	first.end()
	if err := os.CopyFS(older, os.DirFS(folder)); err != nil {
		t.Fatal(err)
	}
	second := l.run(t, folder)
	second.mustAdd("c", "d")
	second.end()

	rewound := l.run(t, older)
	for _, entry := range []string{"another c", "another d", "another e"} { // fewer leaves than the witness saw, as many, more
		if checkpoint, err := rewound.add(entry, time.Second); err == nil {
			t.Errorf("another history was published:\n%s", checkpoint)
		}
	}
	now, err := rewound.reader.ReadCheckpoint(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	before, _, err := proof.OpenCheckpoint(published, origin, l.verifier)
	if err != nil {
		t.Fatal(err)
	}
	after, _, err := proof.OpenCheckpoint(now, origin, l.verifier)
	if err != nil || after.Size != before.Size || after.Root != before.Root {
		t.Errorf("the log shows %v, %v; want what was published before, %v", after, err, before)
	}
}

// Proofs that Tessera builds from its tiles are those that we check.
func TestTesseraProofs(t *testing.T) {
	ctx := context.Background()
	l := newLog(t)
	running := l.run(t, t.TempDir())
	heads := map[int64]proof.Checkpoint{}
	var last proof.Checkpoint
	for i := range 8 {
		head, _, err := proof.OpenCheckpoint(running.mustAdd(fmt.Sprint("entry ", i)), origin, l.verifier)
		if err != nil {
			t.Fatal(err)
		}
		heads[head.Size], last = head, head
	}
	builder, err := client.NewProofBuilder(ctx, uint64(last.Size), running.reader.ReadTile)
	if err != nil {
		t.Fatal(err)
	}
	for size, head := range heads {
		path, err := builder.ConsistencyProof(ctx, uint64(size), uint64(last.Size))
		if err != nil {
			t.Fatal(err)
		}
		if err := proof.CheckExtends(hashes(path), head, last); err != nil {
			t.Errorf("from %d: %v", size, err)
		}
	}
	for i := range last.Size {
		path, err := builder.InclusionProof(ctx, uint64(i))
		if err != nil {
			t.Fatal(err)
		}
		leaf := tlog.RecordHash(fmt.Append(nil, "entry ", i))
		if err := proof.CheckInclusion(hashes(path), last.Size, i, last.Root, leaf); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
}

func hashes(path [][]byte) (list []tlog.Hash) {
	for _, hash := range path {
		list = append(list, tlog.Hash(hash))
	}
	return list
}

// Their cosignatures open with our verifier, and ours with theirs, and both say the same time.
func TestCosignatures(t *testing.T) {
	text := proof.Checkpoint{Origin: origin, Size: 7, Root: tlog.Hash{1}}.Text()

	skey, vkey, err := note.GenerateKey(rand.Reader, "witness.example/theirs")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := theirs.NewSignerForCosignatureV1(skey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if vkey, err = theirs.VKeyToCosignatureV1(vkey); err != nil {
		t.Fatal(err)
	}
	ourVerifier, err := proof.NewCosignatureVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	sameTime(t, signed, ourVerifier)

	skey, vkey, err = proof.GenerateWitnessKey(rand.Reader, "witness.example/ours")
	if err != nil {
		t.Fatal(err)
	}
	cosigner, err := proof.NewCosigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	line, err := cosigner.Cosign(text, time.Now().Unix())
	if err != nil {
		t.Fatal(err)
	}
	theirVerifier, err := theirs.NewVerifierForCosignatureV1(vkey)
	if err != nil {
		t.Fatal(err)
	}
	sameTime(t, []byte(text+"\n"+line), theirVerifier)
}

func sameTime(t *testing.T, signed []byte, verifier note.Verifier) {
	t.Helper()
	opened, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := proof.CosignatureTime(opened.Sigs[0])
	if err != nil {
		t.Fatal(err)
	}
	their, err := theirs.CoSigV1Timestamp(opened.Sigs[0])
	if err != nil || their.Unix() != ours {
		t.Errorf("signed at %d by us, at %v by them: %v", ours, their, err)
	}
}
