package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tanpu/tanpu/rules/ledger"
)

// A Tx holds one partition alone. What it reads stays true until it ends.
type Tx struct {
	Part     int
	Number   int64       // of the batch that it writes; 0 when it writes none
	Now      int64       // its one instant, µs UTC: never before the last one of the partition
	Prev     ledger.Hash // of the batch before
	Secret   []byte      // salts the commitments to the partition's totals
	Rulebook int64       // number of the rulebook in force

	db   *DB
	conn *sql.Conn
}

// Update runs f while it holds the partition alone, and makes all that f wrote durable, or nothing.
// When it returns an error the outcome may be unknown: the commit may have been carried out.
func (db *DB) Update(ctx context.Context, part int, clock int64, f func(*Tx) error) error {
	return db.update(ctx, part, clock, 0, f)
}

// UpdateBatch is Update for a batch: it takes the partition's next batch number, which f must write.
func (db *DB) UpdateBatch(ctx context.Context, part int, clock int64, f func(*Tx) error) error {
	return db.update(ctx, part, clock, 1, f)
}

func (db *DB) update(ctx context.Context, part int, clock int64, numbers int, f func(*Tx) error) error {
	conn, release, err := db.writer(ctx)
	if err != nil {
		return err
	}
	defer release()
	tx := &Tx{Part: part, db: db, conn: conn}
	if err := tx.begin(ctx, clock, numbers); err != nil {
		return tx.rollback(fmt.Errorf("taking partition %d: %w", part, err))
	}
	if err := f(tx); err != nil {
		return tx.rollback(err)
	}
	if _, err := conn.ExecContext(ctx, "COMMIT"); err != nil {
		return tx.rollback(fmt.Errorf("committing to partition %d: %w", part, err))
	}
	return nil
}

// rollback ends the transaction and gives up the connection if that does not work.
func (tx *Tx) rollback(err error) error {
	if _, failed := tx.conn.ExecContext(context.Background(), "ROLLBACK"); failed != nil && tx.db.engine == postgres {
		tx.conn.Raw(func(any) error { return driver.ErrBadConn })
	}
	return err
}

const lockPartition = `UPDATE partition SET next = next + $2 WHERE part = $1
	RETURNING next, at, hash, secret, (SELECT coalesce(max(rulebook), 0) FROM document)`

// begin takes the partition's row, and with it the partition: lock, number, last instant and the hash
// of the batch before, in one statement.
func (tx *Tx) begin(ctx context.Context, clock int64, numbers int) error {
	begin := "BEGIN"
	if tx.db.engine == sqlite {
		begin = "BEGIN IMMEDIATE"
	}
	if _, err := tx.conn.ExecContext(ctx, begin); err != nil {
		return err
	}
	var next, at int64
	var hash []byte
	err := tx.conn.QueryRowContext(ctx, lockPartition, tx.Part, numbers).Scan(&next, &at, &hash, &tx.Secret, &tx.Rulebook)
	if errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("there is no partition %d", tx.Part)
	}
	if err != nil {
		return err
	}
	if numbers > 0 {
		tx.Number = next - 1
	}
	tx.Now = max(clock, at)
	copy(tx.Prev[:], hash)
	return nil
}

// A keeper keeps SQLite's one writing connection and its prepared statements.
type keeper struct {
	mu         sync.Mutex
	conn       *sql.Conn            // guarded by mu
	statements map[string]*sql.Stmt // guarded by mu
}

// writer hands out a connection that nobody else uses until it is released.
func (db *DB) writer(ctx context.Context) (*sql.Conn, func(), error) {
	if db.write == nil {
		return nil, nil, errors.New("the database was opened for reading")
	}
	if db.engine == postgres {
		conn, err := db.write.Conn(ctx)
		if err != nil {
			return nil, nil, err
		}
		return conn, func() { conn.Close() }, nil
	}
	k := &db.keeper
	k.mu.Lock()
	if k.conn == nil {
		conn, err := db.write.Conn(ctx)
		if err != nil {
			k.mu.Unlock()
			return nil, nil, err
		}
		k.conn, k.statements = conn, map[string]*sql.Stmt{}
	}
	return k.conn, k.mu.Unlock, nil
}

// prepared returns a statement that stays with SQLite's writing connection.
func (tx *Tx) prepared(ctx context.Context, query string) (*sql.Stmt, error) {
	k := &tx.db.keeper
	if s, ok := k.statements[query]; ok {
		return s, nil
	}
	s, err := tx.conn.PrepareContext(ctx, query)
	if err == nil {
		k.statements[query] = s
	}
	return s, err
}

// postgres runs f on the connection beneath, for what database/sql has no words for: COPY and pipelines.
func (tx *Tx) postgres(f func(*pgx.Conn) error) error {
	return tx.conn.Raw(func(c any) error { return f(c.(*stdlib.Conn).Conn()) })
}
