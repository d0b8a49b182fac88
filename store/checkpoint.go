package store

import (
	"context"
	"database/sql"
	"sync"
	"sync/atomic"
)

// A checkpointer takes SQLite's write-ahead log back into the database file, over a connection of its own and
// beside whoever writes. Left to the writer, this took a third of its time: it copies as many pages as were
// written, wherever they lie, and waits for the disk.
//
// What is true if we die here: nothing was lost, for a page is in the log until it is on disk in its place.
type checkpointer struct {
	pool *sql.DB
	rows atomic.Int64  // written since the last pass was asked for
	due  chan struct{} // holds a request for a pass
	done chan struct{} // closed when the last pass has ended
	end  sync.Once
}

const (
	// A pass begins after so many rows, most of which changed a page of their own.
	checkpointRows = 16_384
	// While others write, a pass never reaches the log's end, and only what reached it lets the log begin
	// anew. So beyond so many pages the writer itself takes back the little that is left, after its commit.
	checkpointPages = "65536"
)

func newCheckpointer(pool *sql.DB) *checkpointer {
	c := &checkpointer{pool: pool, due: make(chan struct{}, 1), done: make(chan struct{})}
	c.pool.SetMaxOpenConns(1)
	go c.run()
	return c
}

// wrote counts rows that were committed.
func (c *checkpointer) wrote(rows int64) {
	if c.rows.Add(rows) < checkpointRows {
		return
	}
	c.rows.Store(0)
	select {
	case c.due <- struct{}{}:
	default: // one is being waited for already
	}
}

func (c *checkpointer) run() {
	defer close(c.done)
	for range c.due {
		// A pass that fails is tried again after as many rows; until it succeeds the log grows, no more.
		c.pool.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
	}
}

// close waits for the pass that is under way.
func (c *checkpointer) close() error {
	c.end.Do(func() { close(c.due) })
	<-c.done
	return c.pool.Close()
}
