package audit_test

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// Damage is done with rights that no server has: on PostgreSQL as a superuser, on SQLite without triggers.

// oneOf picks one claim, always the same, for a WHERE.
func oneOf(condition string) string {
	return "(part, batch, ord) = (SELECT part, batch, ord FROM claim WHERE " + condition + " ORDER BY part, batch, ord LIMIT 1)"
}

// oneSigned picks one signed request, always the same.
const oneSigned = "root = (SELECT root FROM testimony ORDER BY root LIMIT 1)"

// oneReversal picks one reversal, always the same.
func oneReversal(condition string) string {
	return "(part, batch, ord) = (SELECT part, batch, ord FROM reversal WHERE " + condition + " ORDER BY part, batch, ord LIMIT 1)"
}

// A damage is done to a database that was clean. The audit must find each of the kinds, and may find more.
var damages = []struct {
	name  string
	do    []string
	kinds []audit.Kind
}{
	{"more milligrams", []string{"UPDATE claim SET mg = mg + 1 WHERE " + oneOf("mg > 0")}, []audit.Kind{audit.Verdicts, audit.Totals, audit.DayTotals}},
	{"more points", []string{"UPDATE claim SET points = points + 1 WHERE " + oneOf("points > 0")}, []audit.Kind{audit.Verdicts, audit.Totals, audit.DayTotals}},
	{"another quantity", []string{"UPDATE claim SET body = replace(body, '\"distance\":\"', '\"distance\":\"1') WHERE " + oneOf("reason = 'ok' AND body LIKE '%distance%'")}, []audit.Kind{audit.Leaves}},
	{"a body that is none", []string{"UPDATE claim SET body = body || ' ' WHERE " + oneOf("reason = 'ok'")}, []audit.Kind{audit.Verdicts}},
	{"another reason", []string{"UPDATE claim SET reason = 'overlap' WHERE " + oneOf("reason = 'ok'")}, []audit.Kind{audit.Verdicts, audit.Totals, audit.DayTotals}},
	{"a refusal made good", []string{"UPDATE claim SET reason = 'ok' WHERE " + oneOf("reason = 'overlap' AND grp = 'trip'")}, []audit.Kind{audit.Verdicts, audit.Overlaps}},
	{"other operands", []string{`UPDATE claim SET operands = '{"other":"nobody"}' WHERE ` + oneOf("reason = 'overlap'")}, []audit.Kind{audit.Verdicts}},
	{"another holder", []string{"UPDATE claim SET holder = account WHERE " + oneOf("holder = -2")}, []audit.Kind{audit.Verdicts}},
	{"another vintage", []string{"UPDATE claim SET vintage = '2027' WHERE " + oneOf("mg > 0")}, []audit.Kind{audit.Verdicts, audit.DayTotals}},
	{"another method", []string{"UPDATE claim SET method = 'BIKE@2' WHERE " + oneOf("method = 'BIKE@1'")}, []audit.Kind{audit.Verdicts, audit.Totals}},
	{"another programme", []string{"UPDATE claim SET programme = 'home' WHERE " + oneOf("programme = 'city'")}, []audit.Kind{audit.Verdicts, audit.Totals}},
	{"another scenario", []string{"UPDATE claim SET scenario = 'steps' WHERE " + oneOf("scenario = 'bike' AND reason = 'ok'")}, []audit.Kind{audit.Leaves}},
	{"another group", []string{"UPDATE claim SET grp = 'steps' WHERE " + oneOf("grp = 'trip'")}, []audit.Kind{audit.Verdicts}},
	{"other history used", []string{"UPDATE claim SET used = 'history used 2025-01=1' WHERE " + oneOf("used <> ''")}, []audit.Kind{audit.Verdicts}},
	{"another id", []string{"UPDATE claim SET id = id || 'x' WHERE " + oneOf("reason = 'ok'")}, []audit.Kind{audit.Leaves}},
	{"an earlier start", []string{"UPDATE claim SET start = start - 1 WHERE " + oneOf("reason = 'ok' AND grp = 'trip'")}, []audit.Kind{audit.Leaves}},
	{"a later end", []string{"UPDATE claim SET finish = finish + 1 WHERE " + oneOf("reason = 'ok' AND grp = 'trip'")}, []audit.Kind{audit.Leaves}},
	{"another partner", []string{"UPDATE claim SET partner = 'nobody' WHERE " + oneOf("reason = 'ok'")}, []audit.Kind{audit.Verdicts}},
	{"another's sub", []string{"UPDATE claim SET link = link + 1 WHERE " + oneOf("reason = 'ok'")}, []audit.Kind{audit.Verdicts}},
	{"a claim gone", []string{"DELETE FROM claim WHERE " + oneOf("mg > 0")}, []audit.Kind{audit.Places, audit.Totals, audit.DayTotals, audit.Balances}},
	{"a refusal gone", []string{"DELETE FROM claim WHERE " + oneOf("reason = 'implausible'")}, []audit.Kind{audit.Places, audit.Totals, audit.DayTotals}},
	{"a claim added", []string{`INSERT INTO claim (part, account, grp, start, batch, ord, finish, link, partner, id, programme, scenario, body, method, vintage, reason, operands, used, holder, mg, points)
		SELECT part, account, grp, start + 86400000000, batch, ord + 1000, finish + 86400000000, link, partner, 'new', programme, scenario, body, method, vintage, reason, operands, used, holder, mg, points
		FROM claim WHERE ` + oneOf("mg > 0")}, []audit.Kind{audit.Places, audit.Totals}},
	{"a claim moved to another account", []string{"UPDATE claim SET account = CASE WHEN account = 1 THEN 2 ELSE 1 END WHERE " + oneOf("mg > 0")}, []audit.Kind{audit.Places, audit.Verdicts, audit.Balances}},
	{"a claim moved to no account", []string{"UPDATE claim SET account = 1000000 WHERE " + oneOf("mg > 0")}, []audit.Kind{audit.Accounts, audit.Places}},
	{"a claim moved to another batch", []string{"UPDATE claim SET batch = batch + 1 WHERE " + oneOf("mg > 0")}, []audit.Kind{audit.Places, audit.Totals}},
	{"order swapped", []string{
		"UPDATE claim SET ord = -1 WHERE part = 0 AND batch = 9 AND ord = 0",
		"UPDATE claim SET ord = 0 WHERE part = 0 AND batch = 9 AND ord = 1",
		"UPDATE claim SET ord = 1 WHERE part = 0 AND batch = 9 AND ord = -1"}, []audit.Kind{audit.Leaves}},
	{"the last batch gone", []string{"DELETE FROM batch WHERE part = 1 AND batch = (SELECT next - 1 FROM partition WHERE part = 1)"}, []audit.Kind{audit.Numbering, audit.Chain}},
	{"a batch gone", []string{"DELETE FROM batch WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Numbering, audit.Chain, audit.Places}},
	{"a batch and its claims gone", []string{"DELETE FROM batch WHERE part = 1 AND batch = 5", "DELETE FROM claim WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Numbering, audit.Chain, audit.DayTotals}},
	{"the end cut off", []string{
		"DELETE FROM claim WHERE part = 1 AND batch = (SELECT next - 1 FROM partition WHERE part = 1)",
		"DELETE FROM batch WHERE part = 1 AND batch = (SELECT next - 1 FROM partition WHERE part = 1)",
		"UPDATE partition SET next = next - 1 WHERE part = 1"}, []audit.Kind{audit.Chain, audit.DayTotals}},
	{"a batch at another time", []string{"UPDATE batch SET at = at - 1 WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Chain}},
	{"time going back", []string{"UPDATE batch SET at = 1 WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Instants, audit.Chain}},
	{"a batch backfilled", []string{"UPDATE batch SET backfill = 1 - backfill WHERE part = 1 AND batch = 9"}, []audit.Kind{audit.Chain}},
	{"a batch by an older rulebook", []string{"UPDATE batch SET rulebook = rulebook - 1 WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Documents, audit.Chain}},
	{"a batch by a rulebook to come", []string{"UPDATE batch SET rulebook = 99 WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Documents, audit.Chain}},
	{"more claims in a batch", []string{"UPDATE batch SET claims = claims + 1 WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Leaves}},
	{"other counts", []string{"UPDATE batch SET counts = replace(counts, 'link-revoked', 'no-link') WHERE counts LIKE '%link-revoked%'"}, []audit.Kind{audit.Totals, audit.DayTotals}},
	{"counts that are none", []string{"UPDATE batch SET counts = counts || 'x' WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Totals}},
	{"a leaf changed", []string{"UPDATE batch SET leaves = CAST({zeros} || substr(leaves, 33) AS {bytes}) WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Leaves, audit.Chain}},
	{"a leaf cut off", []string{"UPDATE batch SET leaves = substr(leaves, 33) WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Leaves, audit.Chain}},
	{"an owner changed", []string{"UPDATE batch SET accounts = CAST({eight} || substr(accounts, 9) AS {bytes}) WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Places}},
	{"a root changed", []string{"UPDATE batch SET root = {zeros} WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Chain}},
	{"totals changed", []string{"UPDATE batch SET totals = {zeros} WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Chain, audit.Totals}},
	{"a chain broken", []string{"UPDATE batch SET prev = {zeros} WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Chain}},
	{"a hash changed", []string{"UPDATE batch SET hash = {zeros} WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Chain}},
	{"a hash too long", []string{"UPDATE batch SET hash = CAST(hash || {eight} AS {bytes}) WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Chain}},
	{"the partition's hash changed", []string{"UPDATE partition SET hash = {zeros} WHERE part = 1"}, []audit.Kind{audit.Chain}},
	{"the partition's instant changed", []string{"UPDATE partition SET at = at + 1 WHERE part = 1"}, []audit.Kind{audit.Instants}},
	{"the partition's number changed", []string{"UPDATE partition SET next = next + 1 WHERE part = 1"}, []audit.Kind{audit.Numbering}},
	{"the partition's secret changed", []string{"UPDATE partition SET secret = {zeros} WHERE part = 1"}, []audit.Kind{audit.Totals}},
	{"a member's balance", []string{"UPDATE balance SET amount = amount + 1 WHERE (part, holder, asset) = (SELECT part, holder, asset FROM balance WHERE holder > 0 ORDER BY part, holder, asset LIMIT 1)"}, []audit.Kind{audit.Balances, audit.Sums}},
	{"the applicant's balance", []string{"UPDATE balance SET amount = amount - 1 WHERE part = 2 AND holder = -2"}, []audit.Kind{audit.Balances, audit.Sums}},
	{"balances that still sum to zero", []string{"UPDATE balance SET amount = amount - 1 WHERE part = 2 AND holder = -2", "UPDATE balance SET amount = amount + 1 WHERE part = 2 AND holder = -1 AND asset LIKE 'CO2E/city/%'"}, []audit.Kind{audit.Balances}},
	{"a balance gone", []string{"DELETE FROM balance WHERE (part, holder, asset) = (SELECT part, holder, asset FROM balance WHERE holder > 0 AND amount <> 0 ORDER BY part, holder, asset LIMIT 1)"}, []audit.Kind{audit.Balances, audit.Sums}},
	{"a member's balance added", []string{"INSERT INTO balance (part, holder, asset, amount) VALUES (1, 1, 'POINT/city/2099-12', 5)"}, []audit.Kind{audit.Balances, audit.Sums}},
	{"a stranger's balance added", []string{"INSERT INTO balance (part, holder, asset, amount) VALUES (1, 77777, 'POINT/city/2099-12', 5), (1, -9, 'POINT/city/2099-12', -5)"}, []audit.Kind{audit.Balances}},
	{"usage changed", []string{"UPDATE usage SET used = '1' WHERE (part, account, method, period) = (SELECT part, account, method, period FROM usage WHERE used <> '1' ORDER BY part, account, method, period LIMIT 1)"}, []audit.Kind{audit.Usages}},
	{"usage gone", []string{"DELETE FROM usage WHERE part = 0 AND account = 1"}, []audit.Kind{audit.Usages}},
	{"usage added", []string{"INSERT INTO usage (part, account, method, period, used) VALUES (0, 1, 'BIKE', '2031-01-01', '3')"}, []audit.Kind{audit.Usages}},
	{"a slot changed", []string{"UPDATE slot SET greatest = greatest + 1 WHERE part = 0 AND grp = 'steps'"}, []audit.Kind{audit.Slots}},
	{"a slot included less", []string{"UPDATE slot SET included = 0 WHERE included > 0"}, []audit.Kind{audit.Slots}},
	{"a slot's partner changed", []string{"UPDATE slot SET partner = 'nobody' WHERE part = 0 AND grp = 'order'"}, []audit.Kind{audit.Slots}},
	{"a slot gone", []string{"DELETE FROM slot WHERE part = 0 AND grp = 'order'"}, []audit.Kind{audit.Slots}},
	{"a slot added", []string{"INSERT INTO slot (part, account, grp, key, greatest, included, partner) VALUES (0, 1, 'order', 'mine', 0, 0, 'bank')"}, []audit.Kind{audit.Slots}},
	{"history changed", []string{"UPDATE history SET value = '1' WHERE (part, account, period) = (SELECT part, account, period FROM history ORDER BY part, account, period LIMIT 1)"}, []audit.Kind{audit.Histories}},
	{"history gone", []string{"DELETE FROM history WHERE (part, account, period) = (SELECT part, account, period FROM history ORDER BY part, account, period LIMIT 1)"}, []audit.Kind{audit.Histories}},
	{"history added", []string{"INSERT INTO history (part, account, method, input, object, period, value) VALUES (0, 1, 'METER', 'used', '', '1999-01', '1')"}, []audit.Kind{audit.Histories}},
	{"a day's total changed", []string{"UPDATE day_total SET claims = claims + 1 WHERE part = 0 AND reason = 'ok'"}, []audit.Kind{audit.DayTotals}},
	{"a day's total gone", []string{"DELETE FROM day_total WHERE part = 0 AND reason = 'ok'"}, []audit.Kind{audit.DayTotals}},
	{"a day's total added", []string{"INSERT INTO day_total (part, programme, day, method, vintage, reason, claims, mg, points) VALUES (0, 'city', '1999-01-01', '', '', 'ok', 1, 1, 1)"}, []audit.Kind{audit.DayTotals}},
	{"a reversal gone", []string{"DELETE FROM reversal WHERE " + oneReversal("true")}, []audit.Kind{audit.Corrections, audit.Places}},
	{"a reversal added", []string{`INSERT INTO reversal (part, account, batch, ord, of_batch, of_ord, why, who, reason, mg, points, owed_mg, owed_points, next_ord, next_at, next_rulebook, next_backfill)
		SELECT part, account, 9, 77, batch, ord, 'retracted', partner, '', mg, points, 0, 0, -1, 0, 0, 0 FROM claim WHERE reversed = 0 AND batch < 9 AND ` + oneOf("mg > 0 AND reversed = 0")}, []audit.Kind{audit.Corrections, audit.Places}},
	{"a reversal of nobody's", []string{"UPDATE reversal SET account = 777777 WHERE " + oneReversal("true")}, []audit.Kind{audit.Corrections, audit.Places}},
	{"a reversal moved", []string{"UPDATE reversal SET ord = ord + 50 WHERE " + oneReversal("true")}, []audit.Kind{audit.Corrections, audit.Places}},
	{"a reversal in another batch", []string{"UPDATE reversal SET batch = 1 WHERE " + oneReversal("true")}, []audit.Kind{audit.Corrections, audit.Places}},
	{"more taken back", []string{"UPDATE reversal SET mg = mg + 1 WHERE " + oneReversal("mg > 0")}, []audit.Kind{audit.Corrections, audit.Totals, audit.DayTotals}},
	{"more points taken back", []string{"UPDATE reversal SET points = points + 1 WHERE " + oneReversal("points > 0")}, []audit.Kind{audit.Corrections, audit.Totals, audit.DayTotals}},
	{"a reduction charged", []string{"UPDATE reversal SET owed_mg = owed_mg + 1 WHERE " + oneReversal("true")}, []audit.Kind{audit.Corrections}},
	{"points charged", []string{"UPDATE reversal SET owed_points = owed_points + 1 WHERE " + oneReversal("true")}, []audit.Kind{audit.Corrections}},
	{"reversed for another reason", []string{"UPDATE reversal SET reason = 'because' WHERE " + oneReversal("ord = 0")}, []audit.Kind{audit.Leaves}},
	{"reversed by somebody else", []string{"UPDATE reversal SET who = 'operator' WHERE " + oneReversal("ord = 0 AND who <> 'operator'")}, []audit.Kind{audit.Leaves}},
	{"replaced and not retracted", []string{"UPDATE reversal SET why = 'replaced' WHERE " + oneReversal("why = 'retracted'")}, []audit.Kind{audit.Corrections}},
	{"retracted and not replaced", []string{"UPDATE reversal SET why = 'retracted' WHERE " + oneReversal("why = 'replaced'")}, []audit.Kind{audit.Corrections}},
	{"a reversal of another claim", []string{"UPDATE reversal SET of_ord = of_ord + 1 WHERE " + oneReversal("true")}, []audit.Kind{audit.Corrections}},
	{"something in its place", []string{"UPDATE reversal SET next_ord = 0 WHERE " + oneReversal("next_ord < 0")}, []audit.Kind{audit.Corrections}},
	{"nothing in its place", []string{"UPDATE reversal SET next_ord = -1 WHERE " + oneReversal("next_ord > 0")}, []audit.Kind{audit.Corrections}},
	{"judged as of another time", []string{"UPDATE reversal SET next_at = next_at - 1 WHERE " + oneReversal("next_ord > 0")}, []audit.Kind{audit.Corrections}},
	{"judged by another rulebook", []string{"UPDATE reversal SET next_rulebook = next_rulebook - 1 WHERE " + oneReversal("next_ord > 0")}, []audit.Kind{audit.Corrections}},
	{"judged as after the fact", []string{"UPDATE reversal SET next_backfill = 1 - next_backfill WHERE " + oneReversal("next_ord > 0")}, []audit.Kind{audit.Corrections}},
	{"a mark taken away", []string{"UPDATE claim SET reversed = 0 WHERE " + oneOf("reversed <> 0")}, []audit.Kind{audit.Corrections}},
	{"a mark that nothing explains", []string{"UPDATE claim SET reversed = 9 WHERE " + oneOf("reversed = 0 AND mg > 0")}, []audit.Kind{audit.Corrections}},
	{"a mark of another batch", []string{"UPDATE claim SET reversed = reversed + 1 WHERE " + oneOf("reversed <> 0")}, []audit.Kind{audit.Corrections}},
	{"judged again once more", []string{"UPDATE claim SET again = again + 1 WHERE " + oneOf("again <> 0")}, []audit.Kind{audit.Corrections}},
	{"never judged again", []string{"UPDATE claim SET again = 1 WHERE " + oneOf("again = 0 AND reversed = 0")}, []audit.Kind{audit.Corrections}},
	{"another body judged again", []string{"UPDATE claim SET body = '{}' WHERE " + oneOf("again <> 0 AND body <> '{}'")}, []audit.Kind{audit.Corrections}},
	{"more milligrams judged again", []string{"UPDATE claim SET mg = mg + 1 WHERE " + oneOf("again <> 0 AND mg > 0")}, []audit.Kind{audit.Verdicts, audit.Totals, audit.DayTotals}},
	{"a claim judged again gone", []string{"DELETE FROM claim WHERE " + oneOf("again <> 0")}, []audit.Kind{audit.Places, audit.Corrections}},
	{"a correction that is none", []string{"UPDATE batch SET backfill = 0 WHERE (part, batch) = (SELECT part, batch FROM batch WHERE backfill = 2 ORDER BY part, batch LIMIT 1)"}, []audit.Kind{audit.Chain, audit.Corrections}},
	{"a batch made a correction", []string{"UPDATE batch SET backfill = 2 WHERE part = 1 AND batch = 5"}, []audit.Kind{audit.Chain, audit.Corrections}},
	{"a signature changed", []string{"UPDATE testimony SET signature = CAST({zeros} || substr(signature, 33) AS {bytes}) WHERE " + oneSigned}, []audit.Kind{audit.Signatures}},
	{"what was signed changed", []string{"UPDATE testimony SET base = replace(base, 'tanpu.example', 'tanpu.sample') WHERE " + oneSigned}, []audit.Kind{audit.Signatures}},
	{"signed by another partner", []string{"UPDATE testimony SET partner = 'bank' WHERE " + oneSigned}, []audit.Kind{audit.Signatures}},
	{"signed with another salt", []string{"UPDATE testimony SET salt = {zeros} WHERE " + oneSigned}, []audit.Kind{audit.Signatures}},
	{"a signed leaf changed", []string{"UPDATE testimony SET leaves = CAST({zeros} || substr(leaves, 33) AS {bytes}) WHERE " + oneSigned}, []audit.Kind{audit.Signatures}},
	{"a signed leaf cut off", []string{"UPDATE testimony SET leaves = substr(leaves, 33) WHERE " + oneSigned}, []audit.Kind{audit.Signatures}},
	{"a signed request gone", []string{"DELETE FROM testimony WHERE " + oneSigned}, []audit.Kind{audit.Signatures}},
	{"signed places changed", []string{"UPDATE testimony_batch SET places = CAST({eight} || substr(places, 9) AS {bytes}) WHERE substr(places, 1, 8) <> {eight}"}, []audit.Kind{audit.Signatures}},
	{"signed places cut off", []string{"UPDATE testimony_batch SET places = substr(places, 2)"}, []audit.Kind{audit.Signatures}},
	{"signed claims of another batch", []string{"UPDATE testimony_batch SET batch = batch + 1000000"}, []audit.Kind{audit.Signatures}},
	{"a partner's key gone", []string{"DELETE FROM partner_key"}, []audit.Kind{audit.Signatures}},
	{"a key of another partner", []string{"UPDATE partner_key SET partner = 'bank'"}, []audit.Kind{audit.Signatures}},
	{"a document's text changed", []string{"UPDATE document SET body = {bike} WHERE name = 'BIKE@1'"}, []audit.Kind{audit.Documents, audit.Verdicts, audit.Leaves}},
	{"a document changed with its hash", []string{"UPDATE document SET body = {bike}, hash = {bikehash} WHERE name = 'BIKE@1'"}, []audit.Kind{audit.Verdicts, audit.Leaves}},
	{"a document that cannot be read", []string{"UPDATE document SET body = {eight} WHERE name = 'BIKE@1'"}, []audit.Kind{audit.Documents}},
	{"a document gone", []string{"DELETE FROM document WHERE name = 'city'"}, []audit.Kind{audit.Numbering}},
	{"documents out of time", []string{"UPDATE document SET at = 1 WHERE rulebook = 2"}, []audit.Kind{audit.Instants}},
	{"an account key changed", []string{"UPDATE account_key SET key = {zeros} WHERE part = 0 AND account = 1"}, []audit.Kind{audit.Leaves}},
	{"an account gone", []string{"DELETE FROM account WHERE part = 0 AND account = 1"}, []audit.Kind{audit.Accounts}},
	{"a link gone", []string{"DELETE FROM link WHERE part = 0 AND account = 1 AND partner = 'rides'"}, []audit.Kind{audit.Verdicts}},
	{"a link with other purposes", []string{"UPDATE link SET purposes = 'statistics' WHERE part = 0 AND account = 1"}, []audit.Kind{audit.Verdicts}},
	{"a link ended earlier", []string{"UPDATE link SET revoked = 1 WHERE part = 0 AND account = 1"}, []audit.Kind{audit.Verdicts}},
	{"an object registered later", []string{"UPDATE account_object SET at = at + 86400000000000"}, []audit.Kind{audit.Verdicts}},
	{"an object registered earlier", []string{"UPDATE account_object SET at = 1"}, []audit.Kind{audit.Verdicts}},
}

func TestDamage(t *testing.T) {
	storetest.OneByOne(t)
	storetest.Each(t, func(t *testing.T, url string) {
		live(t, url, 7, 7).db.Close()
		w := newWreck(t, url)
		for _, d := range damages {
			t.Run(d.name, func(t *testing.T) {
				defer w.mend(t, d.do)
				for _, statement := range d.do {
					if w.do(t, statement) == 0 {
						t.Fatalf("%s: there was nothing to damage", statement)
					}
				}
				r := run(t, w.db)
				for _, kind := range d.kinds {
					if r.Found[kind] == 0 {
						t.Errorf("nothing of kind %s was found, only %v", kind, r.Found)
					}
				}
				for _, f := range r.Findings[:min(3, len(r.Findings))] {
					t.Log(f)
				}
			})
		}
		if r := run(t, w.db); !r.Clean() {
			t.Errorf("mended, it is not clean: %v", r.Findings)
		}
	})
}

// Keys that are gone are told, and are no fault.
func TestKeyless(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		live(t, url, 4, 2).db.Close()
		w := newWreck(t, url)
		w.do(t, "DELETE FROM account_key WHERE part = 0 AND account = 1")
		if r := run(t, w.db); !r.Clean() || r.Keyless == 0 || len(r.Notes) == 0 {
			t.Errorf("found %v, %d claims without a key, notes %q; want nothing found, some claims and a note", r.Findings, r.Keyless, r.Notes)
		}
	})
}

// A wreck is a database that is damaged and mended again, over and over.
type wreck struct {
	db    *store.DB // as the audit sees it
	owner *sql.DB   // with all rights
	bytes string    // how bytes are written
	kind  string    // what a column of bytes is
	words map[string]string
}

var tables = []string{"partition", "document", "account", "account_key", "link", "account_object", "batch", "claim", "reversal", "balance", "usage", "slot", "history", "day_total",
	"consent", "partner_key", "testimony", "testimony_batch", "erasure", "removed", "removed_posting", "forgotten", "log", "log_entry", "log_tile", "log_mark"}

func newWreck(t *testing.T, url string) *wreck {
	t.Helper()
	driver, name := "pgx", url+"&session_replication_role=replica" // no triggers
	w := &wreck{bytes: "'\\x%x'::bytea", kind: "bytea", words: map[string]string{}}
	if path, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, name = "sqlite", "file:"+path+"?_pragma=synchronous(OFF)"
		w.bytes, w.kind = "x'%x'", "blob"
	}
	var err error
	if w.owner, err = sql.Open(driver, name); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.owner.Close() })
	w.owner.SetMaxOpenConns(1)
	w.words["{bytes}"] = w.kind
	w.mean("{zeros}", make([]byte, 32))
	w.mean("{eight}", make([]byte, 8))
	w.mean("{bike}", dearBike(t))
	w.mean("{bikehash}", hashOf(dearBike(t)))
	if driver == "sqlite" {
		w.dropTriggers(t)
	}
	for _, table := range tables {
		w.do(t, "CREATE TABLE kept_"+table+" AS SELECT * FROM "+table)
	}
	if w.db, err = store.OpenRead(context.Background(), url); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close() })
	return w
}

// do carries out one statement and says how many rows it changed. Words in braces stand for something else.
func (w *wreck) do(t *testing.T, statement string) int64 {
	t.Helper()
	for word, text := range w.words {
		statement = strings.ReplaceAll(statement, word, text)
	}
	result, err := w.owner.Exec(statement)
	if err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
	n, _ := result.RowsAffected()
	return n
}

// mean lets a word stand for bytes.
func (w *wreck) mean(word string, b []byte) { w.words[word] = fmt.Sprintf(w.bytes, b) }

// mend puts back the tables that statements have damaged.
func (w *wreck) mend(t *testing.T, statements []string) {
	t.Helper()
	for _, statement := range statements {
		words := strings.Fields(statement) // UPDATE x, DELETE FROM x, INSERT INTO x
		table := words[1]
		if words[0] != "UPDATE" {
			table = words[2]
		}
		w.do(t, "DELETE FROM "+table)
		w.do(t, "INSERT INTO "+table+" SELECT * FROM kept_"+table)
	}
}

func (w *wreck) dropTriggers(t *testing.T) {
	t.Helper()
	var drops sql.NullString
	if err := w.owner.QueryRow("SELECT group_concat('DROP TRIGGER ' || name, ';') FROM sqlite_schema WHERE type = 'trigger'").Scan(&drops); err != nil {
		t.Fatal(err)
	}
	w.do(t, drops.String)
}

// dearBike is the methodology of riding, for twice the credit.
func dearBike(t *testing.T) []byte {
	files := documents(t)
	i := slices.IndexFunc(files, func(f publish.File) bool { return f.Name == "bike.methodology.yaml" })
	return []byte(strings.NewReplacer("93.3", "186.6", "reduction: 186.6", "reduction: 373.2").Replace(string(files[i].Text)))
}

func hashOf(b []byte) []byte { h := sha256.Sum256(b); return h[:] }
