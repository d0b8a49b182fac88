package store_test

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"modernc.org/sqlite"

	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// A stroke is how a step fails.
type stroke int

const (
	refuse   stroke = iota // an error instead of the step
	lose                   // the step is carried out, and an error comes back
	die                    // the process ends before the step
	dieAfter               // the process ends after it
)

var strokes = []string{"refuse", "lose", "die", "die after"}

func (s stroke) String() string { return strokes[s] }

// A stage is an engine each of whose steps can be made to fail.
type stage interface {
	// open attaches to the database, the way a process does that starts.
	open() (*store.DB, error)
	// arm lets the step after so many others fail.
	arm(after int, s stroke)
	// disarm lets all go well again, and reports whether the stroke fell and on what.
	disarm() (on string, fell bool)
	// died reports whether the process ended: what was opened is to be closed, and then opened anew.
	died() bool
}

var errStroke = errors.New("struck")

// A fuse counts steps down to a stroke.
type fuse struct {
	mu     sync.Mutex
	armed  bool
	left   int
	stroke stroke
	on     string // the step that was struck; "" before
	dead   bool

	// falling is the stroke that is being carried out. Steps are taken beside the test as well: a context
	// that ends makes the driver tell PostgreSQL to cancel, on a connection and at a time of its own.
	falling sync.WaitGroup
}

// burn is called at each step; it says how the step has to fail, if it has. Who is told so says done after it.
func (f *fuse) burn(step string) (stroke, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.armed {
		return 0, false
	}
	if f.left--; f.left >= 0 {
		return 0, false
	}
	f.armed, f.on = false, step
	f.dead = f.stroke == die || f.stroke == dieAfter
	f.falling.Add(1)
	return f.stroke, true
}

func (f *fuse) arm(after int, s stroke) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed, f.left, f.stroke, f.on = true, after, s, ""
}

func (f *fuse) disarm() (on string, fell bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.armed = false
	return f.on, f.on != ""
}

func (f *fuse) died() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.dead
}

// done is called when a stroke has been carried out.
func (f *fuse) done() { f.falling.Done() }

// live begins a new process, which nothing that happens to the one before can touch.
func (f *fuse) live() {
	f.falling.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = false
}

// sqliteStage stands between the store and SQLite. Each statement is a step. When the process is to die,
// the files are copied as they are at that moment, which is what a killed process leaves behind.
type sqliteStage struct {
	fuse
	t    testing.TB
	path string
	runs int
}

var theSQLiteStage *sqliteStage // the driver is registered once, and asks the stage of the test that runs

func newSQLiteStage(t testing.TB) *sqliteStage {
	s := &sqliteStage{t: t, path: strings.TrimPrefix(storetest.SQLite(t), "sqlite:")}
	if theSQLiteStage == nil {
		sql.Register("struck sqlite", struckDriver{})
	}
	theSQLiteStage = s
	t.Cleanup(store.Between("struck sqlite"))
	return s
}

func (s *sqliteStage) open() (*store.DB, error) {
	s.live()
	return store.Create(context.Background(), "sqlite:"+s.path, 2)
}

// step carries out one step, or does not. What comes back of a step that is struck is lost.
func step[T any](what string, do func() (T, error)) (T, error) {
	s := theSQLiteStage
	var none T
	if s.died() {
		return none, errStroke
	}
	how, struck := s.burn(what)
	if !struck {
		return do()
	}
	defer s.done()
	if how == lose || how == dieAfter {
		if r, err := do(); err == nil {
			if c, ok := any(r).(io.Closer); ok {
				c.Close()
			}
		}
	}
	if how == die || how == dieAfter {
		s.snapshot()
	}
	return none, errStroke
}

// snapshot copies the database and its log to a new place, where the next process finds them.
func (s *sqliteStage) snapshot() {
	s.runs++
	next := filepath.Join(filepath.Dir(s.path), fmt.Sprintf("tanpu-%d.db", s.runs))
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(s.path + suffix)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(next+suffix, b, 0o666)
		}
		if err != nil {
			s.t.Error(err)
		}
	}
	s.path = next
}

type struckDriver struct{}

func (struckDriver) Open(name string) (driver.Conn, error) {
	if theSQLiteStage.died() {
		return nil, errStroke
	}
	c, err := new(sqlite.Driver).Open(name)
	if err != nil {
		return nil, err
	}
	return struckConn{c}, nil
}

// struckConn passes everything on, statements as steps.
type struckConn struct{ driver.Conn }

func (c struckConn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	return c.Conn.(driver.ConnBeginTx).BeginTx(ctx, o)
}

