// Package storetest runs one test on every engine that Tanpu supports, each time on a fresh, empty database.
//
// PostgreSQL is never skipped: a suite that passes without it would prove half of what it claims. The server is
// named by TANPU_TEST_POSTGRES; make check and scripts/postgres start a throw-away one and set it.
package storetest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Server names the environment variable that holds the URL of a PostgreSQL server on which tests may do as they like.
const Server = "TANPU_TEST_POSTGRES"

// Each runs f as a subtest on each engine. The url is that of an empty database of its own.
func Each(t *testing.T, f func(t *testing.T, url string)) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { f(t, SQLite(t)) })
	t.Run("postgres", func(t *testing.T) { f(t, Postgres(t)) })
}

// OneByOne skips a test in which nothing happens at once under the race detector, which takes ten times as long for it and
// has nothing to find. make check has it without.
func OneByOne(t testing.TB) {
	t.Helper()
	if Raced {
		t.Skip("nothing happens at once in this test, and here it takes ten times as long")
	}
}

// SQLite returns the URL of a database that does not exist yet, in a folder that goes when the test ends.
func SQLite(t testing.TB) string {
	t.Helper()
	return "sqlite:" + filepath.Join(folder(t), "tanpu.db")
}

// Postgres creates an empty database and returns its URL, as the server's superuser. The database and every role
// named after it go when the test ends, even if connections are still open.
func Postgres(t testing.TB) string {
	t.Helper()
	server := os.Getenv(Server)
	if server == "" {
		t.Fatalf("%s is not set, so this cannot run on PostgreSQL: use `make check`, or `scripts/postgres run --fast go test ./...`", Server)
	}
	name := "tanpu_test_" + randomHex(6)
	at, err := url.Parse(server)
	if err != nil {
		t.Fatalf("%s is not a URL: %v", Server, err)
	}
	at.Path = "/" + name

	onServer(t, server, func(ctx context.Context, c *pgx.Conn) error { return createDatabase(ctx, c, name) })
	t.Cleanup(func() {
		onServer(t, server, func(ctx context.Context, c *pgx.Conn) error { return drop(ctx, c, name) })
	})
	return at.String()
}

// Backup copies a database that nobody has open. What it returns puts the copy in the database's place, once.
func Backup(t testing.TB, at string) (restore func()) {
	copied := Copy(t, at)
	return func() { t.Helper(); Replace(t, at, copied) }
}

// Copy copies a database that nobody has open, and returns the URL of the copy.
func Copy(t testing.TB, at string) (copied string) {
	t.Helper()
	if file, ok := strings.CutPrefix(at, "sqlite:"); ok {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		copied := file + "." + randomHex(3)
		if err := os.WriteFile(copied, text, 0o666); err != nil {
			t.Fatal(err)
		}
		return "sqlite:" + copied
	}
	u, name := named(t, at)
	other := name + "_" + randomHex(3)
	statements(t, "CREATE DATABASE "+other+" TEMPLATE "+name, // its role may do what that of the other may
		"CREATE ROLE "+other+"_runtime NOLOGIN IN ROLE "+name+"_runtime")
	t.Cleanup(func() { statements(t, "DROP DATABASE IF EXISTS "+other+" WITH (FORCE)") })
	u.Path = "/" + other
	return u.String()
}

// Replace puts a copy, which is gone then, in a database's place. Nobody has the copy open; who has the other on PostgreSQL is cut off.
func Replace(t testing.TB, at, copied string) {
	t.Helper()
	if file, ok := strings.CutPrefix(at, "sqlite:"); ok {
		if err := os.Rename(strings.TrimPrefix(copied, "sqlite:"), file); err != nil {
			t.Fatal(err)
		}
		return
	}
	_, name := named(t, at)
	_, other := named(t, copied)
	statements(t, "DROP DATABASE "+name+" WITH (FORCE)", "ALTER DATABASE "+other+" RENAME TO "+name)
}

func named(t testing.TB, at string) (*url.URL, string) {
	t.Helper()
	u, err := url.Parse(at)
	if err != nil {
		t.Fatal(err)
	}
	return u, strings.TrimPrefix(u.Path, "/")
}

func statements(t testing.TB, list ...string) {
	t.Helper()
	onServer(t, os.Getenv(Server), func(ctx context.Context, c *pgx.Conn) error {
		for _, s := range list {
			if _, err := c.Exec(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
}

// createDatabase prefers a collation that is not byte order, as production databases often have: whoever relies on
// the order of text then notices here that it must be said in the SQL. Servers built without ICU have only their own.
func createDatabase(ctx context.Context, c *pgx.Conn, name string) error {
	create := "CREATE DATABASE " + pgx.Identifier{name}.Sanitize() + " TEMPLATE template0"
	_, err := c.Exec(ctx, create+" LOCALE_PROVIDER icu ICU_LOCALE 'und'")
	if unsupported := new(pgconn.PgError); errors.As(err, &unsupported) && unsupported.Code == "0A000" {
		_, err = c.Exec(ctx, create)
	}
	return err
}

// drop removes the database first: once it is gone, its roles own nothing and can go too.
func drop(ctx context.Context, c *pgx.Conn, name string) error {
	if _, err := c.Exec(ctx, "DROP DATABASE IF EXISTS "+pgx.Identifier{name}.Sanitize()+" WITH (FORCE)"); err != nil {
		return err
	}
	rows, err := c.Query(ctx, "SELECT rolname FROM pg_roles WHERE starts_with(rolname, $1)", name+"_")
	if err != nil {
		return err
	}
	roles, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	for _, role := range roles {
		if _, err := c.Exec(ctx, "DROP ROLE "+pgx.Identifier{role}.Sanitize()); err != nil {
			return err
		}
	}
	return nil
}

// onServer connects for one purpose and hangs up. A test's own context is already over when it cleans up.
func onServer(t testing.TB, server string, do func(context.Context, *pgx.Conn) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	c, err := pgx.Connect(ctx, server)
	if err != nil {
		t.Fatalf("connecting to the PostgreSQL that %s names: %v", Server, err)
	}
	defer c.Close(ctx)
	if err := do(ctx, c); err != nil {
		t.Fatalf("preparing or removing a test database: %v", err)
	}
}

func randomHex(n int) string {
	b := make([]byte, n)
	rand.Read(b) // never fails (Go 1.24)
	return hex.EncodeToString(b)
}
