package store_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// raw connects to a database past the store.
func raw(t *testing.T, at string) *sql.DB {
	t.Helper()
	driver, name := "pgx", at
	if file, ok := strings.CutPrefix(at, "sqlite:"); ok {
		driver, name = "sqlite", file
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

// updateWith runs statements in a transaction of partition 0.
func updateWith(ctx context.Context, db *store.DB, statements ...string) error {
	err := db.Update(ctx, 0, 1, func(tx *store.Tx) error {
		for _, s := range statements {
			if err := tx.Exec(ctx, s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		err = fmt.Errorf("wrapped: %w", err)
	}
	return err
}

const addPartition = "INSERT INTO partition (part, next, at, hash, accounts, secret) VALUES (0, 1, 0, 'a', 0, 'b')"

// A database that does not answer is told from one that refuses what it was asked: only of the latter is it worth
// asking less. A batch whose database was slow used to come back a claim at a time.
func TestOutage(t *testing.T) {
	check := func(t *testing.T, what string, err error, want bool) {
		t.Helper()
		if err == nil || store.Outage(err) != want {
			t.Errorf("%s: Outage(%v) = %v, want %v", what, err, !want, want)
		}
	}
	storetest.Each(t, func(t *testing.T, at string) {
		db := create(t, at, 2)
		check(t, "a key that is taken", updateWith(ctx(), db, addPartition), false)
		check(t, "no statement", updateWith(ctx(), db, "SELEKT"), false)
		check(t, "a row that cannot be read", db.Update(ctx(), 0, 1, func(*store.Tx) error { return errors.New("no usage") }), false)
		soon, cancel := context.WithTimeout(ctx(), 50*time.Millisecond)
		defer cancel()
		<-soon.Done()
		check(t, "no time left", updateWith(soon, db, addPartition), true)
	})
	t.Run("sqlite, locked", func(t *testing.T) {
		at := storetest.SQLite(t)
		create(t, at, 1)
		holder, waiter := raw(t, at), raw(t, at)
		if _, err := holder.Exec("BEGIN IMMEDIATE"); err != nil {
			t.Fatal(err)
		}
		_, err := waiter.Exec("BEGIN IMMEDIATE")
		check(t, "a database that another process has", err, true)
	})
	t.Run("postgres, held", func(t *testing.T) {
		at := storetest.Postgres(t)
		create(t, at, 1).Close()
		db, err := store.Open(ctx(), at+"&lock_timeout=50ms&idle_in_transaction_session_timeout=300ms")
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		holder, err := raw(t, at).Begin()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := holder.Exec("SELECT 1 FROM partition FOR UPDATE"); err != nil {
			t.Fatal(err)
		}
		check(t, "a partition that somebody holds", updateWith(ctx(), db), true)
		soon, cancel := context.WithTimeout(ctx(), 20*time.Millisecond)
		defer cancel()
		check(t, "no time to wait for it", updateWith(soon, db), true)
		holder.Rollback()
		check(t, "one that was silent", db.Update(ctx(), 0, 1, func(tx *store.Tx) error {
			time.Sleep(600 * time.Millisecond)
			return tx.Exec(ctx(), addPartition)
		}), true)
		nowhere, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		nowhere.RawQuery = url.Values{"host": {t.TempDir()}}.Encode()
		_, err = store.Open(ctx(), nowhere.String())
		check(t, "a server that is not there", err, true)
	})
}
