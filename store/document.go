package store

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// A Document is something published, and the number of the rulebook that it made.
type Document struct {
	Rulebook int64
	Kind     string // groups, factors, methodology, programme, restatement or restated
	Name     string
	Hash     [32]byte
	Body     []byte // empty where it was lost: see Held
	At       int64  // µs UTC
}

// Held reports whether the document holds its number, and its text was lost. See record.Derived.
func (d *Document) Held() bool { return len(d.Body) == 0 }

// Documents lists what is published up to a rulebook number, in order.
func (db *DB) Documents(ctx context.Context, upTo int64) ([]Document, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT rulebook, kind, name, hash, body, at FROM document WHERE rulebook <= $1 ORDER BY rulebook", upTo)
	if err != nil {
		return nil, fmt.Errorf("reading documents: %w", err)
	}
	defer rows.Close()
	var list []Document
	for rows.Next() {
		var d Document
		var hash []byte
		if err := rows.Scan(&d.Rulebook, &d.Kind, &d.Name, &hash, &d.Body, &d.At); err != nil {
			return nil, err
		}
		copy(d.Hash[:], hash)
		list = append(list, d)
	}
	return list, rows.Err()
}

// Rulebook is the number of the rulebook in force, 0 when nothing is published.
func (db *DB) Rulebook(ctx context.Context) (n int64, err error) {
	err = db.read.QueryRowContext(ctx, "SELECT coalesce(max(rulebook), 0) FROM document").Scan(&n)
	return n, err
}

// ErrOvertaken says that somebody else published in between.
var ErrOvertaken = errors.New("somebody else published at the same moment")

// Publish records documents as the rulebooks that follow after, which must be the one in force, at an instant: never
// before that of the one before, whose server's clock may have been ahead.
// It returns ErrOvertaken when it is not; the primary key settles a race.
func (db *DB) Publish(ctx context.Context, after int64, documents []Document, at time.Time) error {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	tx, err := begin(ctx, conn)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var n, last int64
	if err := tx.QueryRowContext(ctx, "SELECT coalesce(max(rulebook), 0), coalesce(max(at), 0) FROM document").Scan(&n, &last); err != nil {
		return err
	}
	if n != after {
		return ErrOvertaken
	}
	for i, d := range documents {
		result, err := tx.ExecContext(ctx, `INSERT INTO document (rulebook, kind, name, hash, body, at) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (rulebook) DO NOTHING`, after+int64(i)+1, d.Kind, d.Name, d.Hash[:], d.Body, max(last, at.UnixMicro()))
		if err != nil {
			return fmt.Errorf("publishing %s: %w", d.Name, err)
		}
		if n, err := result.RowsAffected(); err != nil || n == 0 {
			return cmp.Or(err, ErrOvertaken)
		}
	}
	return tx.Commit()
}

// oneRow turns "no rows" into false.
func oneRow(err error) (bool, error) {
	if errors.Is(err, sql.ErrNoRows) {
		return false, nil
	}
	return err == nil, err
}
