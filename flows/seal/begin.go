package seal

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
)

// Begin begins the database's log under the signer's name. A log that was begun is left as it is.
func Begin(ctx context.Context, db *store.DB, s *Signer, now time.Time) error {
	l, found, err := db.Log(ctx)
	if err != nil {
		return err
	}
	if found && l.Origin == s.Origin() {
		return nil
	}
	if found {
		return fault.New(fault.Conflict, "the database's log is %s, and the key is that of %s", l.Origin, s.Origin())
	}
	if last := s.Last(); last.Size > 0 {
		return fault.New(fault.Conflict, "this key has signed a log of %d entries, and the database has none: it is another database's key, or the database was lost", last.Size)
	}
	first := record.Text(&record.Origin{Origin: s.Origin(), Database: db.ID, Parts: db.Parts, At: now.UnixMicro(), Key: s.Keys()[0]})
	return db.BeginLog(ctx, s.Origin(), first, ledger.Hash(proof.EmptyRoot))
}

// PublicKeys are the vkeys that the log's entries name up to its size, that of its first and those that came later, but for those
// that ended.
func PublicKeys(ctx context.Context, db *store.DB, l store.Log) ([]string, error) {
	keys, err := firstKey(l)
	if err != nil {
		return nil, err
	}
	texts, err := db.LogStream(ctx, l, store.KeyStream)
	if err != nil {
		return nil, err
	}
	for _, text := range texts {
		e, err := record.Parse(text)
		key, ok := e.(*record.Key)
		if err != nil || !ok {
			return nil, fmt.Errorf("a key's entry of the log cannot be read: %w", err)
		}
		if key.Ended {
			keys = slices.DeleteFunc(keys, func(k string) bool { return k == key.Key })
		} else {
			keys = append(keys, key.Key)
		}
	}
	return keys, nil
}

// firstKey is the key that the log's first entry names.
func firstKey(l store.Log) ([]string, error) {
	first, err := record.Parse([]byte(l.First))
	origin, ok := first.(*record.Origin)
	if err != nil || !ok {
		return nil, fmt.Errorf("the log's first entry cannot be read: %w", err)
	}
	return []string{origin.Key}, nil
}
