package store

import (
	"context"
	"crypto/ed25519"
	"fmt"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/signature"
)

// A PartnerKey is a public key by which a partner signs. It is kept for good, so that what it signed can be shown
// after it was revoked.
type PartnerKey struct {
	ID      string // signature.KeyID of it
	Partner string
	Public  ed25519.PublicKey
	Label   string
	Created int64 // µs UTC; from then on it is in force
	Revoked int64 // µs UTC; 0 while it is in force
}

const partnerKeyColumns = "keyid, partner, public, label, created, revoked"

func scanPartnerKey(scan func(...any) error) (k PartnerKey, err error) {
	var public []byte
	err = scan(&k.ID, &k.Partner, &public, &k.Label, &k.Created, &k.Revoked)
	k.Public = public
	return k, err
}

// AddPartnerKey registers a key. One that is registered is left as it is, which is a conflict if it is another
// partner's or was revoked: who holds the private key could then speak for two, or again for one that it was taken from.
func (db *DB) AddPartnerKey(ctx context.Context, k PartnerKey) error {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	k.ID = signature.KeyID(k.Public)
	result, err := conn.ExecContext(ctx, "INSERT INTO partner_key ("+partnerKeyColumns+") VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (keyid) DO NOTHING",
		k.ID, k.Partner, []byte(k.Public), k.Label, k.Created)
	if err != nil {
		return fmt.Errorf("registering a key: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	switch known, _, err := db.PartnerKey(ctx, k.ID); {
	case err != nil:
		return err
	case known.Partner != k.Partner:
		return fault.New(fault.Conflict, "key %s is registered for %s: every partner has keys of its own", k.ID, known.Partner)
	case known.Revoked != 0:
		return fault.New(fault.Conflict, "key %s was revoked, for good: make another", k.ID)
	}
	return nil
}

// RevokePartnerKey lets a key end at an instant (µs UTC). One that was revoked before stays revoked since then.
func (db *DB) RevokePartnerKey(ctx context.Context, id string, at int64) error {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	if _, err := conn.ExecContext(ctx, "UPDATE partner_key SET revoked = $2 WHERE keyid = $1 AND revoked = 0", id, at); err != nil {
		return fmt.Errorf("revoking a key: %w", err)
	}
	if _, found, err := db.PartnerKey(ctx, id); err != nil || !found {
		return notThere(err, "there is no key %s", id)
	}
	return nil
}

func notThere(err error, format string, args ...any) error {
	if err != nil {
		return err
	}
	return fault.New(fault.NotFound, format, args...)
}

// PartnerKey finds a key, revoked or not.
func (db *DB) PartnerKey(ctx context.Context, id string) (PartnerKey, bool, error) {
	k, err := scanPartnerKey(db.read.QueryRowContext(ctx, "SELECT "+partnerKeyColumns+" FROM partner_key WHERE keyid = $1", id).Scan)
	found, err := oneRow(err)
	if err != nil {
		return k, false, fmt.Errorf("looking up a partner's key: %w", err)
	}
	return k, found, nil
}

// PartnerKeys lists all keys by partner, the oldest first.
func (db *DB) PartnerKeys(ctx context.Context) ([]PartnerKey, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT "+partnerKeyColumns+" FROM partner_key ORDER BY partner, created, keyid")
	if err != nil {
		return nil, fmt.Errorf("listing keys: %w", err)
	}
	defer rows.Close()
	var list []PartnerKey
	for rows.Next() {
		k, err := scanPartnerKey(rows.Scan)
		if err != nil {
			return nil, fmt.Errorf("listing keys: %w", err)
		}
		list = append(list, k)
	}
	return list, rows.Err()
}
