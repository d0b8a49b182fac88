package store

import (
	"context"
	"fmt"
	"time"

	"github.com/tanpu/tanpu/rules/fault"
)

// OpenDrill attaches to a backup that was put elsewhere, to bring it forward and prove it beside the real database. The first
// thing that it writes is that this one is a drill's: it has the real one's log, and on PostgreSQL finds its key, so whoever
// served it would end that log. From then on it is opened for reading and for drills, and for nothing else.
func OpenDrill(ctx context.Context, rawURL string) (*DB, error) {
	db, err := open(ctx, rawURL, drilling)
	if err != nil {
		return nil, err
	}
	if err = db.Unserved(ctx); err == nil {
		err = db.markDrill(ctx)
	}
	if err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

// Drill reports whether the database was opened for a drill.
func (db *DB) Drill() bool { return db.drill }

func (db *DB) markDrill(ctx context.Context) error {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	if _, err := conn.ExecContext(ctx, "INSERT INTO drill (at) SELECT $1 WHERE NOT EXISTS (SELECT 1 FROM drill)", time.Now().UnixMicro()); err != nil {
		return fmt.Errorf("noting that this is a drill: %w", err)
	}
	db.drill = true
	return nil
}

// real returns an error if a drill made the database.
func (db *DB) real(ctx context.Context) error {
	var n int
	if err := db.read.QueryRowContext(ctx, "SELECT count(*) FROM drill").Scan(&n); err != nil {
		return fmt.Errorf("asking whether this is a drill's database: %w", err)
	}
	if n > 0 {
		return fault.New(fault.Conflict, "this database was made by a drill, tanpu restore --drill, and has the log of the real one: it can be read and audited, and nothing else; remove it, and name the real one")
	}
	return nil
}
