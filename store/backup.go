package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
)

// Backup writes a SQLite database, as it stands at one moment, to a new file, beside whoever writes to it. The accounts' keys
// are not in it: they go to a file of their own, in the place of the one that was there. So a key that is destroyed,
// because a person is forgotten, is gone with the next backup, however long backups are kept.
//
// What is true if we die on the way: neither file is there, or the keys' only; what was there before is whole.
func Backup(ctx context.Context, rawURL, out, keys string) (err error) {
	path, ok := strings.CutPrefix(rawURL, "sqlite:")
	if !ok {
		return fault.New(fault.Unfit, "PostgreSQL is backed up by its own means: see docs/runbook.md")
	}
	if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
		return errors.Join(fault.New(fault.Conflict, "%s is there already: name a new file", out), err)
	}
	for _, name := range []string{out, keys} {
		if _, err := os.Stat(filepath.Dir(name)); err != nil {
			return fault.New(fault.NotFound, "there is no folder %s to write %s to; make it first", filepath.Dir(name), filepath.Base(name))
		}
	}
	db, err := OpenRead(ctx, rawURL) // it is one, and of this program's schema
	if err != nil {
		return err
	}
	defer db.Close()
	if err := replaceable(ctx, keys, db.ID); err != nil {
		return err
	}
	fresh, freshKeys := out+".new", keys+".new"
	for _, name := range []string{fresh, freshKeys} {
		if err := private(name); err != nil {
			return err
		}
		defer os.Remove(name)
	}
	if err := vacuumInto(ctx, strings.TrimPrefix(path, "//"), fresh); err != nil {
		return fmt.Errorf("copying %s: %w", path, err)
	}
	if err := takeKeys(ctx, fresh, freshKeys, db.ID); err != nil {
		return fmt.Errorf("taking the keys out of the copy: %w", err)
	}
	if err := place(freshKeys, keys); err != nil {
		return err
	}
	return place(fresh, out)
}

// replaceable returns an error if there is a file that is not this database's keys: a slip must not put them in the place of the
// database, or of another's only copy.
func replaceable(ctx context.Context, keys, id string) error {
	if _, err := os.Stat(keys); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	pool, err := sql.Open("sqlite", "file:"+(&url.URL{Path: filepath.ToSlash(keys)}).EscapedPath()+"?mode=ro"+pragmas("busy_timeout(10000)"))
	if err != nil {
		return err
	}
	defer pool.Close()
	var tables int // a database has more than Backup writes
	var whose string
	err = pool.QueryRowContext(ctx, "SELECT (SELECT count(*) FROM sqlite_schema WHERE type = 'table'), id FROM database").Scan(&tables, &whose)
	if err != nil || tables != 2 || whose != id {
		return fault.New(fault.Conflict, "%s is there, and does not hold the keys of this database, which would take its place: name another file", keys)
	}
	return nil
}

