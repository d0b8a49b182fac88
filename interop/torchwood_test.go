package interop_test

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"filippo.io/torchwood"
	theirs "github.com/transparency-dev/formats/note"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"

	"github.com/tanpu/tanpu/rules/record"
)

// TestTorchwood has an independent witness, litewitness, sign the heads of our log, and an independent client read every
// entry under such a head. A client that is handed another entry must refuse it.
func TestTorchwood(t *testing.T) {
	s := newServer(t)
	w := startLitewitness(t, ourOrigin, s.vkey)
	s.start(t, "--witness", w.base+" "+w.vkey)
	const batches = 300 // more than one tile
	s.report(t, batches)
	s.waitFor(t, batches)

	log, err := note.NewVerifier(s.vkey)
	if err != nil {
		t.Fatal(err)
	}
	witness, err := theirs.NewVerifierForCosignatureV1(w.vkey)
	if err != nil {
		t.Fatal(err)
	}
	var head torchwood.Checkpoint
	for until := time.Now().Add(20 * time.Second); head.N <= batches; time.Sleep(100 * time.Millisecond) {
		text := get(t, s.base+"/log/checkpoint")
		n, err := note.Open(text, note.VerifierList(log, witness))
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		if len(n.Sigs) == 2 {
			if head, err = torchwood.ParseCheckpoint(n.Text); err != nil {
				t.Fatal(err)
			}
		}
		if time.Now().After(until) {
			t.Fatalf("the last head is of %d entries, or not cosigned:\n%s", head.N, text)
		}
	}

	read, err := s.entries(t, head.Tree)
	if err != nil || read != head.N {
		t.Fatalf("torchwood read %d of %d entries: %v", read, head.N, err)
	}
	s.damage = func(path string, body []byte) []byte {
		if strings.HasPrefix(path, "/log/tile/entries/001") {
			body[200] ^= 1
		}
		return body
	}
	if _, err := s.entries(t, head.Tree); err == nil {
		t.Error("torchwood took a log with another entry")
	}
}

const ourOrigin = "tanpu.example/log"

// entries has torchwood's client read the log, up to a head, and reads each entry with our rules.
func (s *server) entries(t *testing.T, head tlog.Tree) (n int64, err error) {
	t.Helper()
	fetcher, err := torchwood.NewTileFetcher(s.base+"/log/", torchwood.WithHTTPClient(&http.Client{Transport: s}))
	if err != nil {
		t.Fatal(err)
	}
	client, err := torchwood.NewClient(fetcher)
	if err != nil {
		t.Fatal(err)
	}
	for more := true; more && n < head.N; { // it leaves the partial tile for a second look
		more = false
		for i, entry := range client.Entries(t.Context(), head, n) {
			if _, err := record.Parse(entry); err != nil {
				t.Fatalf("entry %d: %v", i, err)
			}
			n, more = i+1, true
		}
		if client.Err() != nil {
			return n, client.Err()
		}
	}
	return n, nil
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A litewitness is torchwood's witness as a process, with its key in an agent of ours.
type litewitness struct{ vkey, base string }

func startLitewitness(t *testing.T, origin, logKey string) *litewitness {
	t.Helper()
	dir := t.TempDir()
	binary := filepath.Join(dir, "litewitness")
	if out, err := exec.Command("go", "build", "-o", binary, "filippo.io/torchwood/cmd/litewitness").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	listen := freeAddress(t)
	serve := exec.Command(binary, "-name", "litewitness.example", "-db", filepath.Join(dir, "w.db"), "-ssh-agent", "w.sock", "-key", startAgent(t, dir), "-listen", listen)
	serve.Dir = dir
	out, err := serve.StderrPipe()
	if err == nil {
		err = serve.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		serve.Process.Signal(os.Interrupt)
		serve.Wait()
	})
	w := &litewitness{base: "http://" + listen}
	said := make(chan string, 100)
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			said <- lines.Text()
		}
		close(said)
	}()
	for line := range said {
		if _, vkey, ok := strings.Cut(line, "vkey="); ok {
			w.vkey = strings.Trim(vkey, `"`)
			break
		}
	}
	go func() {
		for range said {
		}
	}()
	conn, err := sqlite.OpenConn(filepath.Join(dir, "w.db"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	empty, err := tlog.TreeHash(0, nil)
	if err != nil {
		t.Fatal(err)
	}
	for statement, args := range map[string][]any{
		"INSERT INTO log (origin, tree_size, tree_hash) VALUES (?, 0, ?)": {origin, base64.StdEncoding.EncodeToString(empty[:])},
		"INSERT INTO key (origin, key) VALUES (?, ?)":                     {origin, logKey},
	} {
		if err := sqlitex.Execute(conn, statement, &sqlitex.ExecOptions{Args: args}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// startAgent serves an SSH agent with one key at w.sock in a folder, and names the key.
func startAgent(t *testing.T, dir string) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "w.sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go agent.ServeAgent(keys, c)
		}
	}()
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return ssh.FingerprintSHA256(key)
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
