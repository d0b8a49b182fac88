package witness

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
)

// post sends a body to the witness and gives back what an HTTP client would see.
func post(w *Witness, body []byte) *httptest.ResponseRecorder {
	answer := httptest.NewRecorder()
	w.Handler().ServeHTTP(answer, httptest.NewRequest("POST", "/add-checkpoint", strings.NewReader(string(body))))
	return answer
}

func TestAdd(t *testing.T) {
	l := newLog(t, "log.example", 20)
	w := open(t, newFolder(t), l)
	for _, step := range [][2]int64{{0, 0}, {0, 3}, {3, 3}, {3, 4}, {4, 16}, {16, 16}, {16, 20}} {
		mustSign(t, w, l.request(step[0], step[1]))
	}
	w = reopen(t, w, l)
	mustSign(t, w, l.request(20, 20))
}

// A log can be watched long after another one, and each has a head of its own.
func TestTwoLogs(t *testing.T) {
	a, b := newLog(t, "a.example", 9), newLog(t, "b.example", 9)
	w := open(t, newFolder(t), a)
	mustSign(t, w, a.request(0, 5))
	w = reopen(t, w, b)
	mustSign(t, w, b.request(0, 7))
	w = reopen(t, w, a, b)
	mustSign(t, w, a.request(5, 9))
	mustSign(t, w, b.request(7, 9))
}

// A log can change its key when the witness knows both.
func TestNextKey(t *testing.T) {
	l := newLog(t, "log.example", 9)
	next := newLog(t, "log.example", 9)
	w, err := Open(Config{Dir: newFolder(t), Logs: []Log{{l.origin, []string{l.vkey, next.vkey}}}})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	for _, r := range []Request{l.request(0, 5), next.request(5, 7), l.request(7, 9)} {
		if _, err := w.Add(r); err != nil {
			t.Error(err)
		}
	}
}

// Whatever a log tries after a head of five leaves, it gets the answer that tlog-witness has for it and no signature, and the
// truth is signed afterwards as if nothing had been.
func TestLyingLog(t *testing.T) {
	l, other, stranger := newLog(t, "log.example", 12), newLog(t, "other.example", 12), newLog(t, "log.example", 12)
	fork := l.fork(3, 9)
	changed := func(r Request, change func(*Request)) Request { change(&r); return r }
	renamed := func(by *testLog, origin string) []byte {
		c := by.head(8)
		c.Origin = origin
		return by.sign(c)
	}
	text := func(r Request) string { return string(r.Checkpoint) }
	for _, tt := range []struct {
		name   string
		r      Request
		status int
		body   string // of the answer, where tlog-witness says it
	}{
		{"a fork of the same size", fork.request(5, 5), 409, ""},
		{"a fork of the same size, with a path", changed(fork.request(5, 5), func(r *Request) { r.Proof = l.path(5, 8) }), 409, ""},
		{"a longer fork", fork.request(5, 8), 422, ""},
		{"a longer fork, from before it", fork.request(3, 8), 409, "5\n"},
		{"a fork from nothing", fork.request(0, 8), 409, "5\n"},
		{"rewound", changed(l.request(3, 4), func(r *Request) { r.Old = 5 }), 400, ""},
		{"rewound, from before", l.request(3, 4), 409, "5\n"},
		{"rewound to nothing", l.request(0, 0), 409, "5\n"},
		{"from a head that we never saw", l.request(6, 8), 409, "5\n"},
		{"from beyond the head", changed(l.request(5, 8), func(r *Request) { r.Old = 9 }), 400, ""},
		{"no path", changed(l.request(5, 8), func(r *Request) { r.Proof = nil }), 422, ""},
		{"a path cut off", changed(l.request(5, 8), func(r *Request) { r.Proof = r.Proof[1:] }), 422, ""},
		{"a path too long", changed(l.request(5, 8), func(r *Request) { r.Proof = append(r.Proof, tlog.Hash{}) }), 422, ""},
		{"another path", changed(l.request(5, 8), func(r *Request) { r.Proof[0][0] ^= 1 }), 422, ""},
		{"a path to the same", changed(l.request(5, 5), func(r *Request) { r.Proof = l.path(5, 8) }), 422, ""},
		{"a wrong key", stranger.request(5, 8), 403, ""},
		{"another log's key", changed(l.request(5, 8), func(r *Request) { r.Checkpoint = renamed(other, l.origin) }), 403, ""},
		{"another log's name", changed(l.request(5, 8), func(r *Request) { r.Checkpoint = renamed(l, other.origin) }), 403, ""},
		{"a log that we do not know", changed(l.request(5, 8), func(r *Request) { r.Checkpoint = renamed(l, "new.example") }), 404, ""},
		{"changed after signing", changed(l.request(5, 8), func(r *Request) {
			r.Checkpoint = []byte(strings.Replace(text(*r), "\n8\n", "\n9\n", 1))
		}), 403, ""},
		{"not signed", changed(l.request(5, 8), func(r *Request) { r.Checkpoint = []byte(l.head(8).Text() + "\n") }), 400, ""},
		{"signed, but no head", changed(l.request(5, 8), func(r *Request) {
			r.Checkpoint = l.sign(proof.Checkpoint{Origin: l.origin, Size: -8})
		}), 400, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := open(t, newFolder(t), l, other)
			mustSign(t, w, l.request(0, 5))
			for range 2 { // a lie is not truer the second time, nor after a new start
				answer := post(w, tt.r.Text())
				if answer.Code != tt.status || tt.body != "" && answer.Body.String() != tt.body {
					t.Errorf("%d %q, want %d %q", answer.Code, answer.Body, tt.status, tt.body)
				}
				if isSize := answer.Header().Get("Content-Type") == sizeType; isSize != (tt.body != "") {
					t.Errorf("the answer is of type %s", answer.Header().Get("Content-Type"))
				}
				if strings.Contains(answer.Body.String(), "—") {
					t.Errorf("it was signed: %s", answer.Body)
				}
				w = reopen(t, w, l, other)
			}
			mustSign(t, w, l.request(5, 8))
		})
	}
}

