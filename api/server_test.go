package api

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/library"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/store"
)

// A world is a server on a real database with the library's demo city, and keys to it.
type world struct {
	db      *store.DB
	intake  *intake.Server
	server  *http.Server
	url     string
	log     *logText
	metrics *Metrics

	operator, partner, other string // keys; partner is valleybike's
	sub                      string // a member linked to valleybike, with all purposes
}

// newWorld is a sandbox on SQLite.
func newWorld(t testing.TB, limits Config, budget intake.Config) *world {
	t.Helper()
	limits.Sandbox = true
	return newWorldOn(t, "sqlite:"+filepath.Join(t.TempDir(), "tanpu.db"), limits, budget)
}

func newWorldOn(t testing.TB, url string, limits Config, budget intake.Config) *world {
	t.Helper()
	ctx := context.Background()
	db, err := store.Create(ctx, url, 4)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{db: db, log: new(logText)}
	var files []publish.File
	for _, name := range []string{"groups/activity.groups.yaml", "methodologies/demo-bike.methodology.yaml", "programmes/demo-city.programme.yaml"} {
		text, err := library.FS.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, publish.File{Name: path.Base(name), Text: text})
	}
	if _, err := publish.Publish(ctx, db, files); err != nil {
		t.Fatal(err)
	}
	w.operator, w.partner, w.other = w.key(t, Operator, ""), w.key(t, Partner, "valleybike"), w.key(t, Partner, "demo-transit")

	limits.DB, limits.Metrics = db, NewMetrics()
	limits.Log = slog.New(slog.NewTextHandler(w.log, nil))
	w.metrics = limits.Metrics
	budget.Observe, budget.Log = limits.Metrics.Written, limits.Log
	w.intake = intake.New(db, budget)
	limits.Intake = w.intake
	w.server = New(limits)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.url = "http://" + listener.Addr().String()
	go w.server.Serve(listener)
	t.Cleanup(func() {
		w.server.Close()
		w.intake.Close(context.Background())
		db.Close()
	})
	w.sub = w.link(t)
	return w
}

// A logText holds what a server logged.
type logText struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (w *world) key(t testing.TB, role, partner string) string {
	t.Helper()
	key := NewKey()
	if err := w.db.AddKey(context.Background(), store.Key{Hash: store.HashKey(key), Role: role, Partner: partner}); err != nil {
		t.Fatal(err)
	}
	return key
}

// link opens an account and links it to valleybike.
func (w *world) link(t testing.TB) string { return w.linkTo(t, store.AccountID{}) }

// linkTo links an account to valleybike.
func (w *world) linkTo(t testing.TB, account store.AccountID) string {
	t.Helper()
	ctx := context.Background()
	number, err := w.db.Rulebook(ctx)
	if err != nil {
		t.Fatal(err)
	}
	book, err := publish.Load(ctx, w.db, number)
	if err != nil {
		t.Fatal(err)
	}
	granted, err := link.Grant(ctx, w.db, book, link.Consent{
		Account: account, Programme: "demo-city", Partner: "valleybike", Purposes: claim.Purposes, Since: time.Now().Add(-24 * time.Hour),
	}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return granted.Sub
}

// ride is an event about a ride of a kilometre that began so long ago and took five minutes.
func (w *world) ride(id string, ago time.Duration) string {
	start := time.Now().Add(-ago)
	return fmt.Sprintf(`{"specversion":"1.0","type":"tanpu.claim.v1","source":"valleybike","id":%q,"subject":%q,`+
		`"data":{"scenario":"shared-bike","start":%q,"end":%q,"quantities":{"distance":1},"evidence":"system"}}`,
		id, w.sub, start.Format(time.RFC3339), start.Add(5*time.Minute).Format(time.RFC3339))
}

func (w *world) request(t testing.TB, method, path, key string, body string, header ...string) *http.Request {
	t.Helper()
	r, err := http.NewRequest(method, w.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if key != "" {
		r.Header.Set("Authorization", "Bearer "+key)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}
