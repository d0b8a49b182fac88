package simulate

import (
	"context"
	"database/sql/driver"
	"errors"
	"io"
	"strings"
	"sync"
)

// A stroke is how a step of a server, which is one statement to its database, goes wrong.
type stroke uint8

const (
	unharmed stroke = iota
	refuse          // an error instead of the statement
	lose            // the statement is carried out, and an error comes back
	die             // the server dies before the statement
	dieAfter        // the server dies after it
)

var strokes = [...]string{"", "refused", "lost", "died before", "died after"}

func (s stroke) String() string { return strokes[s] }

var errStruck = errors.New("struck")

// A stage stands between one server and SQLite. It lets a statement fail, or the server die at it; and before a
// transaction begins it can let another server act in between.
type stage struct {
	lines     *lines
	mutant    *Mutant
	left      int    // statements to go until the stroke falls
	only      string // of those that do this; "" for all
	how       stroke
	on        string // the statement on which it fell; "" before
	dead      bool
	hastes    int
	committed int                           // transactions, those included whose answer was lost
	begins    int                           // transactions to go until somebody acts in between
	between   func()                        // what happens then; nil for nothing
	met       func(what string, how stroke) // told of every statement
}

// arm lets the statement fail that a step says.
func (s *stage) arm(f *Step) { s.left, s.only, s.how, s.on = f.After, f.On, f.How, "" }

// disarm lets all go well from now on, and tells on what the stroke fell, if it did.
func (s *stage) disarm() (on string, fell bool) {
	s.how, s.between = unharmed, nil
	return s.on, s.on != ""
}

// burn is called before each statement, and says how it is to fail.
func (s *stage) burn(what string) stroke {
	how := unharmed
	if s.how != unharmed && (s.only == "" || s.only == what) {
		if s.left--; s.left < 0 {
			how, s.how, s.on = s.how, unharmed, what
			s.dead = how == die || how == dieAfter
		}
	}
	if s.met != nil {
		s.met(what, how)
	}
	return how
}

// begin lets somebody act before a transaction begins. In a transaction nobody can: it holds its partition, or the log.
func (s *stage) begin() {
	if s.between == nil || s.dead {
		return
	}
	if s.begins--; s.begins < 0 {
		act := s.between
		s.between = nil
		act()
	}
}

// step carries out one statement, or does not.
func step[T any](s *stage, what string, do func() (T, error)) (T, error) {
	var none T
	if s.dead {
		return none, errStruck
	}
	how := s.burn(what)
	if how == refuse || how == die {
		return none, errStruck
	}
	r, err := do()
	if err == nil && what == "COMMIT" {
		s.committed++
	}
	if how == unharmed {
		return r, err
	}
	if c, ok := any(r).(io.Closer); ok && err == nil {
		c.Close()
	}
	return none, errStruck
}

// Open opens the file beneath.
func (s *stage) Open(name string) (driver.Conn, error) {
	if s.dead {
		return nil, errStruck
	}
	l, err := s.lines.open(name)
	if err != nil {
		return nil, err
	}
	return &conn{l, s}, nil
}

// conn passes everything on, statements as steps.
type conn struct {
	*line
	stage *stage
}

func (c *conn) Close() error { return c.stage.lines.release(c.line) }

func (c *conn) BeginTx(ctx context.Context, o driver.TxOptions) (driver.Tx, error) {
	c.stage.begin()
	var begun driver.Tx
	t, err := step(c.stage, "BEGIN", func() (t driver.Tx, err error) {
		begun, err = c.line.BeginTx(ctx, o)
		return begun, err
	})
	if err != nil {
		if begun != nil {
			begun.Rollback()
		}
		return nil, err
	}
	return &tx{t, c.stage}, nil
}

func (c *conn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if query == "BEGIN" {
		c.stage.begin()
	}
	what := label(query)
	if c.stage.mutant.swallows(what) {
		return driver.RowsAffected(1), nil
	}
	if what == "COMMIT" && c.stage.mutant.hasty() {
		c.stage.hastes++
		if c.stage.hastes%7 == 0 {
			query = "ROLLBACK"
		}
	}
	return step(c.stage, what, func() (driver.Result, error) { return c.line.ExecContext(ctx, query, args) })
}

func (c *conn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	return step(c.stage, label(query), func() (driver.Rows, error) { return c.line.QueryContext(ctx, query, args) })
}

func (c *conn) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	s, err := c.line.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	return &stmt{s.(prepared), c.stage, label(query)}, nil
}

type stmt struct {
	prepared
	stage *stage
	what  string
}

func (s *stmt) ExecContext(ctx context.Context, args []driver.NamedValue) (driver.Result, error) {
	if s.stage.mutant.swallows(s.what) {
		return driver.RowsAffected(1), nil
	}
	return step(s.stage, s.what, func() (driver.Result, error) { return s.prepared.ExecContext(ctx, args) })
}

func (s *stmt) QueryContext(ctx context.Context, args []driver.NamedValue) (driver.Rows, error) {
	return step(s.stage, s.what, func() (driver.Rows, error) { return s.prepared.QueryContext(ctx, args) })
}

type tx struct {
	beneath driver.Tx
	stage   *stage
}

func (t *tx) Commit() error {
	_, err := step(t.stage, "COMMIT", func() (struct{}, error) { return struct{}{}, t.beneath.Commit() })
	if err != nil {
		t.beneath.Rollback() // of what was not committed; the connection is used again
	}
	return err
}

func (t *tx) Rollback() error { return t.beneath.Rollback() }

// label says in two words what a statement does.
func label(query string) string {
	if known, ok := labels.Load(query); ok {
		return known.(string)
	}
	words := strings.Fields(strings.NewReplacer("(", " ( ", ")", " ", ",", " ").Replace(query))
	what := words[0]
	for i, w := range words[:len(words)-1] {
		if w == "INTO" || w == "UPDATE" && i == 0 || w == "FROM" && words[i+1] != "(" && words[i+1] != "json_each" {
			what += " " + words[i+1]
			break
		}
	}
	if strings.HasPrefix(query, "BEGIN IMMEDIATE") {
		what = "BEGIN IMMEDIATE"
	}
	labels.Store(query, what)
	return what
}

var labels sync.Map // by text
