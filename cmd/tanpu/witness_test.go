package main

import (
	"bufio"
	"context"
	cryptorand "crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/witness"
)

// A history is a tree in memory that a log's owner can show.
type history struct {
	origin string
	vkey   string
	signer note.Signer
	size   int64
	hashes []tlog.Hash
}

func newHistory(t *testing.T, origin string, leaves int) *history {
	t.Helper()
	skey, vkey, err := note.GenerateKey(cryptorand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	h := &history{origin: origin, vkey: vkey, signer: signer}
	h.grow(t, leaves, "leaf")
	return h
}

// fork is another history of the same log, from the first leaf on.
func (h *history) fork(t *testing.T) *history {
	t.Helper()
	other := &history{origin: h.origin, vkey: h.vkey, signer: h.signer}
	other.grow(t, 1, "leaf")
	other.grow(t, int(h.size)-1, "another leaf")
	return other
}

func (h *history) grow(t *testing.T, leaves int, leaf string) {
	t.Helper()
	for range leaves {
		more, err := tlog.StoredHashes(h.size, fmt.Appendf(nil, "%s %d", leaf, h.size), h)
		if err != nil {
			t.Fatal(err)
		}
		h.hashes = append(h.hashes, more...)
		h.size++
	}
}

// ReadHashes lets package tlog read the tree.
func (h *history) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var list []tlog.Hash
	for _, i := range indexes {
		list = append(list, h.hashes[i])
	}
	return list, nil
}

func (h *history) head(t *testing.T, size int64) proof.Checkpoint {
	t.Helper()
	root, err := tlog.TreeHash(size, h)
	if err != nil {
		t.Fatal(err)
	}
	return proof.Checkpoint{Origin: h.origin, Size: size, Root: root}
}

// submit asks the witness for a signature under the head of that size.
func (h *history) submit(t *testing.T, c *witness.Client, old, size int64) error {
	t.Helper()
	signed, err := note.Sign(&note.Note{Text: h.head(t, size).Text()}, h.signer)
	if err != nil {
		t.Fatal(err)
	}
	var path []tlog.Hash
	if old > 0 {
		if path, err = tlog.ProveTree(size, old, h); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, err = c.Add(ctx, old, path, signed)
	return err
}

// serveWitness starts a witness and waits until it answers.
func serveWitness(t *testing.T, dir, vkey string, logs ...*history) (*exec.Cmd, *witness.Client) {
	t.Helper()
	args := []string{"witness", "serve", "--dir", "watch", "--listen", "127.0.0.1:0"}
	for _, l := range logs {
		args = append(args, "--log", l.vkey)
	}
	process := tanpu(dir, args...)
	said, err := process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { process.Process.Kill() })
	lines := bufio.NewScanner(said)
	var entry struct{ Msg, At, Witness string }
	for entry.Msg != "answering" && lines.Scan() {
		json.Unmarshal(lines.Bytes(), &entry)
	}
	if entry.Witness != vkey {
		t.Fatalf("the witness that serves has the key %q, and %q was made", entry.Witness, vkey)
	}
	go func() {
		for lines.Scan() { // so that it can go on saying things
		}
	}()
	client, err := witness.NewClient("http://"+entry.At, vkey)
	if err != nil {
		t.Fatal(err)
	}
	return process, client
}

// initWitness makes a witness in the folder watch and gives its key.
func initWitness(t *testing.T, dir string) (vkey string) {
	t.Helper()
	out, err := tanpu(dir, "witness", "init", "--dir", "watch", "--name", "witness.example/w1").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// A witness signs, ends when it is told to, and remembers. While it serves, nobody else serves its folder.
func TestWitness(t *testing.T) {
	dir := t.TempDir()
	vkey := initWitness(t, dir)
	l, other := newHistory(t, "log.example", 12), newHistory(t, "other.example", 12)
	process, client := serveWitness(t, dir, vkey, l, other)
	for _, err := range []error{l.submit(t, client, 0, 5), other.submit(t, client, 0, 7), l.submit(t, client, 5, 6)} {
		if err != nil {
			t.Error(err)
		}
	}
	second := tanpu(dir, "witness", "serve", "--dir", "watch", "--listen", "127.0.0.1:0", "--log", l.vkey)
	if said, err := second.CombinedOutput(); err == nil || !strings.Contains(string(said), "another process serves the witness in watch") {
		t.Errorf("a second process: %v\n%s", err, said)
	}
	process.Process.Signal(syscall.SIGTERM)
	if err := process.Wait(); err != nil {
		t.Errorf("told to end: %v", err)
	}
	_, client = serveWitness(t, dir, vkey, l, other)
	if err := l.fork(t).submit(t, client, 6, 12); err == nil {
		t.Error("after a new start a fork is signed")
	}
	for _, err := range []error{l.submit(t, client, 6, 12), other.submit(t, client, 7, 12)} {
		if err != nil {
			t.Error(err)
		}
	}
}

// Killed at any time, a witness signs no other history than before. Its log shows the true one and, in between, another.
func TestWitnessKilled(t *testing.T) {
	const most = 2000
	dir := t.TempDir()
	vkey := initWitness(t, dir)
	l := newHistory(t, "log.example", most)
	fork := l.fork(t)
	var known, lost int64 // how far the witness is, and how many of its answers never came
	for range 8 {
		process, client := serveWitness(t, dir, vkey, l)
		timer := time.AfterFunc(50*time.Millisecond+rand.N(250*time.Millisecond), func() { process.Process.Kill() })
		for known < most {
			err := l.submit(t, client, known, known+1)
			var dead *url.Error
			var ahead *witness.SizeError
			switch {
			case errors.As(err, &ahead) && ahead.Size == known+1:
				lost++
			case err != nil && !errors.As(err, &dead):
				t.Fatalf("from %d to %d: %v", known, known+1, err)
			}
			if dead != nil {
				break
			}
			known++
			if known > 1 && fork.submit(t, client, known, known+1) == nil {
				t.Fatalf("another history of size %d is signed", known+1)
			}
		}
		timer.Stop()
		process.Process.Kill()
		process.Wait()
	}
	t.Logf("%d heads signed, %d answers lost", known, lost)
	if known < 10 {
		t.Errorf("only %d heads were signed", known)
	}
}
