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

// A Done request says how far it was carried out. Each step is a row that is only ever added.
type Done struct {
	Account claim.Number // for whom; 0 while nothing was done
	Sub     string       // the link that was granted; "" while none was
}

const (
	opened  = 1 // the account is settled
	granted = 2 // and so is its link
)

// HomeOf is the partition in which a request is carried out that says nothing else of where it belongs.
func (db *DB) HomeOf(r Request) int { return db.home(r.Key) }

// Done finds how far a request was carried out in the partition. The error is fault.Conflict when its key
// was used for another one.
func (tx *Tx) Done(ctx context.Context, r Request) (Done, error) {
	rows, err := tx.desk.conn.QueryContext(ctx, "SELECT step, content, account, link FROM request WHERE part = $1 AND key = $2 ORDER BY step", tx.Part, tx.hash(r))
	if err != nil {
		return Done{}, fmt.Errorf("looking for a request: %w", err)
	}
	defer rows.Close()
	var d Done
	for rows.Next() {
		var step, link int
		var content []byte
		if err := rows.Scan(&step, &content, &d.Account, &link); err != nil {
			return Done{}, err
		}
		if string(content) != string(r.Content[:]) {
			return Done{}, fault.New(fault.Conflict, "this idempotency key was used for another request")
		}
		if step == granted {
			d.Sub = tx.db.sub(tx.Part, seat{d.Account, link})
		}
	}
	return d, rows.Err()
}

// Settled notes that the request is carried out for an account.
func (tx *Tx) Settled(ctx context.Context, r Request, account claim.Number) error {
	return tx.step(ctx, r, opened, account, 0)
}

// Granted notes that the request was answered by a link.
func (tx *Tx) Granted(ctx context.Context, r Request, l *claim.Link) error {
	return tx.step(ctx, r, granted, l.Account, l.Number)
}

func (tx *Tx) step(ctx context.Context, r Request, step int, account claim.Number, link int) error {
	conn, err := tx.writer(ctx)
	if err != nil {
		return err
	}
	_, err = conn.ExecContext(ctx, "INSERT INTO request (part, key, step, content, account, link, at) VALUES ($1, $2, $3, $4, $5, $6, $7)",
		tx.Part, tx.hash(r), step, r.Content[:], account, link, tx.Now)
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
