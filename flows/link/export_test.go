package link

import (
	"context"
	"time"

	"github.com/tanpu/tanpu/store"
)

// BreakOff opens the account of a consent with a key, as Grant does first, and goes no further.
func BreakOff(ctx context.Context, db *store.DB, c Consent, now time.Time) (store.AccountID, error) {
	request, err := c.request()
	if err != nil {
		return store.AccountID{}, err
	}
	return settle(ctx, db, &c, request, now)
}

// Unhindered looks whether a consent can be carried out, as Grant does after it found nothing of its request.
func Unhindered(ctx context.Context, db *store.DB, c *Consent, now time.Time) (Granted, error) {
	request, err := c.request()
	if err != nil {
		return Granted{}, err
	}
	return c.unhindered(ctx, db, request, now)
}
