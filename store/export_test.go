package store

import (
	"context"
	"database/sql"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/tanpu/tanpu/rules/claim"
)

// Doubt is for how many batches everything is looked for: one, so that tests come to what is taken for new.
const Doubt = 1

func init() { doubt = Doubt }

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

// Remembers reports whether a link would not be read again, if nobody changed it.
func (db *DB) Remembers(sub string) bool {
	part, s, _ := db.seat(sub)
	_, ok := db.memories[part].link(s)
	return ok
}

// Neighbours is how many accounts are read together.
const Neighbours = neighbours

// Tells reports whether a consent's list says which links it grants or ends.
func Tells(list []byte) bool { return new(links).forget(news{{links: list}}) }

// A Recent is a recent set.
type Recent struct{ recent }

// NewRecent makes one.
func NewRecent(most int) *Recent { return &Recent{recent{most: most}} }

// Add, Has and Size are its own.
func (r *Recent) Add(h uint64)      { r.add(h) }
func (r *Recent) Has(h uint64) bool { return r.has(h) }
func (r *Recent) Size() int         { return r.total }

// MarkOf is the mark of an identity.
func MarkOf(id claim.Identity) uint64 { return markOf(&id) }
