package store

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/tanpu/tanpu/rules/claim"
)

// Plans says how PostgreSQL would carry out intake's look-ups in claims, with the settings of the connections that write;
// on SQLite, how that would.
func (db *DB) Plans(t testing.TB) (identity, spans string) {
	t.Helper()
	ctx := context.Background()
	plan := func(l *lookup, values string) string {
		var lines []string
		err := db.Update(ctx, 0, 1, func(tx *Tx) error {
			query, explain := "WITH p(part) AS (VALUES (0)), u("+strings.Join(names(l.keys), ", ")+") AS (VALUES "+strings.ReplaceAll(values, "ARRAY", "")+") "+
				strings.ReplaceAll(l.query(sqlite), "$1", "(SELECT part FROM p)"), "EXPLAIN QUERY PLAN "
			if db.engine == postgres {
				query, explain = "PREPARE looked AS WITH u AS (SELECT * FROM "+unnest(l.keys)+") "+l.query(postgres), ""
				return tx.postgres(func(c *pgx.Conn) error {
					if _, err := c.Exec(ctx, query); err != nil {
						return err
					}
					rows, err := c.Query(ctx, "EXPLAIN EXECUTE looked(0, "+values+")", pgx.QueryExecModeSimpleProtocol)
					if err != nil {
						return err
					}
					lines, err = pgx.CollectRows(rows, pgx.RowTo[string])
					c.Exec(ctx, "DEALLOCATE looked")
					return err
				})
			}
			return eachRow(ctx, tx.desk.conn, func(scan func(...any) error) error {
				var id, parent, none int
				var line string
				err := scan(&id, &parent, &none, &line)
				lines = append(lines, line)
				return err
			}, explain+query)
		})
		if err != nil {
			t.Fatal(err)
		}
		return strings.Join(lines, "\n")
	}
	array := func(texts ...string) string {
		if db.engine == postgres {
			return "ARRAY[" + strings.Join(texts, "], ARRAY[") + "]"
		}
		return "(" + strings.Join(texts, ", ") + ")"
	}
	return plan(same(nil, map[claim.Identity]claim.Recorded{}), array("1", "'p'", "'i'")),
		plan(near(nil, map[claim.Line][]claim.Span{}), array("1", "'trip'", "1", fmt.Sprint(2)))
}
