package store_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/erase"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

var update = flag.Bool("update", false, "write schema/*/current.sql")

// TestCurrent compares schema/<engine>/current.sql, which shows the schema as it is after all migrations,
// with a database that was just made.
func TestCurrent(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		got := "-- The schema after all migrations, as the database shows it. Written by: go test ./store -run TestCurrent -update\n\n" + dump(t, db)
		file := "schema/" + db.Engine() + "/current.sql"
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s is not what migrating makes; rewrite it with -update:\n%s", file, got)
		}
	})
}

// TestEnginesAgree compares the engines' tables, columns and keys with each other.
func TestEnginesAgree(t *testing.T) {
	lite := columns(t, create(t, storetest.SQLite(t), 1))
	post := columns(t, create(t, storetest.Postgres(t), 1))
	if len(lite) < 50 {
		t.Fatalf("only %d columns found", len(lite))
	}
	for _, c := range lite {
		if !slices.Contains(post, c) {
			t.Errorf("only SQLite has %s", c)
		}
	}
	for _, c := range post {
		if !slices.Contains(lite, c) {
			t.Errorf("only PostgreSQL has %s", c)
		}
	}
}

// columns lists "table.column kind" with the column's place in the primary key, kinds as both engines have them.
func columns(t *testing.T, db *store.DB) []string {
	t.Helper()
	query := `SELECT m.name || '.' || c.name || ' ' || c.type || CASE c."notnull" WHEN 0 THEN '' ELSE ' NOT NULL' END || ' ' || c.pk
		FROM sqlite_schema m JOIN pragma_table_info(m.name) c WHERE m.type = 'table' ORDER BY 1`
	if db.Engine() == "postgres" {
		query = `SELECT t.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END ||
				' ' || coalesce(array_position(k.conkey, a.attnum), 0)
			FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
			LEFT JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = 'p'
			WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace ORDER BY 1`
	}
	kinds := strings.NewReplacer("integer", "INTEGER", "BIGINT", "INTEGER", "bigint", "INTEGER", "text", "TEXT", "bytea", "BLOB")
	var list []string
	for _, line := range strings.Split(strings.TrimSpace(cells(t, db, query)), "\n") {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		rest = kinds.Replace(rest)
		if !strings.HasSuffix(rest, " 0") {
			rest = strings.Replace(rest, " NOT NULL", "", 1) // a column of a primary key never is null, said or not
		}
		list = append(list, name+" "+rest)
	}
	return list
}

// dump writes the schema as SQL.
func dump(t *testing.T, db *store.DB) string {
	t.Helper()
	if db.Engine() == "sqlite" {
		text := cells(t, db, `SELECT sql || ';' FROM sqlite_schema WHERE sql IS NOT NULL
			ORDER BY tbl_name, CASE type WHEN 'table' THEN 0 WHEN 'index' THEN 1 ELSE 2 END, name`)
		return strings.ReplaceAll(text, "\t\n", "\n")
	}
	text := cells(t, db, dumpPostgres)
	role := regexp.MustCompile(`\btanpu_test_[0-9a-f]+_(runtime|eraser)\b`)
	return role.ReplaceAllString(strings.ReplaceAll(text, "\t\n", "\n"), "{$1}")
}

const dumpPostgres = `
SELECT text FROM (
	SELECT t.relname AS relname, 0 AS place, '' AS name, 'CREATE TABLE ' || t.relname || E' (\n' || string_agg('  ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) ||
			CASE WHEN a.attcollation <> 0 THEN ' COLLATE "' || c.collname || '"' ELSE '' END || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END, E',\n' ORDER BY a.attnum) ||
			coalesce(E',\n  ' || (SELECT pg_get_constraintdef(k.oid) FROM pg_constraint k WHERE k.conrelid = t.oid AND k.contype = 'p'), '') || E'\n);' AS text
		FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped LEFT JOIN pg_collation c ON c.oid = a.attcollation
		WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace GROUP BY t.oid, t.relname
	UNION ALL
	SELECT t.relname, 1, i.relname, replace(pg_get_indexdef(x.indexrelid), 'public.', '') || ';'
		FROM pg_index x JOIN pg_class t ON t.oid = x.indrelid JOIN pg_class i ON i.oid = x.indexrelid
		WHERE t.relnamespace = 'public'::regnamespace AND NOT x.indisprimary
	UNION ALL
	SELECT t.relname, 2, k.conname, 'ALTER TABLE ' || t.relname || ' ADD ' || pg_get_constraintdef(k.oid) || ';'
		FROM pg_constraint k JOIN pg_class t ON t.oid = k.conrelid WHERE t.relnamespace = 'public'::regnamespace AND k.contype IN ('c', 'f', 'u')
	UNION ALL
	SELECT t.relname, 3, g.tgname, replace(pg_get_triggerdef(g.oid), 'public.', '') || ';'
		FROM pg_trigger g JOIN pg_class t ON t.oid = g.tgrelid WHERE t.relnamespace = 'public'::regnamespace AND NOT g.tgisinternal
	UNION ALL
	SELECT t.relname, 4, t.relname || a.attname, 'GRANT ' || x.privilege_type || ' (' || a.attname || ') ON ' || t.relname || ' TO ' || x.grantee::regrole::text || ';'
		FROM pg_class t JOIN pg_attribute a ON a.attrelid = t.oid CROSS JOIN LATERAL aclexplode(a.attacl) x
		WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace
	UNION ALL
	SELECT t.relname, 3, g.grantee, 'GRANT ' || string_agg(g.privilege_type, ', ' ORDER BY g.privilege_type) || ' ON ' || t.relname || ' TO ' || g.grantee || ';'
		FROM pg_class t CROSS JOIN LATERAL (SELECT a.grantee::regrole::text AS grantee, a.privilege_type FROM aclexplode(t.relacl) a WHERE a.grantee <> t.relowner) g
		WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace GROUP BY t.relname, g.grantee
) s ORDER BY relname COLLATE "C", place, name`