// private makes an empty file that only its owner can read.
func private(name string) error {
	os.Remove(name) // left by one that died
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// place puts a file in its place, whole and durably.
func place(name, as string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(name, as); err != nil {
		return err
	}
	folder, err := os.Open(filepath.Dir(as))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}

func vacuumInto(ctx context.Context, from, to string) error {
	pool, err := sql.Open("sqlite", "file:"+(&url.URL{Path: filepath.ToSlash(from)}).EscapedPath()+"?mode=rw"+pragmas("busy_timeout(10000)", "temp_store(MEMORY)"))
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = pool.ExecContext(ctx, "VACUUM INTO $1", to)
	return err
}

// takeKeys moves the keys out of a copy, into a database of their own. What was deleted is overwritten.
func takeKeys(ctx context.Context, copied, keys, id string) error {
	pool, err := sql.Open("sqlite", "file:"+(&url.URL{Path: filepath.ToSlash(copied)}).EscapedPath()+"?mode=rw"+pragmas("journal_mode(MEMORY)", "synchronous(OFF)", "secure_delete(ON)"))
	if err != nil {
		return err
	}
	defer pool.Close()
	pool.SetMaxOpenConns(1)
	var guards []string
	err = eachRow(ctx, pool, func(scan func(...any) error) error {
		var name, text string
		err := scan(&name, &text)
		guards = append(guards, "DROP TRIGGER "+name, text)
		return err
	}, "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'account_key'")
	if err != nil {
		return err
	}
	statements := []string{
		"CREATE TABLE keys.database (id TEXT NOT NULL) STRICT",
		"INSERT INTO keys.database (id) VALUES ('" + id + "')", // hexadecimal digits
		"CREATE TABLE keys.account_key (part INTEGER NOT NULL, account INTEGER NOT NULL, key BLOB NOT NULL, PRIMARY KEY (part, account)) STRICT, WITHOUT ROWID",
		"INSERT INTO keys.account_key SELECT part, account, key FROM main.account_key",
		"DETACH keys",
	}
	for i := 0; i < len(guards); i += 2 {
		statements = append(statements, guards[i])
	}
	statements = append(statements, "DELETE FROM account_key")
	for i := 1; i < len(guards); i += 2 {
		statements = append(statements, guards[i])
	}
	if _, err := pool.ExecContext(ctx, "ATTACH $1 AS keys", keys); err != nil {
		return err
	}
	for _, s := range statements {
		if _, err := pool.ExecContext(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// PutBack puts a backup in the place of a SQLite database that is not there any more, nor anything that belonged to it.
func PutBack(rawURL, backup string) error {
	path, ok := strings.CutPrefix(rawURL, "sqlite:")
	if !ok {
		return fault.New(fault.Unfit, "PostgreSQL's backups are put back by its own means: see docs/runbook.md")
	}
	path = strings.TrimPrefix(path, "//")
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return errors.Join(fault.New(fault.Conflict, "%s is there already: move it away, and its -wal and -shm with it; or leave --backup out to go on with what is there", name), err)
		}
	}
	fresh := path + ".new"
	if err := private(fresh); err != nil {
		return err
	}
	defer os.Remove(fresh)
	if err := vacuumInto(context.Background(), backup, fresh); err != nil { // and makes sure that it is whole
		return fmt.Errorf("copying %s: %w", backup, err)
	}
	return place(fresh, path)
}

// Keyless counts the accounts of a database that were not erased, and those of them whose key is not there.
func (db *DB) Keyless(ctx context.Context) (accounts, keyless int64, err error) {
	forgotten, err := erasedNames(ctx, db.read)
	if err != nil {
		return 0, 0, err
	}
	if err := db.read.QueryRowContext(ctx, "SELECT count(*) FROM account").Scan(&accounts); err != nil {
		return 0, 0, fmt.Errorf("counting accounts: %w", err)
	}
	err = eachRow(ctx, db.read, func(scan func(...any) error) error {
		var part, account int64
		if err := scan(&part, &account); err != nil {
			return err
		}
		if e := forgotten[part]; e != nil && e.names[claim.ErasedName(account, e.secret)] {
			accounts-- // its key was destroyed
		} else {
			keyless++
		}
		return nil
	}, "SELECT a.part, a.account FROM account a LEFT JOIN account_key k ON k.part = a.part AND k.account = a.account WHERE k.account IS NULL")
	if err != nil {
		return 0, 0, fmt.Errorf("counting accounts without a key: %w", err)
	}
	return accounts, keyless, nil
}

// AddKeys brings keys back that Backup took out, to accounts that have none and were not erased, and returns how many.
func (db *DB) AddKeys(ctx context.Context, file string) (n int64, err error) {
	if _, err := os.Stat(file); err != nil {
		return 0, err
	}
	pool, err := sql.Open("sqlite", "file:"+(&url.URL{Path: filepath.ToSlash(file)}).EscapedPath()+"?mode=ro")
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	var id string
	if err := pool.QueryRowContext(ctx, "SELECT id FROM database").Scan(&id); err != nil {
		return 0, fmt.Errorf("reading %s: %w", file, err)
	}
	if id != db.ID {
		return 0, fault.New(fault.Conflict, "%s holds keys of another database", file)
	}
	conn, release, err := db.alone(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	tx, err := begin(ctx, conn)
	if err != nil {
		return 0, err
	}
	defer tx.Rollback()
	erased, err := erasedNames(ctx, tx)
	if err != nil {
		return 0, err
	}
	err = eachRow(ctx, pool, func(scan func(...any) error) error {
		var part, account int64
		var key []byte
		if err := scan(&part, &account, &key); err != nil {
			return err
		}
		if e := erased[part]; e != nil && e.names[claim.ErasedName(account, e.secret)] {
			return nil // a key that was destroyed stays so, whoever has kept a copy
		}
		result, err := tx.ExecContext(ctx, `INSERT INTO account_key (part, account, key) SELECT part, account, $3 FROM account WHERE part = $1 AND account = $2
			ON CONFLICT (part, account) DO NOTHING`, part, account, key)
		if err != nil {
			return err
		}
		k, err := result.RowsAffected()
		n += k
		return err
	}, "SELECT part, account, key FROM account_key ORDER BY part, account")
	if err != nil {
		return 0, fmt.Errorf("bringing keys back: %w", err)
	}
	return n, tx.Commit()
}

// erased is whom a partition has forgotten.
type erased struct {
	secret []byte
	names  map[ledger.Hash]bool
}

func erasedNames(ctx context.Context, q queryer) (map[int64]*erased, error) {
	list := map[int64]*erased{}
	err := eachRow(ctx, q, func(scan func(...any) error) error {
		var part int64
		var secret, name []byte
		if err := scan(&part, &secret, &name); err != nil {
			return err
		}
		if list[part] == nil {
			list[part] = &erased{secret, map[ledger.Hash]bool{}}
		}
		var hash ledger.Hash
		copy(hash[:], name)
		list[part].names[hash] = true
		return nil
	}, "SELECT e.part, p.secret, e.account FROM erasure e JOIN partition p ON p.part = e.part")
	if err != nil {
		return nil, fmt.Errorf("reading who was erased: %w", err)
	}
	return list, nil
}