// Before the first head there is nothing to contradict but the empty tree.
func TestLyingFromTheBeginning(t *testing.T) {
	l := newLog(t, "log.example", 8)
	lie := proof.Checkpoint{Origin: l.origin, Root: tlog.Hash{1}}
	for name, tt := range map[string]struct {
		r      Request
		status int
	}{
		"a path from nothing":      {Request{0, l.path(5, 8), l.sign(l.head(8))}, 422},
		"an empty tree that isn't": {Request{0, nil, l.sign(lie)}, 409},
		"leaves without a root":    {Request{0, nil, l.sign(proof.Checkpoint{Origin: l.origin, Size: 3, Root: proof.EmptyRoot})}, 422},
		"a head that nobody saw":   {l.request(5, 8), 409},
	} {
		w := open(t, newFolder(t), l)
		if answer := post(w, tt.r.Text()); answer.Code != tt.status {
			t.Errorf("%s: %d %q, want %d", name, answer.Code, answer.Body, tt.status)
		}
		mustSign(t, w, l.request(0, 8))
	}
}

// What does not read as a request is refused before anything is looked at.
func TestHostileBodies(t *testing.T) {
	l := newLog(t, "log.example", 8)
	w := open(t, newFolder(t), l)
	checkpoint := string(l.sign(l.head(8)))
	hash := tlog.Hash{}.String() + "\n"
	for name, tt := range map[string]struct {
		body   string
		status int
	}{
		"nothing":                {"", 400},
		"no checkpoint":          {"old 0\n\n", 404}, // of a log without a name
		"no empty line":          {"old 0\n" + hash, 400},
		"no old size":            {"\n" + checkpoint, 400},
		"another word":           {"new 0\n\n" + checkpoint, 400},
		"two spaces":             {"old  0\n\n" + checkpoint, 400},
		"a leading zero":         {"old 00\n\n" + checkpoint, 400},
		"a sign":                 {"old -1\n\n" + checkpoint, 400},
		"beyond int64":           {"old 9223372036854775808\n\n" + checkpoint, 400},
		"beyond what we believe": {"old 4611686018427387905\n\n" + checkpoint, 400},
		"carriage returns":       {"old 0\r\n\r\n" + checkpoint, 400},
		"a short hash":           {"old 0\nAAAA\n\n" + checkpoint, 400},
		"no base64":              {"old 0\n" + strings.Repeat("?", 44) + "\n\n" + checkpoint, 400},
		"63 lines":               {"old 0\n" + strings.Repeat(hash, 63) + "\n" + checkpoint, 422},
		"64 lines":               {"old 0\n" + strings.Repeat(hash, 64) + "\n" + checkpoint, 400},
		"too large":              {"old 0\n\n" + checkpoint + strings.Repeat("— x AAAAAAAA\n", 30_000), 413},
		"101 signatures":         {"old 0\n\n" + checkpoint + strings.Repeat("— x AAAAAAAA\n", 101), 400},
		"control characters":     {"old 0\n\n" + strings.Replace(checkpoint, "\n\n", "\nmore\x00\n\n", 1), 400},
		"broken UTF-8":           {"old 0\n\n" + checkpoint + "— \xff AAAAAAAA\n", 400},
		"no newline at the end":  {"old 0\n\n" + strings.TrimSuffix(checkpoint, "\n"), 400},
	} {
		if answer := post(w, []byte(tt.body)); answer.Code != tt.status {
			t.Errorf("%s: %d %q, want %d", name, answer.Code, answer.Body, tt.status)
		}
	}
	mustSign(t, w, l.request(0, 8))

	answer := httptest.NewRecorder()
	w.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/add-checkpoint", nil))
	if answer.Code != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", answer.Code)
	}
	broken := io.MultiReader(strings.NewReader("old 0\n"), brokenReader{})
	answer = httptest.NewRecorder()
	w.Handler().ServeHTTP(answer, httptest.NewRequest("POST", "/add-checkpoint", broken))
	if answer.Code != http.StatusBadRequest {
		t.Errorf("a request that breaks off: %d", answer.Code)
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("the line is dead") }

