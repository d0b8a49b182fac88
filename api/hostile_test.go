package api

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/store/storetest"
)

// The bound that is held here: whatever comes in, a server takes no more memory than its budget in bytes
// (intake.Config.MaxBytes, 64 MiB), 2 KiB for each claim it may hold (intake.Config.MaxClaims, 50,000), and 32 MiB
// for itself. Go's collector may let garbage of the same size stand beside it.
func bound(c intake.Config) uint64 {
	return 2 * (uint64(c.MaxBytes) + 2048*uint64(c.MaxClaims) + 32<<20)
}

var small = intake.Config{MaxBytes: 64 << 20, MaxClaims: 20_000}

func TestHostileBodies(t *testing.T) {
	w := newWorld(t, Config{}, small)
	watch := watchHeap()
	many := func(n int) string {
		start := time.Now().Add(-time.Hour).Format(time.RFC3339)
		event := fmt.Sprintf(`{"specversion":"1.0","type":"tanpu.claim.v1","source":"valleybike","id":"1","subject":"s","data":{"scenario":"x","start":%q,"end":%q}}`, start, start)
		return "[" + strings.Repeat(event+",", n-1) + event + "]"
	}
	swap := func(old, new string) string { return strings.Replace(w.ride("h1", time.Hour), old, new, 1) }
	const cloudEvent, cloudBatch = "application/cloudevents+json", "application/cloudevents-batch+json"
	tests := []struct {
		name, media string
		body        string
		packed      int // members of gzip, each holding the body; 0 for not packed
		status      int
		want        string // part of the answer
	}{
		{"deep arrays", cloudBatch, strings.Repeat("[", 8<<20), 0, 400, "got an array, want an object"},
		{"deep objects", cloudEvent, strings.Repeat(`{"a":`, 1<<20), 0, 400, `"event":0`},
		{"deep data of a foreign type", cloudEvent, `{"specversion":"1.0","id":"1","source":"valleybike","type":"x","data":` + strings.Repeat("[", 1<<20), 0, 400, "exceeded max depth"},
		{"a duplicate key", cloudEvent, swap(`"id":`, `"id":"x","id":`), 0, 400, "duplicate object member name"},
		{"a duplicate key, escaped", cloudEvent, swap(`"start":`, `"end":"x","\u0065nd":`), 0, 422, "/data/end"},
		{"invalid UTF-8", cloudEvent, swap("system", "sys\xfftem"), 0, 400, "invalid UTF-8"},
		{"half a surrogate pair", cloudEvent, swap("system", `\ud800`), 0, 400, "/data/evidence"},
		{"NaN", cloudEvent, swap(`"distance":1`, `"distance":NaN`), 0, 400, "/data/quantities/distance"},
		{"Infinity", cloudEvent, swap(`"distance":1`, `"distance":-Infinity`), 0, 400, "/data/quantities/distance"},
		{"1e400", cloudEvent, swap(`"distance":1`, `"distance":1e400`), 0, 200, `"reason":"bad-quantity"`},
		{"NaN as text", cloudEvent, strings.Replace(swap(`"distance":1`, `"distance":"NaN"`), "h1", "h2", 1), 0, 200, `"reason":"bad-quantity"`},
		{"a number of a megabyte", cloudEvent, strings.Replace(swap(`"distance":1`, `"distance":`+strings.Repeat("7", 1<<20)), "h1", "h3", 1), 0, 200, `"reason":"bad-quantity"`},
		{"an id of 10 kB", cloudEvent, swap("h1", strings.Repeat("h", 10_000)), 0, 422, `"pointer":"/id"`},
		{"a subject of 10 kB", cloudEvent, swap(w.sub, strings.Repeat("s", 10_000)), 0, 422, `"pointer":"/subject"`},
		{"an attribute's name of a megabyte", cloudEvent, swap(`"id"`, `"`+strings.Repeat("x", 1<<20)+`":1,"id"`), 0, 200, `"results"`},
		{"10,000 attributes", cloudEvent, swap(`"id"`, attributes(10_000)+`"id"`), 0, 400, "up to 64 attributes"},
		{"10,000 quantities", cloudEvent, swap(`"distance":1`, strings.TrimSuffix(attributes(10_000), ",")), 0, 422, "up to 16 quantities"},
		{"a NUL in an id", cloudEvent, swap("h1", `h\u0000`), 0, 400, "control character"},
		{"a million empty events", cloudBatch, "[" + strings.Repeat("{},", 999_999) + "{}]", 0, 400, "specversion is missing"},
		{"more claims than a request may have", cloudBatch, many(10_001), 0, 413, "up to 10000 events"},
		{"as many as do not fit", cloudBatch, many(50_000), 0, 413, "up to 8388608 bytes"},
		{"a million claims, packed", cloudBatch, many(10_000), 100, 413, "up to 8388608 bytes"},
		{"a gzip bomb of a gigabyte", cloudBatch, strings.Repeat(" ", 1<<20), 1024, 413, "up to 8388608 bytes"},
		{"gzip in gzip", cloudEvent, string(pack("{}")), 1, 400, "no valid JSON"},
		{"gzip of nothing", cloudEvent, "", 1, 400, "the body is empty"},
	}
	for _, tt := range tests {
		body := []byte(tt.body)
		header := []string{"Content-Type", tt.media}
		if tt.packed > 0 {
			body = bytes.Repeat(pack(tt.body), tt.packed)
			header = append(header, "Content-Encoding", "gzip")
		}
		began := time.Now()
		watch.reset()
		status, answer := post(t, w, header, bytes.NewReader(body), int64(len(body)))
		if status != tt.status || !strings.Contains(answer, tt.want) {
			t.Errorf("%s: got %d %.500s\nwant %d with %s", tt.name, status, answer, tt.status, tt.want)
		}
		if len(answer) > 2000 {
			t.Errorf("%s: an answer of %d bytes", tt.name, len(answer))
		}
		took := time.Since(began)
		t.Logf("%s: %d in %s", tt.name, status, took.Round(time.Millisecond))
		if took > 20*time.Second {
			t.Errorf("%s: took %s", tt.name, took)
		}
		if peak := watch.peak(); peak > bound(small) {
			t.Errorf("%s: took %d MiB, the bound is %d MiB", tt.name, peak>>20, bound(small)>>20)
		}
		if claims, bytes := w.intake.Load(); claims != 0 || bytes != 0 {
			t.Errorf("%s: %d claims and %d bytes of the budget were not given back", tt.name, claims, bytes)
		}
	}
	if status, answer := post(t, w, []string{"Content-Type", cloudEvent}, strings.NewReader(w.ride("last", time.Hour)), -1); status != 200 {
		t.Errorf("after all that the server answers %d %s", status, answer)
	}
}

