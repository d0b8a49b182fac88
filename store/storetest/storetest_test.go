package storetest_test

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tanpu/tanpu/store/storetest"
)

// TestPostgresLeavesNothing leaves a connection open and a role behind, as a failing test would.
func TestPostgresLeavesNothing(t *testing.T) {
	ctx := context.Background()
	var name string
	used := t.Run("use", func(t *testing.T) {
		at := storetest.Postgres(t)
		c, err := pgx.Connect(ctx, at)
		if err != nil {
			t.Fatal(err)
		}
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		name = strings.TrimPrefix(u.Path, "/")
		for _, sql := range []string{
			"CREATE TABLE claim (id text)",
			"CREATE ROLE " + name + "_runtime LOGIN",
			"GRANT SELECT ON claim TO " + name + "_runtime",
		} {
			if _, err := c.Exec(ctx, sql); err != nil {
				t.Fatal(err)
			}
		}
	})
	if !used {
		return
	}

	c, err := pgx.Connect(ctx, os.Getenv(storetest.Server))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	var left int
	err = c.QueryRow(ctx, `SELECT (SELECT count(*) FROM pg_database WHERE datname = $1)
		+ (SELECT count(*) FROM pg_roles WHERE starts_with(rolname, $1))`, name).Scan(&left)
	if err != nil {
		t.Fatal(err)
	}
	if left != 0 {
		t.Errorf("%d databases and roles named %s are left, want none", left, name)
	}
}

// TestEachFailsWithoutPostgres runs itself without the variable: a missing server must be red, never a skip.
func TestEachFailsWithoutPostgres(t *testing.T) {
	if os.Getenv(storetest.Server) == "" {
		storetest.Each(t, func(*testing.T, string) {})
		return
	}
	again := exec.Command(os.Args[0], "-test.run=^TestEachFailsWithoutPostgres$")
	again.Env = append(os.Environ(), storetest.Server+"=")
	out, err := again.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "make check") {
		t.Errorf("without %s: error %v and output %q, want a failure that names make check", storetest.Server, err, out)
	}
}
