package store_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// While claims keep coming, SQLite's log is taken back into the file beside them: it does not grow with all
// that was ever written, and nothing is lost when the database is opened again.
func TestLogStaysShort(t *testing.T) {
	url := storetest.SQLite(t)
	db := create(t, url, 2)
	put(t, db, documents...)
	subs := [][]string{members(t, db, 0, 400, "city", "bikes"), members(t, db, 1, 400, "city", "bikes")}
	file := strings.TrimPrefix(url, "sqlite:")
	before := size(t, file)
	claims := 0
	for round := 0; ; round++ {
		part := round % 2
		var rides []claim.Claim
		for _, sub := range subs[part] {
			rides = append(rides, ride(sub, fmt.Sprint(round), 10*(round/2)))
		}
		for i, v := range admit(t, db, part, noon, rides...) {
			if v.Reason != reason.OK {
				t.Fatalf("round %d, member %d: %v", round, i, v)
			}
		}
		claims += len(rides)
		if size(t, file) > before { // only the log grows until it is taken back
			break
		}
		if claims > 40_000 {
			t.Fatalf("after %d claims nothing was taken from the log into the file", claims)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if log := file + "-wal"; exists(log) {
		t.Errorf("%s is left behind", filepath.Base(log))
	}
	again, err := store.Open(ctx(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if n, err := again.ClaimCount(ctx()); err != nil || n != int64(claims) {
		t.Errorf("%d claims, %v; want %d", n, err, claims)
	}
}

func size(t *testing.T, file string) int64 {
	t.Helper()
	time.Sleep(time.Millisecond)
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
