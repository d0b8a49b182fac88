package store

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"time"
)

// A Key is an API key as it is kept: its hash, and what it may do.
type Key struct {
	Hash    [32]byte
	Role    string // partner or operator
	Partner string // for role partner
	Label   string
	Created int64 // µs UTC
	Expires int64 // µs UTC; 0 for never
}

// HashKey is what is kept of an API key. Keys are random and long, so one round of SHA-256 is enough.
func HashKey(key string) [32]byte { return sha256.Sum256([]byte(key)) }

// AddKey keeps a new key.
func (db *DB) AddKey(ctx context.Context, k Key) error {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	_, err = conn.ExecContext(ctx, "INSERT INTO api_key (hash, role, partner, label, created, expires) VALUES ($1, $2, $3, $4, $5, $6)",
		k.Hash[:], k.Role, k.Partner, k.Label, k.Created, k.Expires)
	if err != nil {
		return fmt.Errorf("keeping a key: %w", err)
	}
	return nil
}

// ExpireKeys lets a partner's keys (or, for role operator, the operator's) but the one kept end at an
// instant, and says how many that were. It is how a key is rotated: make the new one, use it, end the rest.
func (db *DB) ExpireKeys(ctx context.Context, role, partner string, kept [32]byte, at time.Time) (int64, error) {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return 0, err
	}
	defer release()
	result, err := conn.ExecContext(ctx, `UPDATE api_key SET expires = $1 WHERE role = $2 AND partner = $3 AND hash <> $4
		AND (expires = 0 OR expires > $1)`, at.UnixMicro(), role, partner, kept[:])
	if err != nil {
		return 0, fmt.Errorf("ending keys: %w", err)
	}
	return result.RowsAffected()
}

// KeyByHash finds the key with this hash if it is in force at an instant (µs UTC).
func (db *DB) KeyByHash(ctx context.Context, hash [32]byte, at int64) (Key, bool, error) {
	var k Key
	var kept []byte
	err := db.read.QueryRowContext(ctx, "SELECT hash, role, partner, label, created, expires FROM api_key WHERE hash = $1", hash[:]).
		Scan(&kept, &k.Role, &k.Partner, &k.Label, &k.Created, &k.Expires)
	found, err := oneRow(err)
	if !found || subtle.ConstantTimeCompare(kept, hash[:]) != 1 || (k.Expires != 0 && k.Expires <= at) {
		return Key{}, false, err
	}
	k.Hash = hash
	return k, true, nil
}
