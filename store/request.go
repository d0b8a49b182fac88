package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
)

// A Request is one that its sender gave a key, so that it is carried out once, however often it is sent.
type Request struct {
	Key     string
	Content [sha256.Size]byte // what it asks for: the same key with other content is a mistake
}

// Each step of a request is a row that is only ever added.
const (
	settled = 1 // for whose account it is, in the partition of its key: so a key is one request's, whatever that names
	granted = 2 // and by which link it was answered, in the partition of the account
)

// HomeOf is the partition in which a request's key is kept.
func (db *DB) HomeOf(r Request) int { return db.home(r.Key) }

// Settled finds the account that a request was settled for, in the request's home. The error is fault.Conflict
// when its key was used for another one.
func (tx *Tx) Settled(ctx context.Context, r Request) (AccountID, bool, error) {
	id, _, found, err := tx.step(ctx, r, settled)
	return id, found, err
}

// Granted finds the sub by which a request was answered, in the account's partition.
func (tx *Tx) Granted(ctx context.Context, r Request) (sub string, found bool, err error) {
	id, link, found, err := tx.step(ctx, r, granted)
	return tx.db.sub(tx.Part, seat{id.Number, link}), found, err
}

// NoteSettled notes, in the request's home, that it is carried out for an account.
func (tx *Tx) NoteSettled(ctx context.Context, r Request, id AccountID) error {
	if err := tx.note(ctx, r, settled, id, 0); err != nil {
		return err
	}
	return tx.remembered(ctx, id)
}

// NoteGranted notes, in the account's partition, that the request was answered by a link.
func (tx *Tx) NoteGranted(ctx context.Context, r Request, l *claim.Link) error {
	return tx.note(ctx, r, granted, AccountID{tx.Part, l.Account}, l.Number)
}

func (tx *Tx) step(ctx context.Context, r Request, step int) (id AccountID, link int, found bool, err error) {
	var content []byte
	err = tx.desk.conn.QueryRowContext(ctx, "SELECT content, owner_part, owner, link FROM request WHERE part = $1 AND key = $2 AND step = $3",
		tx.Part, tx.hash(r), step).Scan(&content, &id.Part, &id.Number, &link)
	if found, err = oneRow(err); err != nil {
		return id, 0, false, fmt.Errorf("looking for a request: %w", err)
	}
	if found && id.Number == 0 {
		return id, 0, false, fault.New(fault.Gone, "this request was carried out, and its account was erased since")
	}
	if found && string(content) != string(r.Content[:]) {
		return id, 0, false, fault.New(fault.Conflict, "this idempotency key was used for another request")
	}
	return id, link, found, nil
}

func (tx *Tx) note(ctx context.Context, r Request, step int, id AccountID, link int) error {
	conn, err := tx.writer(ctx)
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "INSERT INTO request (part, key, step, content, owner_part, owner, link, at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
		tx.Part, tx.hash(r), step, r.Content[:], id.Part, id.Number, link, tx.Now)
	if err != nil {
		return fmt.Errorf("noting a request: %w", err)
	}
	return nil
}

// hash stands for a key, which may say more of a member than we want to keep.
func (tx *Tx) hash(r Request) []byte {
	mac := hmac.New(sha256.New, tx.Secret)
	mac.Write([]byte("request\x00"))
	mac.Write([]byte(r.Key))
	return mac.Sum(nil)
}