// Which tables may be changed, and which can only be added to. A new table must be put into one list.
var (
	changeable = []string{"partition", "api_key", "balance", "usage", "slot", "history", "day_total", "log", "log_tile", "log_mark"}
	recorded   = []string{"database", "document", "account", "link", "object", "account_object", "request", "batch", "claim", "reversal", "consent", "log_entry",
		"partner_key", "testimony", "testimony_batch", "totals", "lost", "log_key", "account_key", "erasure", "removed", "removed_posting", "forgotten", "drill"}
	apart = []string{"erasing", "migration"} // the right to take an account's rows away, see TestEraseRight; written by migrations only
)

// TestAppendOnly tries, with the rights of a running server, to change or take away what is recorded.
func TestAppendOnly(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 2)
		fill(t, db)
		known := slices.Concat(changeable, recorded, apart)
		for _, table := range tables(t, db) {
			if !slices.Contains(known, table) {
				t.Errorf("is table %s append-only? Put it into a list of this test", table)
			}
		}
		for _, table := range recorded {
			before := rows(t, db, table)
			if before == "" {
				t.Errorf("the test leaves %s empty, so that it shows nothing", table)
			}
			for _, attempt := range attempts(t, db, table) {
				if err := db.Exec(ctx(), attempt); err == nil || !guarded.MatchString(err.Error()) {
					t.Errorf("%s: error %v, want the guard's", attempt, err)
				}
			}
			if after := rows(t, db, table); after != before {
				t.Errorf("%s changed:\n%s\n%s", table, before, after)
			}
		}
	})
}

// TestPartnerKeyEndsOnce: when a key was revoked is said once, and never taken back.
func TestPartnerKeyEndsOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		for i := range 2 {
			if err := db.AddPartnerKey(ctx(), store.PartnerKey{Partner: "bikes", Public: append(make([]byte, 31), byte(i)), Created: noon}); err != nil {
				t.Fatal(err)
			}
		}
		keys, err := db.PartnerKeys(ctx())
		if err != nil || len(keys) != 2 {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		if err := db.RevokePartnerKey(ctx(), keys[0].ID, noon); err != nil {
			t.Fatal(err)
		}
		for _, attempt := range []string{"UPDATE partner_key SET revoked = 0", "UPDATE partner_key SET revoked = revoked + 1 WHERE revoked <> 0", "UPDATE partner_key SET revoked = -1 WHERE revoked = 0"} {
			if err := db.Exec(ctx(), attempt); err == nil || !strings.Contains(err.Error(), "a key is revoked once") {
				t.Errorf("%s: error %v, want the guard's", attempt, err)
			}
		}
	})
}

// TestLinkEndsOnce: the one thing that is said of a link later is when it ended, and that only once.
func TestLinkEndsOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 2)
		fill(t, db) // ends one link
		for _, attempt := range []string{"UPDATE link SET revoked = 0", "UPDATE link SET revoked = revoked + 1 WHERE revoked <> 0", "UPDATE link SET revoked = -1 WHERE revoked = 0"} {
			if err := db.Exec(ctx(), attempt); err == nil || !strings.Contains(err.Error(), "a link ends once") {
				t.Errorf("%s: error %v, want the guard's", attempt, err)
			}
		}
	})
}

// TestClaimReversedOnce: the one thing that is said of a claim later is which batch reversed it, and that only once.
func TestClaimReversedOnce(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 2)
		fill(t, db) // reverses one claim
		for _, attempt := range []string{"UPDATE claim SET reversed = 0", "UPDATE claim SET reversed = reversed + 1 WHERE reversed <> 0", "UPDATE claim SET reversed = -1 WHERE reversed = 0"} {
			if err := db.Exec(ctx(), attempt); err == nil || !strings.Contains(err.Error(), "a claim is reversed once") {
				t.Errorf("%s: error %v, want the guard's", attempt, err)
			}
		}
	})
}

var guarded = regexp.MustCompile("is append-only|permission denied|must be owner")

func tables(t *testing.T, db *store.DB) []string {
	query := "SELECT name FROM sqlite_schema WHERE type = 'table'"
	if db.Engine() == "postgres" {
		query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
	}
	return strings.Fields(cells(t, db, query))
}