func (c struckConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	return step(query, func() (driver.Result, error) { return c.Conn.(driver.ExecerContext).ExecContext(ctx, query, args) })
}

func (c struckConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return step(query, func() (driver.Rows, error) { return c.Conn.(driver.QueryerContext).QueryContext(ctx, query, args) })
}

func (c struckConn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.Conn.(driver.ConnPrepareContext).PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return struckStmt{s, query}, nil
}

func (c struckConn) ResetSession(ctx context.Context) error {
	return c.Conn.(driver.SessionResetter).ResetSession(ctx)
}

func (c struckConn) IsValid() bool { return c.Conn.(driver.Validator).IsValid() }

type struckStmt struct {
	driver.Stmt
	query string
}

func (s struckStmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	return step(s.query, func() (driver.Result, error) { return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args) })
}

func (s struckStmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return step(s.query, func() (driver.Rows, error) { return s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args) })
}

// postgresStage stands between the store and PostgreSQL, as a server on a socket of its own. What the
// store sends in one go is a step. A step that is struck costs the connection, as it does in life.
type postgresStage struct {
	fuse
	t        testing.TB
	url      string
	server   string // the real one's socket
	listener net.Listener
	made     bool

	connsMu sync.Mutex
	conns   map[net.Conn]bool // open ends, to cut when the process dies
}

func newPostgresStage(t testing.TB) *postgresStage {
	real := storetest.Postgres(t)
	u, err := url.Parse(real)
	if err != nil {
		t.Fatal(err)
	}
	const socket = ".s.PGSQL.5432"
	q := u.Query()
	s := &postgresStage{t: t, server: filepath.Join(q.Get("host"), socket), conns: map[net.Conn]bool{}}
	if q.Get("host") == "" {
		t.Skip("the PostgreSQL of these tests is not reached through a socket")
	}
	dir, err := os.MkdirTemp("", "tanpu") // a socket's path must be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if s.listener, err = net.Listen("unix", filepath.Join(dir, socket)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.listener.Close(); s.cut() })
	q.Set("host", dir)
	u.RawQuery = q.Encode()
	s.url = u.String()
	go s.serve()
	return s
}

func (s *postgresStage) open() (*store.DB, error) {
	s.live()
	if s.made {
		return store.Open(context.Background(), s.url)
	}
	s.made = true
	return store.Create(context.Background(), s.url, 2)
}

func (s *postgresStage) serve() {
	for {
		client, err := s.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("unix", s.server)
		if err != nil || s.died() {
			client.Close()
			continue
		}
		s.keep(client, server)
		reply := make(chan struct{}, 1) // told when the next answer is to be thrown away; closed when it came
		lost := make(chan struct{})
		go s.forward(client, server, reply, lost)
		go s.answer(client, server, reply, lost)
	}
}

func (s *postgresStage) keep(conns ...net.Conn) {
	s.connsMu.Lock()
	defer s.connsMu.Unlock()
	for _, c := range conns {
		s.conns[c] = true
	}
}

func (s *postgresStage) drop(conns ...net.Conn) {
	s.connsMu.Lock()
	defer s.connsMu.Unlock()
	for _, c := range conns {
		c.Close()
		delete(s.conns, c)
	}
}

// cut ends all connections, as the end of a process does.
func (s *postgresStage) cut() {
	s.connsMu.Lock()
	defer s.connsMu.Unlock()
	for c := range s.conns {
		c.Close()
		delete(s.conns, c)
	}
}

// forward passes on what the store says.
func (s *postgresStage) forward(client, server net.Conn, reply, lost chan struct{}) {
	defer s.drop(client, server)
	buf := make([]byte, 1<<20)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		how, struck := s.burn(printable(buf[:n]))
		if struck && (how == lose || how == dieAfter) {
			reply <- struct{}{}
			if _, err := server.Write(buf[:n]); err == nil {
				<-lost
			}
		}
		if struck {
			if how == die || how == dieAfter {
				s.cut()
			}
			s.done()
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

// answer passes on what PostgreSQL says, until it is told to keep the next answer to itself.
func (s *postgresStage) answer(client, server net.Conn, reply, lost chan struct{}) {
	defer close(lost)
	buf := make([]byte, 1<<16)
	for {
		n, err := server.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-reply:
			return
		default:
		}
		if _, err := client.Write(buf[:n]); err != nil {
			return
		}
	}
}

// printable is what can be read of a message, for the report of a failure.
func printable(b []byte) string {
	s := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(b[:min(len(b), 200)]))
	return s + "…"
}
