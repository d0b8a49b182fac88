package simulate

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"math"
	"os"
	"slices"

	"modernc.org/sqlite"
)

// lines are connections to SQLite. What a server that died leaves behind, the next one takes up, and that of the next
// world: a new one would have to read the whole schema first. And each keeps the statements that it has read.
type lines struct {
	idle map[string][]*line // by what they were opened by
	busy int                // that are not idle
	puts uint32
}

// A line is a connection beneath a stage.
type line struct {
	beneath
	name string
	kept map[string]*keptStmt
}

// beneath is what SQLite's connections can do.
type beneath interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.SessionResetter
	driver.Validator
}

// prepared is what its statements can do.
type prepared interface {
	driver.Stmt
	driver.StmtExecContext
	driver.StmtQueryContext
}

type keptStmt struct {
	prepared
	busy bool // its rows are being read
}

func (l *lines) open(name string) (*line, error) {
	if idle := l.idle[name]; len(idle) > 0 {
		l.idle[name] = idle[:len(idle)-1]
		l.busy++
		return idle[len(idle)-1], nil
	}
	c, err := new(sqlite.Driver).Open(name)
	if err != nil {
		return nil, err
	}
	l.busy++
	return &line{c.(beneath), name, map[string]*keptStmt{}}, nil
}

// release takes back a connection; what was under way on it is undone, as when its process has died.
func (l *lines) release(c *line) error {
	l.busy--
	for _, s := range c.kept {
		if s.busy {
			return c.close()
		}
	}
	c.beneath.ExecContext(context.Background(), "ROLLBACK", nil) // an error where nothing was under way
	l.idle[c.name] = append(l.idle[c.name], c)
	return nil
}

// renew puts a database in the place of another one, and lines to what was there are of no use.
func (l *lines) renew(file string, database, wal []byte) error {
	l.close()
	for _, suffix := range []string{"", "-wal", "-shm"} {
		os.Remove(file + suffix)
	}
	if err := os.WriteFile(file, database, 0o600); err != nil || len(wal) == 0 {
		return err
	}
	return os.WriteFile(file+"-wal", wal, 0o600)
}

// put puts a database in the place of another one, at which nobody is. The lines stay if they can: each looks at the
// header of the index of the write-ahead log before it reads, and when that is another one than it knows it keeps
// nothing of what it has read but the schema, which all databases that come from the template have in the same place.
func (l *lines) put(file string, database, wal []byte) error {
	index, err := os.OpenFile(file+"-shm", os.O_WRONLY, 0)
	if err != nil || l.busy > 0 || len(wal) > 0 {
		if err == nil {
			index.Close()
		}
		return l.renew(file, database, wal)
	}
	l.puts++
	_, err = index.WriteAt(emptyIndex(l.puts), 0)
	return errors.Join(err, index.Close(), os.WriteFile(file+"-wal", nil, 0o600), os.WriteFile(file, database, 0o600))
}

// emptyIndex is the beginning of the index of an empty write-ahead log (SQLite, “WAL-mode File Format” §2.2), twice its
// header, and what checkpoints and readers are at. The change makes it unlike others.
func emptyIndex(change uint32) []byte {
	const version, unused = 3007000, math.MaxUint32
	h := [12]uint32{0: version, 2: change, 3: binary.NativeEndian.Uint32([]byte{1, 0, 0, 0})}
	for i := 0; i < 10; i += 2 {
		h[10] += h[i] + h[11]
		h[11] += h[i+1] + h[10]
	}
	var b []byte
	for _, word := range slices.Concat(h[:], h[:], []uint32{0, 0, unused, unused, unused, unused}, make([]uint32, 4)) {
		b = binary.NativeEndian.AppendUint32(b, word)
	}
	return b
}

// checkpoint takes into the database's file what only the write-ahead log has.
func (l *lines) checkpoint(file string) error {
	c, err := l.open("file:" + file)
	if err != nil {
		return err
	}
	_, err = c.ExecContext(context.Background(), "PRAGMA wal_checkpoint(TRUNCATE)", nil)
	return errors.Join(err, l.release(c))
}

// close ends all that are idle.
func (l *lines) close() {
	for _, list := range l.idle {
		for _, c := range list {
			c.close()
		}
	}
	clear(l.idle)
}

func (c *line) close() error {
	for _, s := range c.kept {
		s.prepared.Close()
	}
	return c.beneath.Close()
}

// statement is a kept one that is free, or nil.
func (c *line) statement(ctx context.Context, query string) *keptStmt {
	s, ok := c.kept[query]
	if !ok {
		p, err := c.beneath.PrepareContext(ctx, query)
		if err != nil {
			return nil // whoever carries it out will see why
		}
		s = &keptStmt{prepared: p.(prepared)}
		c.kept[query] = s
	}
	if s.busy {
		return nil
	}
	return s
}

func (c *line) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	if s := c.statement(ctx, query); s != nil {
		return s.ExecContext(ctx, args)
	}
	return c.beneath.ExecContext(ctx, query, args)
}

func (c *line) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s := c.statement(ctx, query)
	if s == nil {
		return c.beneath.QueryContext(ctx, query, args)
	}
	rows, err := s.QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &keptRows{rows, s}, nil
}

// PrepareContext prepares a statement that stays with whoever asked, or a kept one, which is not closed.
func (c *line) PrepareContext(ctx context.Context, query string) (driver.Stmt, error) {
	if s := c.statement(ctx, query); s != nil {
		return open{s}, nil
	}
	return c.beneath.PrepareContext(ctx, query)
}

// open is a kept statement that is not closed.
type open struct{ *keptStmt }

func (open) Close() error { return nil }

type keptRows struct {
	driver.Rows
	of *keptStmt
}

func (r *keptRows) Close() error {
	r.of.busy = false
	return r.Rows.Close()
}