func rows(t *testing.T, db *store.DB, table string) string {
	order := "1, 2, 3"
	if table == "drill" { // of one column
		order = "1"
	}
	return cells(t, db, "SELECT * FROM "+table+" ORDER BY "+order)
}

// attempts are statements that would change a table. Each sets a column to what it is, so that only the
// guard can object.
func attempts(t *testing.T, db *store.DB, table string) []string {
	t.Helper()
	var names []string
	for _, c := range columns(t, db) {
		if name, ok := strings.CutPrefix(c, table+"."); ok {
			names = append(names, strings.Fields(name)[0])
		}
	}
	first := names[0]
	list := []string{
		fmt.Sprintf("UPDATE %s SET %s = %s", table, first, first),
		fmt.Sprintf("DELETE FROM %s", table),
		fmt.Sprintf("WITH x AS (SELECT 1) DELETE FROM %s", table),
	}
	if table != "database" { // which has no key that could conflict
		list = append(list, upsert(db, table, first))
	}
	if db.Engine() == "postgres" {
		return append(list, "TRUNCATE "+table, "DROP TABLE "+table, "ALTER TABLE "+table+" DISABLE TRIGGER ALL")
	}
	if table != "database" {
		list = append(list, fmt.Sprintf("INSERT OR REPLACE INTO %s SELECT * FROM %s", table, table),
			fmt.Sprintf("REPLACE INTO %s SELECT * FROM %s", table, table))
	}
	return append(list, fmt.Sprintf("UPDATE OR REPLACE %s SET %s = %s", table, first, first), fmt.Sprintf("UPDATE OR IGNORE %s SET %s = %s", table, first, first))
}

func upsert(db *store.DB, table, column string) string {
	on := "ON CONFLICT"
	if db.Engine() == "postgres" {
		on = "ON CONFLICT ON CONSTRAINT " + table + "_pkey"
	}
	return fmt.Sprintf("INSERT INTO %s SELECT * FROM %s WHERE true %s DO UPDATE SET %s = excluded.%s", table, table, on, column, column)
}

// fill leaves a row in every table.
func fill(t *testing.T, db *store.DB) {
	t.Helper()
	put(t, db, documents...)
	bikes := members(t, db, 0, 2, "city", "bikes")
	power := members(t, db, 0, 1, "home", "utility")
	leaver := members(t, db, 0, 1, "city", "bikes")
	if err := db.TakeObject(ctx(), "meter", store.AccountID{Part: 0, Number: 1}, noon); err != nil {
		t.Fatal(err)
	}
	err := db.Update(ctx(), 0, noon, func(tx *store.Tx) error {
		if err := tx.AddObject(ctx(), 1, "meter"); err != nil {
			return err
		}
		if err := tx.NoteSettled(ctx(), store.Request{Key: "a"}, store.AccountID{Part: tx.Part, Number: 1}); err != nil {
			return err
		}
		return tx.Revoke(ctx(), bikes[1])
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.BeginLog(ctx(), "a log", []byte("{}"), [32]byte{}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.OpenTotals(ctx(), 1, store.Series{Programme: "city"}, store.Sum{}, []byte("{}")); err != nil {
		t.Fatal(err)
	}
	_, err = db.Seal(ctx(), func(s *store.Sealing) error {
		if err := s.AddLost(ctx(), &record.Lost{Number: 1, Of: record.BatchType, From: 1, To: 1}); err != nil {
			return err
		}
		if err := s.AddKey(ctx(), &record.Key{Number: 1, Key: "a key"}); err != nil {
			return err
		}
		return s.Append(ctx(), []store.Item{{Stream: store.OriginStream, Number: 1, Body: []byte("{}")}}, nil, nil, [32]byte{}, noon)
	})
	if err != nil {
		t.Fatal(err)
	}
	admit(t, db, 0, noon, ride(bikes[0], "a", 0), ride(bikes[0], "b", 10), month(power[0], "c", 2025, 7, "100"))
	if err := db.AddPartnerKey(ctx(), store.PartnerKey{Partner: "bikes", Public: make([]byte, 32), Created: noon}); err != nil {
		t.Fatal(err)
	}
	signed := &store.Testimony{Partner: "bikes", Leaves: []ledger.Hash{{1}}, Signature: []byte{}, Places: []store.Said{{Ref: claim.Ref{Batch: 1}}}}
	if err := db.AddTestimonies(ctx(), []*store.Testimony{signed}); err != nil {
		t.Fatal(err)
	}
	retract(t, db, noon, bikes[0], "bikes", "b")
	admit(t, db, 0, noon, ride(leaver[0], "d", 0))
	l, _, err := db.LinkOf(ctx(), leaver[0])
	if err != nil {
		t.Fatal(err)
	}
	id := store.AccountID{Part: 0, Number: l.Account}
	if _, err := erase.New(db).Account(ctx(), id, time.UnixMicro(noon)); err != nil {
		t.Fatal(err)
	}
	if err := db.Exec(ctx(), "INSERT INTO drill (at) VALUES (1)"); err != nil {
		t.Fatal(err)
	}
}
