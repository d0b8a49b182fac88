package link

import (
	"context"
	"fmt"
	"time"

	"github.com/tanpu/tanpu/store"
)

// BreakOff opens the account of a consent with a key, as Grant does first, and goes no further.
func BreakOff(ctx context.Context, db *store.DB, c Consent, now time.Time) (store.AccountID, error) {
	return settle(ctx, db, &c, c.request(), now)
}

// Unhindered looks whether a consent can be carried out, as Grant does after it found nothing of its request.
func Unhindered(ctx context.Context, db *store.DB, c *Consent, now time.Time) (Granted, error) {
	return c.unhindered(ctx, db, c.request(), now)
}

// Content is the hash by which it is told whether a request is sent again.
func (c *Consent) Content() string { return fmt.Sprintf("%x", c.request().Content) }
