package api

import (
	"context"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/store"
)

func (w *world) get(t *testing.T, path, key string) (int, string) {
	t.Helper()
	response, err := http.DefaultClient.Do(w.request(t, "GET", path, key, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

func (w *world) report(t *testing.T, key, event string) (int, string) {
	t.Helper()
	response, err := http.DefaultClient.Do(w.request(t, "POST", "/v1/claims", key, event, "Content-Type", "application/cloudevents+json"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(response.Body)
	return response.StatusCode, string(text)
}

// The document describes every route under /v1 and refers to nothing that it does not hold.
func TestOpenAPI(t *testing.T) {
	w := newWorld(t, Config{}, intake.Config{})
	_, text := w.get(t, "/openapi.json", "")
	var document struct {
		OpenAPI    string
		Paths      map[string]map[string]struct{ OperationID string }
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(document.OpenAPI, "3.1.") {
		t.Errorf("openapi is %q, want 3.1", document.OpenAPI)
	}
	for path, method := range map[string]string{
		"/v1/claims": "post", "/v1/corrections": "post", "/v1/rejudgements": "post", "/v1/erasures": "post", "/v1/links": "post", "/v1/links/{sub}": "delete", "/v1/accounts/{id}": "get", "/v1/accounts/{id}/claims": "get", "/v1/claims/{ref}/receipt": "get",
		"/v1/programmes": "get", "/v1/methodologies": "get", "/v1/totals": "get",
	} {
		if document.Paths[path][method].OperationID == "" {
			t.Errorf("%s %s is not described", method, path)
		}
		delete(document.Paths, path)
	}
	if len(document.Paths) > 0 {
		t.Errorf("described but not in the table of this test: %v", document.Paths)
	}
	for _, ref := range regexp.MustCompile(`"#/components/schemas/(\w+)"`).FindAllStringSubmatch(text, -1) {
		if _, ok := document.Components.Schemas[ref[1]]; !ok {
			t.Errorf("the schema %s is referred to but absent", ref[1])
		}
	}
	for _, schema := range []string{"Event", "Act", "Results", "Result", "Problem", "LinkRequest", "Account", "ClaimPage", "CorrectionRequest", "Corrected", "RejudgementRequest", "Rejudged", "ErasureRequest", "Erased"} {
		if _, ok := document.Components.Schemas[schema]; !ok {
			t.Errorf("the schema %s is absent", schema)
		}
	}
}

// The page works without a network: it loads its own style and nothing else, and its links lead somewhere.
func TestDocsPage(t *testing.T) {
	w := newWorld(t, Config{}, intake.Config{})
	_, page := w.get(t, "/docs", "")
	page = html.UnescapeString(page)
	for _, m := range regexp.MustCompile(`(?:src|href|action)="([^"]*)"`).FindAllStringSubmatch(page, -1) {
		id, local := strings.CutPrefix(m[1], "#")
		switch {
		case local && !strings.Contains(page, `id="`+id+`"`):
			t.Errorf("%s leads nowhere", m[1])
		case !local:
			if status, _ := w.get(t, m[1], ""); status != http.StatusOK || !strings.HasPrefix(m[1], "/") {
				t.Errorf("%s: status %d", m[1], status)
			}
		}
	}
	for _, want := range []string{"POST /v1/claims", "Reported before", "已报过", "tanpu.claim.v1", "application/cloudevents-batch+json", "Key of: partner, operator"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "style=") {
		t.Error("the page has script or inline style, which its policy forbids")
	}
}

// A key is rotated without a gap: both work until the old one ends, and from then on it does not.
func TestKeyRotation(t *testing.T) {
	w := newWorld(t, Config{}, intake.Config{})
	fresh := w.key(t, Partner, "valleybike")
	for _, key := range []string{w.partner, fresh} {
		if status, answer := w.report(t, key, w.ride("k1", time.Hour)); status != 200 {
			t.Errorf("before: %d %s", status, answer)
		}
	}
	if n, err := w.db.ExpireKeys(context.Background(), Partner, "valleybike", store.HashKey(fresh), time.Now()); n != 1 || err != nil {
		t.Fatalf("ended %d keys, %v; want 1", n, err)
	}
	if status, _ := w.report(t, w.partner, w.ride("k1", time.Hour)); status != 401 {
		t.Errorf("the old key is still answered with %d", status)
	}
	if status, answer := w.report(t, fresh, w.ride("k1", time.Hour)); status != 200 {
		t.Errorf("the new key is answered with %d %s", status, answer)
	}
}

func TestNewKey(t *testing.T) {
	a, b := NewKey(), NewKey()
	if a == b || !regexp.MustCompile(`^tp_[A-Za-z0-9_-]{43}$`).MatchString(a) {
		t.Errorf("keys %s and %s", a, b)
	}
}

func TestMetricsAndLog(t *testing.T) {
	w := newWorld(t, Config{}, intake.Config{})
	w.report(t, w.partner, w.ride("m1", time.Hour))
	w.report(t, w.partner, w.ride("m2", time.Hour))
	w.get(t, "/v1/accounts/a3-99", w.operator)
	if status, _ := w.get(t, "/metrics", w.operator); status != http.StatusNotFound {
		t.Errorf("the metrics are where the public asks: %d", status)
	}
	answer := httptest.NewRecorder()
	w.metrics.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	text := answer.Body.String()
	for _, want := range []string{
		`tanpu_claims_total{reason="ok"} 1`,
		`tanpu_claims_total{reason="overlap"} 1`,
		`tanpu_request_seconds_count{route="POST /v1/claims",status="200"} 2`,
		`tanpu_request_seconds_count{route="GET /v1/accounts/{id}",status="404"} 1`,
		`tanpu_batch_claims_count 2`,
		`tanpu_intake_claims 0`,
		`tanpu_intake_bytes_limit 6.7108864e+07`,
		`go_goroutines`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	for _, secret := range []string{w.sub, w.partner, "a3-99", "m1"} {
		if strings.Contains(text, secret) {
			t.Errorf("the metrics tell %s", secret)
		}
		if strings.Contains(w.log.String(), "="+secret) || strings.Contains(w.log.String(), "/"+secret) {
			t.Errorf("the log tells %s:\n%s", secret, w.log)
		}
	}
	if !strings.Contains(w.log.String(), `route="POST /v1/claims" status=200`) || !strings.Contains(w.log.String(), "partner=valleybike") {
		t.Errorf("the log does not tell of the requests:\n%s", w.log)
	}
}

// Shutting down: what was taken is answered, and /readyz says meanwhile that no more should come.
func TestShutdown(t *testing.T) {
	w := newWorld(t, Config{}, intake.Config{})
	slow, sent := io.Pipe()
	answer := make(chan int)
	go func() {
		r := w.request(t, "POST", "/v1/claims", w.partner, "", "Content-Type", "application/cloudevents+json")
		r.Body = slow
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Error(err)
			answer <- 0
			return
		}
		answer <- response.StatusCode
	}()
	event := w.ride("s1", time.Hour)
	io.WriteString(sent, event[:20])
	for bytes := int64(0); bytes == 0; _, bytes = w.intake.Load() {
		time.Sleep(time.Millisecond) // until the server reads the body
	}
	done := make(chan error)
	go func() { done <- w.server.Shutdown(context.Background()) }()
	time.Sleep(50 * time.Millisecond)
	io.WriteString(sent, event[20:])
	sent.Close()
	if status := <-answer; status != 200 {
		t.Errorf("a request that was under way was answered with %d", status)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// What is wrong inside is logged under a reference, and nobody outside learns more than that.
func TestInternalError(t *testing.T) {
	w := newWorld(t, Config{}, intake.Config{})
	w.db.Close()
	status, text := w.get(t, "/v1/programmes", w.operator)
	var p Problem
	if err := json.Unmarshal([]byte(text), &p); err != nil || status != 500 || p.Detail != "internal error" || p.Reference == "" {
		t.Errorf("got %d %s (%v)", status, text, err)
	}
	if !strings.Contains(w.log.String(), "reference="+p.Reference) || !strings.Contains(w.log.String(), "level=ERROR") {
		t.Errorf("the log does not tell of %s:\n%s", p.Reference, w.log)
	}
	if status, _ := w.get(t, "/readyz", ""); status != 503 {
		t.Errorf("/readyz: got %d without a database, want 503", status)
	}
}

// While the database is down a partner is told to try again. It used to get a 500, which nobody repeats:
// looking up its key failed before anything else did.
func TestDatabaseDown(t *testing.T) {
	w := newWorld(t, Config{}, intake.Config{})
	event := w.ride("s1", time.Hour)
	w.db.Close()
	status, text := w.report(t, w.partner, event)
	var p Problem
	if err := json.Unmarshal([]byte(text), &p); err != nil || status != 503 || strings.Contains(text, "closed") {
		t.Errorf("got %d %s (%v), want 503 and nothing about what is wrong inside", status, text, err)
	}
	if p.Reference == "" || !strings.Contains(w.log.String(), "reference="+p.Reference) || !strings.Contains(w.log.String(), "looking up a key") {
		t.Errorf("the log does not tell of %q:\n%s", p.Reference, w.log)
	}
}

func TestCursor(t *testing.T) {
	c := cursor{Account: "a3-17", Reason: "overlap", Limit: 2, Batch: 120, Ord: 5}
	if got, ok := parseCursor(c.String()); !ok || got != c {
		t.Errorf("got %+v, %v; want %+v", got, ok, c)
	}
	for _, bad := range []cursor{
		{Account: "a3-17", Limit: 0, Batch: 1}, {Account: "a3-17", Limit: 501, Batch: 1}, {Account: "a3-17", Limit: 1},
		{Account: "a3-17", Limit: 1, Batch: 1, Ord: -1}, {Account: "a3-17", Limit: 1, Batch: 1, Ord: 1 << 31}, {Account: "a3-17", Reason: "lazy", Limit: 1, Batch: 1},
	} {
		if _, ok := parseCursor(bad.String()); ok {
			t.Errorf("%+v is taken", bad)
		}
	}
	for _, word := range []string{"", "x", "e30", "e30=", c.String() + "=", c.String()[1:], strings.Repeat("e", 399)} {
		if got, ok := parseCursor(word); ok {
			t.Errorf("%q is taken as %+v", word, got)
		}
	}
}

func FuzzCursor(f *testing.F) {
	f.Add(cursor{Account: "a3-17", Reason: "overlap", Limit: 2, Batch: 120, Ord: 5}.String())
	f.Fuzz(func(t *testing.T, word string) {
		if c, ok := parseCursor(word); ok && c.String() != word {
			t.Errorf("%q is taken as %+v, whose word is %q", word, c, c.String())
		}
	})
}
