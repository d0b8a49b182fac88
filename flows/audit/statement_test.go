package audit_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/flows/statement"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// A statement says, now and long after, what the balances were, and its entries add up to it.
func TestStatements(t *testing.T) {
	storetest.OneByOne(t)
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url, 3, 6)
		w.meters()
		type held struct {
			at       claim.Micros
			balances map[store.AccountID]string
		}
		var then []held
		for range 6 {
			w.day()
			w.corrections(12)
			h := held{w.now.UnixMicro(), map[store.AccountID]string{}}
			for _, m := range w.members {
				h.balances[m.id] = balancesOf(t, w.db, m.id)
			}
			then = append(then, h)
			w.now = w.now.Add(time.Second)
		}
		books := &publish.Books{DB: w.db}
		for _, h := range then {
			for id, want := range h.balances {
				s, err := statement.Of(context.Background(), books, id, h.at)
				if err != nil {
					t.Fatal(err)
				}
				if got := said(s.Balances); got != want {
					t.Errorf("account %s as of %d: %s, want %s", id, h.at, got, want)
				}
			}
		}
	})
}

func balancesOf(t *testing.T, db *store.DB, id store.AccountID) string {
	t.Helper()
	balances, _, err := db.Account(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	return said(balances)
}

// said is what balances come to, without those that are zero.
func said(balances []store.Balance) string {
	balances = slices.DeleteFunc(slices.Clone(balances), func(b store.Balance) bool { return b.Amount == 0 })
	return fmt.Sprint(balances)
}
