package store

import (
	"context"
	"database/sql"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tanpu/tanpu/rules/claim"
)

// Exec runs a statement with the rights, and over the connection, with which a server writes.
func (db *DB) Exec(ctx context.Context, statement string, args ...any) error {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	_, err = conn.ExecContext(ctx, statement, args...)
	return err
}

// Reader is what the database is read through.
func (db *DB) Reader() *sql.DB { return db.read }

// Exec runs a statement in the transaction, as a write of its own would.
func (tx *Tx) Exec(ctx context.Context, statement string, args ...any) error {
	conn, err := tx.writer(ctx)
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, statement, args...)
	return err
}

// Sub makes the sub of a link as Grant does.
func (db *DB) Sub(part int, account claim.Number, link int) string {
	return db.sub(part, seat{account, link})
}

// Between lets SQLite be opened through another driver, until restored.
func Between(driver string) (restore func()) {
	before := sqliteDriver
	sqliteDriver = driver
	return func() { sqliteDriver = before }
}

// Through lets what writes to PostgreSQL reach it through another connection, until restored.
func Through(between func(net.Conn) net.Conn) (restore func()) {
	before := dialPostgres
	dialPostgres = func(dial pgconn.DialFunc) pgconn.DialFunc {
		return func(ctx context.Context, network, addr string) (net.Conn, error) {
			c, err := dial(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			return between(c), nil
		}
	}
	return func() { dialPostgres = before }
}
