package store_test

import (
	"context"
	"strings"
	"testing"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// A drill's database can be read, and drilled again, and nothing else: it has the real one's log, and whoever served it would end that.
func TestDrill(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		if drill, err := store.OpenDrill(ctx(), url); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a drill was made of a database that is served: %v, %v", drill, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		db, err := store.Open(ctx(), url) // was not marked by that
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if db, err = store.OpenDrill(ctx(), url); err != nil || !db.Drill() { // and whoever does it dies
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
		}
		for name, open := range map[string]func(context.Context, string) (*store.DB, error){
			"Open": store.Open, "OpenKeys": store.OpenKeys, "OpenRestore": store.OpenRestore,
			"Create": func(ctx context.Context, url string) (*store.DB, error) { return store.Create(ctx, url, 1) },
		} {
			if _, err := open(ctx(), url); fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "made by a drill") {
				t.Errorf("%s: %v", name, err)
			}
		}
		if db, err = store.OpenRead(ctx(), url); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}
