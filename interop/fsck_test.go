package interop_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

// TestFsck has Tessera's fsck mirror and check the log of a real server, over HTTP: checkpoint, entry bundles, tiles.
// Then something is changed behind the server's back, and fsck must say so.
func TestFsck(t *testing.T) {
	s := startServer(t)
	const batches = 700 // more than two tiles of hashes, so that there is a second level
	s.report(t, batches)
	size := s.waitFor(t, batches)
	if err := s.fsck(t); err != nil {
		t.Fatalf("fsck of our log of %d entries: %v", size, err)
	}
	s.damage = func(path string, body []byte) []byte {
		if strings.HasPrefix(path, "/log/tile/entries/001") {
			body[200] ^= 1
		}
		return body
	}
	if err := s.fsck(t); err == nil {
		t.Error("fsck took a log with another entry")
	}
}

// A server is a tanpu process with a database of its own.
type server struct {
	binary, db, base string
	key              string // of an operator
	vkey             string // of the log
	damage           func(path string, body []byte) []byte
}

func startServer(t *testing.T) *server {
	t.Helper()
	s := newServer(t)
	s.start(t)
	return s
}

// newServer makes its database.
func newServer(t *testing.T) *server {
	t.Helper()
	dir := t.TempDir()
	s := &server{binary: filepath.Join(dir, "tanpu"), db: "sqlite:" + filepath.Join(dir, "t.db")}
	build := exec.Command("go", "build", "-o", s.binary, "./cmd/tanpu")
	build.Dir = ".."
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s.run(t, "init", "--db", s.db, "--origin", "tanpu.example/log", "--library", "../library/programmes/demo-city.programme.yaml")
	s.key = strings.TrimSpace(s.run(t, "key", "--db", s.db, "--operator"))
	s.vkey = strings.Split(s.run(t, "log", "show", "--db", s.db), "\n")[1]
	return s
}

func (s *server) start(t *testing.T, flags ...string) {
	t.Helper()
	serve := exec.Command(s.binary, append([]string{"serve", "--db", s.db, "--listen", "127.0.0.1:0"}, flags...)...)
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
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var entry struct{ Msg, At string }
		if json.Unmarshal(lines.Bytes(), &entry); entry.Msg == "answering" {
			s.base = "http://" + entry.At
			break
		}
		t.Log(lines.Text())
	}
	if s.base == "" {
		t.Fatal("the server does not answer")
	}
	go io.Copy(io.Discard, out)
}

func (s *server) run(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(s.binary, args...).Output()
	if err != nil {
		t.Fatalf("tanpu %v: %v", args, err)
	}
	return string(out)
}

func (s *server) post(t *testing.T, path, kind, body string) []byte {
	t.Helper()
	r, err := http.NewRequest("POST", s.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.key)
	r.Header.Set("Content-Type", kind)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode >= 300 {
		t.Fatalf("%s: %d %s", path, resp.StatusCode, text)
	}
	return text
}

// report has n claims judged, each in a batch of its own.
func (s *server) report(t *testing.T, n int) {
	t.Helper()
	var link struct{ Sub string }
	text := s.post(t, "/v1/links", "application/json", `{"programme":"demo-city","partner":"valleybike","purposes":["credit"],"since":"2026-01-01T00:00:00Z"}`)
	if err := json.Unmarshal(text, &link); err != nil {
		t.Fatal(err)
	}
	start := time.Now().Add(-24 * time.Hour).UTC()
	for i := range n {
		at := start.Add(time.Duration(i) * time.Minute)
		s.post(t, "/v1/claims", "application/cloudevents+json", fmt.Sprintf(`{"specversion":"1.0","type":"tanpu.claim.v1","source":"valleybike","id":"%d","subject":%q,
			"data":{"scenario":"shared-bike","start":%q,"end":%q,"quantities":{"distance":"200 m"},"evidence":"system"}}`,
			i, link.Sub, at.Format(time.RFC3339), at.Add(time.Minute).Format(time.RFC3339)))
	}
}

// waitFor waits until the published log has more than so many entries, and returns how many.
func (s *server) waitFor(t *testing.T, n int) int {
	t.Helper()
	for range 100 {
		resp, err := http.Get(s.base + "/log/checkpoint")
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		var size int
		if lines := bytes.Split(text, []byte("\n")); len(lines) > 1 {
			fmt.Sscan(string(lines[1]), &size)
		}
		if size > n {
			return size
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("the log has not grown beyond %d entries", n)
	return 0
}

// RoundTrip lets a test change what comes back.
func (s *server) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || s.damage == nil {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(s.damage(r.URL.Path, body)))
	return resp, err
}

func (s *server) fsck(t *testing.T) error {
	t.Helper()
	root, err := url.Parse(s.base + "/log/")
	if err != nil {
		t.Fatal(err)
	}
	fetcher, err := client.NewHTTPFetcher(root, &http.Client{Transport: s})
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := note.NewVerifier(s.vkey)
	if err != nil {
		t.Fatal(err)
	}
	hashes := func(bundle []byte) ([][]byte, error) {
		var b api.EntryBundle
		if err := b.UnmarshalText(bundle); err != nil {
			return nil, err
		}
		var list [][]byte
		for _, e := range b.Entries {
			list = append(list, rfc6962.DefaultHasher.HashLeaf(e))
		}
		return list, nil
	}
	return fsck.New("tanpu.example/log", verifier, fetcher, hashes, fsck.Opts{N: 2}).Check(t.Context())
}
