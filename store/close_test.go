package store_test

import (
	"os"
	"strings"
	"testing"

	"github.com/tanpu/tanpu/store/storetest"
)

// TestCloseEndsTheLog: a SQLite database that was closed is one file. Its log used to stay beside it, and
// whoever copied the file alone lost what had been written.
func TestCloseEndsTheLog(t *testing.T) {
	url := storetest.SQLite(t)
	db := create(t, url, 2)
	fill(t, db)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	file := strings.TrimPrefix(url, "sqlite:")
	for _, beside := range []string{"-wal", "-shm"} {
		if info, err := os.Stat(file + beside); err == nil {
			t.Errorf("%d bytes are left in %s", info.Size(), beside)
		}
	}
}
