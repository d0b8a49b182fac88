package store_test

import (
	"strings"
	"testing"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// A PostgreSQL that is a standby, or a base backup on its way back, can be read; whoever means to write hears what to do, and
// not that a statement cannot be executed.
func TestStandby(t *testing.T) {
	at := storetest.Postgres(t)
	create(t, at, 1).Close()
	if _, err := raw(t, at).Exec("CREATE FUNCTION public.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT true'"); err != nil {
		t.Fatal(err)
	}
	at += "&search_path=public,pg_catalog" // where that one is found first
	for name, open := range map[string]func() (*store.DB, error){
		"Open":        func() (*store.DB, error) { return store.Open(t.Context(), at) },
		"OpenKeys":    func() (*store.DB, error) { return store.OpenKeys(t.Context(), at) },
		"OpenRestore": func() (*store.DB, error) { return store.OpenRestore(t.Context(), at) },
		"Create":      func() (*store.DB, error) { return store.Create(t.Context(), at, 1) },
	} {
		db, err := open()
		if err == nil {
			db.Close()
		}
		if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "still recovering or is a standby; end that first (pg_promote)") {
			t.Errorf("%s: %v", name, err)
		}
	}
	db, err := store.OpenRead(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	db.Close()
}
