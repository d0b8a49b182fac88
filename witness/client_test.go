package witness

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
)

func newClient(t *testing.T, handler http.Handler, vkey string) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	c, err := NewClient(server.URL, vkey)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestClient(t *testing.T) {
	l := newLog(t, "log.example", 12)
	fork := l.fork(3, 9)
	w := open(t, newFolder(t), l)
	c := newClient(t, w.Handler(), w.VerifierKey())
	ctx := context.Background()
	add := func(by *testLog, old, size int64) ([]byte, error) {
		r := by.request(old, size)
		return c.Add(ctx, r.Old, r.Proof, r.Checkpoint)
	}
	cosigned := func(lines []byte, err error) {
		t.Helper()
		if err != nil || strings.Count(string(lines), "\n") != 1 || !strings.HasPrefix(string(lines), "— witness.example/w1 ") {
			t.Errorf("Add = %q, %v; want a signature line", lines, err)
		}
	}
	cosigned(add(l, 0, 5))
	cosigned(add(l, 5, 5))

	_, err := add(l, 0, 8)
	if size := new(SizeError); !errors.As(err, &size) || size.Size != 5 {
		t.Errorf("with another size: %v, want a SizeError of 5", err)
	}
	cosigned(add(l, 5, 8))
	if _, err := add(fork, 8, 8); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a fork: %v, want a Conflict", err)
	}
	if _, err := add(fork, 8, 12); err == nil || !strings.Contains(err.Error(), "422") {
		t.Errorf("a longer fork: %v, want status 422", err)
	}
}

// A checkpoint that carries an earlier signature of the witness gets the new one.
func TestClientAsksAgain(t *testing.T) {
	l := newLog(t, "log.example", 5)
	dir := newFolder(t)
	w := open(t, dir, l)
	c := newClient(t, w.Handler(), w.VerifierKey())
	checkpoint := l.sign(l.head(5))
	first, err := c.Add(context.Background(), 0, nil, checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	w.now = func() time.Time { return now.Add(time.Hour) }
	second, err := c.Add(context.Background(), 5, nil, append(checkpoint, first...))
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Open(append([]byte(l.head(5).Text()+"\n"), second...), note.VerifierList(w.cosigner.Verifier()))
	if err != nil {
		t.Fatal(err)
	}
	if at, err := proof.CosignatureTime(signed.Sigs[0]); err != nil || at != now.Unix()+3600 {
		t.Errorf("the signature is of %d, %v; want an hour after the first", at, err)
	}
}

// A lying witness gets nothing past the client.
func TestLyingWitness(t *testing.T) {
	l := newLog(t, "log.example", 12)
	w := open(t, newFolder(t), l)
	good, checkpoint := w.cosigner, l.sign(l.head(8))
	skey, _, err := proof.GenerateWitnessKey(strings.NewReader(strings.Repeat("x", 32)), good.Name())
	if err != nil {
		t.Fatal(err)
	}
	impostor, err := proof.NewCosigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	line := func(c *proof.Cosigner, size int64) string {
		line, err := c.Cosign(l.head(size).Text(), now.Unix())
		if err != nil {
			t.Fatal(err)
		}
		return line
	}
	say := func(status int, kind, body string) http.HandlerFunc {
		return func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Type", kind)
			rw.WriteHeader(status)
			io.WriteString(rw, body)
		}
	}
	// What a witness may say, and that other lines around its own do no harm.
	c := newClient(t, say(200, "text/plain", line(impostor, 8)+line(good, 8)), good.VerifierKey())
	if got, err := c.Add(context.Background(), 5, nil, checkpoint); err != nil || string(got) != line(good, 8) {
		t.Errorf("Add = %q, %v; want its own line", got, err)
	}
	for name, handler := range map[string]http.HandlerFunc{
		"nothing":                     say(200, "text/plain", ""),
		"another key":                 say(200, "text/plain", line(impostor, 8)),
		"another head":                say(200, "text/plain", line(good, 5)),
		"another head, smuggled in":   say(200, "text/plain", line(good, 8)+"\n"+l.head(5).Text()+"\n"+line(good, 5)),
		"a page":                      say(200, "text/html", "<h1>Welcome</h1>"),
		"without end":                 say(200, "text/plain", strings.Repeat("— x AAAAAAAA\n", 10_000)),
		"no size":                     say(409, sizeType, "many\n"),
		"a size below zero":           say(409, sizeType, "-1\n"),
		"the size that we asked from": say(409, sizeType, "5\n"),
		"an endless size":             say(409, sizeType, strings.Repeat("9", 100_000)),
		"a redirect to a good one": func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/good" {
				http.Redirect(rw, r, "/good", http.StatusTemporaryRedirect)
				return
			}
			io.WriteString(rw, line(good, 8))
		},
		"cut off": func(rw http.ResponseWriter, _ *http.Request) {
			rw.Header().Set("Content-Length", "1000")
			io.WriteString(rw, line(good, 8))
		},
	} {
		c := newClient(t, handler, good.VerifierKey())
		got, err := c.Add(context.Background(), 5, nil, checkpoint)
		if size := new(SizeError); err == nil || errors.As(err, &size) {
			t.Errorf("%s: Add = %q, %v; want an error", name, got, err)
		} else if len(err.Error()) > 1000 {
			t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
		}
	}
}

// A witness that says nothing is waited for as long as the caller's context lasts.
func TestSilentWitness(t *testing.T) {
	l := newLog(t, "log.example", 5)
	w := open(t, newFolder(t), l)
	silence := make(chan struct{})
	c := newClient(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silence }), w.VerifierKey())
	t.Cleanup(func() { close(silence) })
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := c.Add(ctx, 0, nil, l.sign(l.head(5))); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Add: %v, want the deadline", err)
	}
}

func TestNewClient(t *testing.T) {
	l := newLog(t, "log.example", 1)
	vkey := open(t, newFolder(t), l).VerifierKey()
	for _, address := range []string{"http://w.example", "https://w.example/a/", "https://w.example/a"} {
		c, err := NewClient(address, vkey)
		if want := strings.TrimSuffix(address, "/") + "/add-checkpoint"; err != nil || c.address != want {
			t.Errorf("NewClient(%s) asks %v, %v; want %s", address, c, err, want)
		}
	}
	for _, address := range []string{"", "w.example", "ftp://w.example", "http://", "://"} {
		if _, err := NewClient(address, vkey); err == nil {
			t.Errorf("NewClient(%q) works", address)
		}
	}
	if _, err := NewClient("http://w.example", l.vkey); err == nil {
		t.Error("a log's key passes for a witness's")
	}
	if _, err := (&Client{verifier: open(t, newFolder(t), l).cosigner.Verifier()}).verified([]byte("no note"), nil); err == nil {
		t.Error("a checkpoint without signatures can be cosigned")
	}
}
