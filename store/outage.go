package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"
	lite "modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Outage reports whether an error says that the database did not answer, or would not now, whatever it was asked:
// then the same may succeed later, and less of it would not succeed now.
func Outage(err error) bool {
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		// Appendix A of PostgreSQL's manual: connections, transactions that were ended, conflicts with others,
		// resources, locks and time-outs, an operator's hand, the system.
		switch e.Code[:min(2, len(e.Code))] {
		case "08", "25", "40", "53", "55", "57", "58":
			return true
		}
		return false
	}
	if e := (*lite.Error)(nil); errors.As(err, &e) {
		switch e.Code() & 0xff { // the rest of the code says more exactly what
		case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM,
			sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY:
			return true
		}
		return false
	}
	for _, gone := range []error{context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed,
		driver.ErrBadConn, sql.ErrConnDone, pgconn.ErrConnClosed} {
		if errors.Is(err, gone) {
			return true
		}
	}
	return errors.As(err, new(net.Error)) || errors.As(err, new(*pgconn.ConnectError))
}