// A checkpoint with 15 signatures of strangers, as large as those against quantum computers, is signed (signed-note, Format).
func TestManySignatures(t *testing.T) {
	l := newLog(t, "log.example", 8)
	w := open(t, newFolder(t), l)
	r := l.request(0, 8)
	for i := range 15 {
		r.Checkpoint = fmt.Appendf(r.Checkpoint, "— stranger.example/%d %s\n", i, strings.Repeat("AAAA", 1600))
	}
	if answer := post(w, r.Text()); answer.Code != 200 {
		t.Errorf("%d %q", answer.Code, answer.Body)
	}
}

// What strangers add to a log's checkpoint does not fill the journal, though the log's own signature is kept there as evidence.
func TestJournalOfStrangers(t *testing.T) {
	l := newLog(t, "log.example", 8)
	var journal strings.Builder
	w, err := Open(Config{Dir: newFolder(t), Logs: []Log{{l.origin, []string{l.vkey}}}, Now: func() time.Time { return now }, Journal: slog.New(slog.NewTextHandler(&journal, nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	mustSign(t, w, l.request(0, 4))
	r := l.request(4, 8)
	_, signature, _ := strings.Cut(string(r.Checkpoint), "\n\n")
	r.Checkpoint = fmt.Appendf(r.Checkpoint, "— stranger.example %s\n", strings.Repeat("AAAA", 1600))
	r.Proof = nil
	if answer := post(w, r.Text()); answer.Code != 422 {
		t.Errorf("%d %q", answer.Code, answer.Body)
	}
	if text := journal.String(); strings.Contains(text, "stranger") || !strings.Contains(text, strings.TrimSpace(signature)) {
		t.Errorf("the journal has %d bytes, and not the log's signature alone", len(text))
	}
}

// Many submit at once, some of them another history. What is signed is one history, in order, and never twice another thing.
func TestConcurrentSubmissions(t *testing.T) {
	const most = 40
	l := newLog(t, "log.example", most)
	fork := l.fork(1, most-1)
	w := open(t, newFolder(t), l)
	var (
		wg     sync.WaitGroup
		mu     sync.Mutex
		signed = map[int64]string{} // the root signed at each size
	)
	submit := func(by *testLog, old, size int64) int64 {
		_, err := w.Add(by.request(old, size))
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			root := by.head(size).Root.String()
			if before, ok := signed[size]; ok && before != root {
				t.Errorf("two heads of size %d are signed", size)
			}
			signed[size] = root
			return size
		}
		if other := new(SizeError); errors.As(err, &other) {
			return other.Size
		}
		if kind := fault.KindOf(err); kind != fault.Unfit && kind != fault.Conflict && kind != fault.Invalid {
			t.Error(err)
		}
		return old
	}
	for worker := range 8 {
		by := l
		if worker%2 == 1 {
			by = fork
		}
		wg.Go(func() {
			known := int64(0)
			for size := int64(worker%4 + 2); size <= most; size += 2 {
				for range 3 {
					if known <= size {
						known = submit(by, known, size)
					}
				}
			}
		})
	}
	wg.Wait()
	oneHistory(t, signed, l, fork)
}

// oneHistory makes sure that all that was signed is of one of the two logs.
func oneHistory(t *testing.T, signed map[int64]string, logs ...*testLog) {
	t.Helper()
	if len(signed) < 2 {
		t.Errorf("only %d heads were signed", len(signed))
	}
	of := make([]int, len(logs))
	for size, root := range signed {
		for i, l := range logs {
			if l.head(size).Root.String() == root {
				of[i]++
			}
		}
	}
	if of[0] != len(signed) && of[1] != len(signed) {
		t.Errorf("of %d heads signed %d are of one history and %d of the other", len(signed), of[0], of[1])
	}
}

func TestConfig(t *testing.T) {
	l := newLog(t, "log.example", 0)
	dir := newFolder(t)
	witnessKey := open(t, dir, l).VerifierKey()
	for name, logs := range map[string][]Log{
		"no log":             nil,
		"no key":             {{Origin: "log.example"}},
		"no origin":          {{Keys: []string{l.vkey}}},
		"two lines":          {{"log\nexample", []string{l.vkey}}},
		"a log twice":        {{"log.example", []string{l.vkey}}, {"log.example", []string{l.vkey}}},
		"a key twice":        {{"log.example", []string{l.vkey, l.vkey}}},
		"a broken key":       {{"log.example", []string{l.vkey[:20]}}},
		"the witness's own":  {{"log.example", []string{witnessKey}}},
		"the folder is used": {{"log.example", []string{l.vkey}}},
	} {
		w, err := Open(Config{Dir: dir, Logs: logs})
		if err == nil {
			w.Close()
			t.Errorf("%s: a witness opened", name)
		}
	}
}

// The line is a signature line of signed-note, also to the library.
func TestAnswerIsOpened(t *testing.T) {
	l := newLog(t, "log.example", 8)
	w := open(t, newFolder(t), l)
	r := l.request(0, 8)
	answer := post(w, r.Text())
	verifier, err := proof.NewCosignatureVerifier(w.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	log, err := note.NewVerifier(l.vkey)
	if err != nil {
		t.Fatal(err)
	}
	both, err := note.Open(append(r.Checkpoint, answer.Body.Bytes()...), note.VerifierList(log, verifier))
	if err != nil || len(both.Sigs) != 2 {
		t.Errorf("%v, want two signatures: %v", both, err)
	}
}

func FuzzParseRequest(f *testing.F) {
	f.Add([]byte("old 20852014\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\nexample.com/behind-the-sofa\n20852163\n"))
	f.Add([]byte("old 0\n\ncheckpoint"))
	f.Add([]byte("old 0\n\n\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if r, err := ParseRequest(text); err == nil && string(r.Text()) != string(text) {
			t.Errorf("ParseRequest(%q) prints as %q", text, r.Text())
		}
	})
}
