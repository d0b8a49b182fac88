package store

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Engine names the database's engine: sqlite or postgres.
func (db *DB) Engine() string { return string(db.engine) }

// Size is how many bytes the database takes on disk, what is still in its log included.
func (db *DB) Size(ctx context.Context) (n int64, err error) {
	if db.engine == postgres {
		err = db.read.QueryRowContext(ctx, "SELECT pg_database_size(current_database())").Scan(&n)
		return n, err
	}
	err = db.read.QueryRowContext(ctx, "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").Scan(&n)
	return n, err
}

// ClaimCount is how many claims are recorded, and reversals of claims.
func (db *DB) ClaimCount(ctx context.Context) (n int64, err error) {
	err = db.read.QueryRowContext(ctx, "SELECT coalesce(sum(claims), 0) FROM batch").Scan(&n)
	return n, err
}

// arrival are the tables that intake writes a row or more a claim to, and the order in which it does.
var arrival = []struct{ table, order string }{
	{"claim", "batch, part, account, grp, start, ord"},
	{"usage", "part, account, method, period"},
	{"balance", "part, holder, asset"},
	{"batch", "batch, part"},
}

// Ceiling has the engine load the rows that intake wrote once more, by its own bulk load, into tables
// with the same keys beside the real ones, durably, in the order in which intake wrote them, and says how long that took.
// It leaves the tables as they were.
func (db *DB) Ceiling(ctx context.Context) (time.Duration, error) {
	if db.engine == postgres {
		return db.ceilingPostgres(ctx)
	}
	return db.ceilingSQLite(ctx)
}

// ceilingPostgres copies each table out to a file and then measures copying it in: claims by two
// connections at once, each with half of the partitions, as intake has several writers.
func (db *DB) ceilingPostgres(ctx context.Context) (took time.Duration, err error) {
	dir, err := os.MkdirTemp("", "tanpu-ceiling-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	if err := db.withOwner(ctx, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, "DROP SCHEMA IF EXISTS ceiling CASCADE; CREATE SCHEMA ceiling")
		for _, t := range arrival {
			if err == nil {
				_, err = c.Exec(ctx, "CREATE TABLE ceiling."+t.table+" (LIKE public."+t.table+" INCLUDING ALL)")
			}
		}
		return err
	}); err != nil {
		return 0, err
	}
	defer db.withOwner(ctx, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, "DROP SCHEMA IF EXISTS ceiling CASCADE")
		return err
	})
	halves := []string{"part % 2 = 0", "part % 2 = 1"}
	both := func(f func(c *pgx.Conn, half int) error) error {
		failed := make(chan error, len(halves))
		for i := range halves {
			go func() { failed <- db.withOwner(ctx, func(c *pgx.Conn) error { return f(c, i) }) }()
		}
		err := <-failed
		if other := <-failed; err == nil {
			err = other
		}
		return err
	}
	err = both(func(c *pgx.Conn, half int) error {
		for _, t := range arrival {
			file, err := os.Create(filepath.Join(dir, fmt.Sprint(t.table, half)))
			if err != nil {
				return err
			}
			_, err = c.PgConn().CopyTo(ctx, file, "COPY (SELECT * FROM public."+t.table+" WHERE "+halves[half]+" ORDER BY "+t.order+") TO STDOUT (FORMAT binary)")
			file.Close()
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	err = both(func(c *pgx.Conn, half int) error {
		for _, t := range arrival {
			file, err := os.Open(filepath.Join(dir, fmt.Sprint(t.table, half)))
			if err != nil {
				return err
			}
			_, err = c.PgConn().CopyFrom(ctx, file, "COPY ceiling."+t.table+" FROM STDIN (FORMAT binary)")
			file.Close()
			if err != nil {
				return err
			}
		}
		return nil
	})
	return time.Since(began), err
}

// withOwner runs f on a connection with the rights that the address logs in with.
func (db *DB) withOwner(ctx context.Context, f func(*pgx.Conn) error) error {
	conn, err := db.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return conn.Raw(func(c any) error {
		pg := unwrapPgx(c)
		if _, err := pg.Exec(ctx, "RESET ROLE"); err != nil {
			return err
		}
		defer pg.Exec(ctx, "SET ROLE "+pgx.Identifier{db.runtime}.Sanitize())
		return f(pg)
	})
}

// ceilingSQLite copies the rows into a database file of its own, in plain tables as they arrived, and
// then measures INSERT … SELECT from those into tables with the real keys.
func (db *DB) ceilingSQLite(ctx context.Context) (took time.Duration, err error) {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	var file string
	if err := conn.QueryRowContext(ctx, "SELECT file FROM pragma_database_list WHERE name = 'main'").Scan(&file); err != nil {
		return 0, err
	}
	for _, name := range []string{"arrived", "ceiling"} {
		path := file + "-" + name
		os.Remove(path)
		defer os.Remove(path)
		if _, err := conn.ExecContext(ctx, "ATTACH $1 AS "+name, path); err != nil {
			return 0, err
		}
		defer conn.ExecContext(context.Background(), "DETACH "+name)
		if _, err := conn.ExecContext(ctx, "PRAGMA "+name+".journal_mode = WAL"); err != nil {
			return 0, err
		}
	}
	for _, t := range arrival {
		if err := db.twin(ctx, conn, t.table, t.order); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	for _, t := range arrival {
		if _, err := conn.ExecContext(ctx, "INSERT INTO ceiling."+t.table+" SELECT * FROM arrived."+t.table+" ORDER BY rowid"); err != nil {
			return 0, err
		}
	}
	return time.Since(began), nil
}

// twin makes an empty table with the keys of the real one, and a plain one with its rows as they arrived.
func (db *DB) twin(ctx context.Context, conn *sql.Conn, table, order string) error {
	rows, err := conn.QueryContext(ctx, "SELECT sql FROM main.sqlite_schema WHERE tbl_name = $1 AND type IN ('table', 'index') AND sql IS NOT NULL ORDER BY type DESC", table)
	if err != nil {
		return err
	}
	var statements []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			rows.Close()
			return err
		}
		for _, create := range []string{"CREATE TABLE ", "CREATE UNIQUE INDEX ", "CREATE INDEX "} {
			if rest, ok := strings.CutPrefix(s, create); ok {
				s = create + "ceiling." + rest
				break
			}
		}
		statements = append(statements, s)
	}
	rows.Close()
	statements = append(statements, "CREATE TABLE arrived."+table+" AS SELECT * FROM main."+table+" ORDER BY "+order)
	for _, s := range statements {
		if _, err := conn.ExecContext(ctx, s); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return rows.Err()
}
