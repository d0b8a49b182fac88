package store_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/tanpu/tanpu/store"
)

// What we make holds accounts' keys and personal data, and nobody but its owner can read it: the database while it is
// open, its backup, the keys, and what is put back. A database that an operator has opened to a group stays so.
func TestOnlyTheOwnerReads(t *testing.T) {
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	want := func(mode fs.FileMode, names ...string) {
		t.Helper()
		for _, name := range names {
			if info, err := os.Stat(in(name)); err != nil {
				t.Error(err)
			} else if got := info.Mode().Perm(); got != mode {
				t.Errorf("%s has the mode %04o, want %04o", name, got, mode)
			}
		}
	}
	db, err := store.Create(t.Context(), "sqlite:"+in("t.db"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	want(0o600, "t.db", "t.db-wal", "t.db-shm")
	for range 2 { // the second takes the place of the keys that are there
		if err := store.Backup(t.Context(), "sqlite:"+in("t.db"), in("copy"), in("keys")); err != nil {
			t.Fatal(err)
		}
		want(0o600, "copy", "keys")
		if err := os.Rename(in("copy"), in("before")); err != nil {
			t.Fatal(err)
		}
	}
	if err := store.PutBack("sqlite:"+in("back.db"), in("before")); err != nil {
		t.Fatal(err)
	}
	back, err := store.OpenRestore(t.Context(), "sqlite:"+in("back.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if _, err := back.AddKeys(t.Context(), in("keys")); err != nil {
		t.Fatal(err)
	}
	want(0o600, "back.db", "back.db-wal", "back.db-shm")

	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(in("t.db"), 0o640); err != nil {
		t.Fatal(err)
	}
	again, err := store.Create(t.Context(), "sqlite:"+in("t.db"), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	want(0o640, "t.db", "t.db-wal", "t.db-shm")
}
