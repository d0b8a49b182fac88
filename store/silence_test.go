package store

import (
	"context"
	"testing"

	"github.com/tanpu/tanpu/store/storetest"
)

// A server that falls silent while it holds a partition loses it after a minute, or when the database's address
// says so. Otherwise one that is frozen would keep all others from writing.
func TestSilence(t *testing.T) {
	url := storetest.Postgres(t)
	for at, want := range map[string]string{url: "15s", url + "&idle_in_transaction_session_timeout=4s": "4s"} {
		db, err := connect(at, writing)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var got string
		if err := db.write.QueryRowContext(context.Background(), "SHOW idle_in_transaction_session_timeout").Scan(&got); err != nil || got != want {
			t.Errorf("%s: got %s (%v), want %s", redact(at), got, err, want)
		}
	}
}
