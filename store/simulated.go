package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"io"
	"net/url"
	"path/filepath"
)

// A Simulation is what a database stands on in a simulation, in place of what the machine offers.
type Simulation struct {
	Driver driver.Driver // through which SQLite is reached: it can break every step
	Random io.Reader     // of which keys and numbers are made
}

// OpenSimulated attaches to a SQLite database as one of several servers in one process that take turns, each from one
// transaction to the next. Nothing else may be written like this: the lock that keeps processes apart is not taken, and
// what is committed is not waited for until it is on the disk.
func OpenSimulated(ctx context.Context, file string, s Simulation) (*DB, error) {
	db := simulated(file, s)
	if err := db.load(ctx); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// CreateSimulated makes the database of a simulation.
func CreateSimulated(ctx context.Context, file string, parts int, s Simulation) error {
	db := simulated(file, s)
	return errors.Join(db.migrate(ctx, parts), db.Close())
}

func simulated(file string, s Simulation) *DB {
	db := &DB{engine: sqlite, readers: 1, random: s.Random, taking: true}
	name := "file:" + (&url.URL{Path: filepath.ToSlash(file)}).EscapedPath()
	pool := func(options string) *sql.DB { return sql.OpenDB(connector{s.Driver, name + options}) }
	db.write = pool("?_txlock=immediate" + pragmas("journal_mode(WAL)", "synchronous(OFF)", "recursive_triggers(ON)", "temp_store(MEMORY)"))
	db.write.SetMaxOpenConns(1)
	db.checkpointer = newCheckpointer(pool("?mode=rw"))
	db.read = pool("?mode=rwc" + pragmas("query_only(ON)", "cache_size(-2048)"))
	db.bound()
	return db
}

// A connector opens one file through one driver.
type connector struct {
	driver driver.Driver
	name   string
}

func (c connector) Connect(context.Context) (driver.Conn, error) { return c.driver.Open(c.name) }
func (c connector) Driver() driver.Driver                        { return c.driver }

// draw makes random bytes. Whoever cannot have any must not go on.
func (db *DB) draw(n int) []byte {
	b := make([]byte, n)
	if _, err := io.ReadFull(db.random, b); err != nil {
		panic(err) // the system's never fails (Go 1.24)
	}
	return b
}

// Random is what keys are made of.
func (db *DB) Random() io.Reader { return db.random }

// AnyPart draws a partition, for what belongs to none.
func (db *DB) AnyPart() int {
	return int(binary.BigEndian.Uint64(db.draw(8)) % uint64(db.Parts))
}
