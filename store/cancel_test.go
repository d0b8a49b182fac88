package store_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// TestCanceledIsOver: whose context ends in the middle of a transaction has ended it when he is told so. It was rolled back
// beside us, and on SQLite the next one on the connection could find it open: a server that was told to stop did
// not seal what it had answered last.
func TestCanceledIsOver(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 2)
		defer db.Close()
		if err := db.BeginLog(ctx(), "tanpu.example/log", nil, ledger.Hash{}); err != nil {
			t.Fatal(err)
		}
		for range 1000 {
			stopped, stop := context.WithCancel(ctx())
			over := errors.New("stopped")
			if _, err := db.Seal(stopped, func(*store.Sealing) error {
				go stop()
				<-stopped.Done()
				return over
			}); !errors.Is(err, over) {
				t.Fatal(err)
			}
			if done, err := db.Seal(ctx(), func(*store.Sealing) error { return nil }); err != nil || !done {
				t.Fatalf("the next one: %v, %v", done, err)
			}
		}
	})
}