func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"x%d":1,`, i)
	}
	return b.String()
}

func pack(text string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	io.WriteString(z, text)
	z.Close()
	return b.Bytes()
}

// A body of 100 MB, or of a million claims, is answered without being taken in, whether it says its length or not.
func TestLargeBody(t *testing.T) {
	w := newWorld(t, Config{}, small)
	event := append(claim.AppendEvent(nil, &rideClaim), '\n')
	for _, size := range []int64{100 << 20, 1_000_000 * int64(len(event))} {
		for _, announced := range []int64{size, -1} {
			watch := watchHeap()
			status, answer := post(t, w, []string{"Content-Type", "application/x-ndjson"}, io.LimitReader(endless(event), size), announced)
			if status != http.StatusRequestEntityTooLarge || !strings.Contains(answer, "up to 8388608 bytes") {
				t.Errorf("%d bytes announced as %d: got %d %s, want 413", size, announced, status, answer)
			}
			if peak := watch.peak(); peak > bound(small) {
				t.Errorf("%d bytes announced as %d: took %d MiB, the bound is %d MiB", size, announced, peak>>20, bound(small)>>20)
			}
		}
	}
}

// endless repeats a text, from its beginning in each read.
type endless []byte

func (e endless) Read(p []byte) (n int, err error) {
	for n < len(p) {
		n += copy(p[n:], e)
	}
	return n, nil
}

// A body that does not come is given up, and what was reserved for it given back.
func TestSlowBody(t *testing.T) {
	w := newWorld(t, Config{BodyTimeout: 300 * time.Millisecond}, small)
	for _, key := range []string{w.partner, "tp_unknown"} {
		conn := dial(t, w)
		fmt.Fprintf(conn, "POST /v1/claims HTTP/1.1\r\nHost: tanpu\r\nAuthorization: Bearer %s\r\nContent-Type: application/x-ndjson\r\nContent-Length: 1000\r\n\r\n{\"spec", key)
		began := time.Now()
		answer, err := io.ReadAll(conn) // until the server closes
		if err != nil {
			t.Fatal(err)
		}
		want := "HTTP/1.1 408 Request Timeout\r\n"
		if key != w.partner {
			want = "HTTP/1.1 401 Unauthorized\r\n"
		}
		if took := time.Since(began); !strings.HasPrefix(string(answer), want) || took > 5*time.Second {
			t.Errorf("after %s got %.300s, want %s", took, answer, want)
		}
		if _, bytes := w.intake.Load(); bytes != 0 {
			t.Errorf("%d bytes of the budget were not given back", bytes)
		}
	}
	conn := dial(t, w)
	io.WriteString(conn, "POST /v1/claims HTTP/1.1\r\nHost: ta")
	if answer, err := io.ReadAll(conn); err != nil || len(answer) > 0 && !strings.HasPrefix(string(answer), "HTTP/1.1 4") {
		t.Errorf("a header that does not come: got %q, %v", answer, err)
	}
}

// More at once than the budget holds: each request is answered or told to come again, and memory stays in its bound.
func TestCrowd(t *testing.T) {
	w := newWorld(t, Config{}, intake.Config{MaxBytes: 24 << 20, MaxClaims: 5_000})
	event := w.ride("crowd", time.Hour)
	body := "[" + strings.Repeat(event+",", 499) + event + "]"
	watch := watchHeap()
	var taken, busy atomic.Int32
	var group sync.WaitGroup
	for range 64 {
		group.Go(func() {
			r := w.request(t, "POST", "/v1/claims", w.partner, body, "Content-Type", "application/cloudevents-batch+json")
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Error(err)
				return
			}
			defer response.Body.Close()
			io.Copy(io.Discard, response.Body)
			switch {
			case response.StatusCode == 200:
				taken.Add(1)
			case response.StatusCode == 429 && response.Header.Get("Retry-After") != "":
				busy.Add(1)
			default:
				t.Errorf("got %s", response.Status)
			}
		})
	}
	group.Wait()
	t.Logf("%d taken, %d told to come again, at most %d MiB", taken.Load(), busy.Load(), watch.peak()>>20)
	if taken.Load() == 0 || busy.Load() == 0 {
		t.Errorf("%d taken, %d told to come again; want some of both", taken.Load(), busy.Load())
	}
	if peak, most := watch.peak(), bound(intake.Config{MaxBytes: 24 << 20, MaxClaims: 5_000}); peak > most {
		t.Errorf("took %d MiB, the bound is %d MiB", peak>>20, most>>20)
	}
	if claims, bytes := w.intake.Load(); claims != 0 || bytes != 0 {
		t.Errorf("%d claims and %d bytes of the budget were not given back", claims, bytes)
	}
}

// What a request takes for each byte of its body is what is reserved for it: the smallest events make the most of it.
func TestMemory(t *testing.T) {
	event := `{"specversion":"1.0","type":"tanpu.claim.v1","source":"p","id":"1","subject":"s","data":{"scenario":"x","start":"2026-08-21T08:15:03Z","end":"2026-08-21T08:15:03Z"}}`
	text := "[" + strings.Repeat(event+",", 19_999) + event + "]"
	for name, parse := range map[string]func(){
		"smallest events": func() { decodeClaims([]byte(text), batch, 20_000) },
		"smallest events, signed": func() {
			claims, _ := decodeClaims([]byte(text), batch, 20_000)
			claim.SaidLeaves(claims, [32]byte{})
		},
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		parse()
		runtime.ReadMemStats(&after)
		each := float64(after.TotalAlloc-before.TotalAlloc) / float64(len(text))
		t.Logf("%s: %.1f bytes allocated for each byte while decoding", name, each)
		if each > bytesPerByte {
			t.Errorf("%s: %.1f bytes allocated for each byte, reserved are %d", name, each, bytesPerByte)
		}
	}
}

// post sends a body that may be refused before all of it was sent, over a connection of its own.
func post(t *testing.T, w *world, header []string, body io.Reader, length int64) (status int, answer string) {
	t.Helper()
	r := w.request(t, "POST", "/v1/claims", w.partner, "", header...)
	r.Body, r.ContentLength, r.GetBody = io.NopCloser(body), length, nil
	r.Close = true
	conn := dial(t, w)
	sent := make(chan error, 1)
	go func() { sent <- r.Write(conn) }()
	response, err := http.ReadResponse(bufio.NewReader(conn), r)
	if err != nil {
		t.Fatalf("%v; sending: %v", err, <-sent)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != 200 && response.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s comes as %s", response.Status, response.Header.Get("Content-Type"))
	}
	conn.Close()
	<-sent
	return response.StatusCode, string(text)
}

func dial(t *testing.T, w *world) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(time.Minute))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// A heap watches how much more the heap holds than at first. (The bodies that tests send are in it too before they begin.)
type heap struct {
	mu    sync.Mutex
	first uint64
	most  uint64
}

func watchHeap() *heap {
	h := new(heap)
	h.reset()
	go func() {
		for range 600 {
			h.look()
			time.Sleep(10 * time.Millisecond)
		}
	}()
	return h
}

func (h *heap) reset() {
	runtime.GC()
	now := inUse()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.first, h.most = now, now
}

func (h *heap) look() {
	now := inUse()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.most = max(h.most, now)
}

func (h *heap) peak() uint64 {
	h.look()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.most - h.first
}

func inUse() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// While the database is not the one whose log was signed, nothing is written to it, and what is asked is answered.
func TestUnfit(t *testing.T) {
	var unfit error
	w := newWorldOn(t, storetest.SQLite(t), Config{Sandbox: true, Unfit: func() error { return unfit }}, intake.Config{})
	for _, tt := range []struct {
		why                  error
		claims, ready, links int
	}{{nil, 200, 200, 204}, {errors.New("an older one took its place"), 503, 503, 503}, {nil, 200, 200, 204}} {
		unfit = tt.why
		claims, _ := w.report(t, w.partner, w.ride("a", time.Hour))
		ready, _ := w.get(t, "/readyz", "")
		links, _ := (&production{world: w}).do(t, w.request(t, "DELETE", "/v1/links/"+w.sub, w.operator, ""))
		if totals, _ := w.get(t, "/v1/totals", w.operator); claims != tt.claims || ready != tt.ready || links != tt.links || totals != 200 {
			t.Errorf("%v: claims %d, ready %d, a link's end %d, totals %d", tt.why, claims, ready, links, totals)
		}
	}
}
