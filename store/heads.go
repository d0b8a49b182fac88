package store

import (
	"context"
	"fmt"

	"github.com/tanpu/tanpu/rules/ledger"
)

// Heads returns the number of the last batch of each partition, 0 where there is none.
func (db *DB) Heads(ctx context.Context) (map[int]int64, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT part, next - 1 FROM partition")
	if err != nil {
		return nil, fmt.Errorf("reading the last batches: %w", err)
	}
	defer rows.Close()
	heads := map[int]int64{}
	for rows.Next() {
		var part int
		var number int64
		if err := rows.Scan(&part, &number); err != nil {
			return nil, fmt.Errorf("reading the last batches: %w", err)
		}
		heads[part] = number
	}
	return heads, rows.Err()
}

// A Head is a partition's last batch; its number is 0 where there is none.
type Head struct {
	Part   int
	Number int64
	At     int64 // µs UTC
	Hash   ledger.Hash
}

// LastBatches returns the last batch of each partition, in order of partition.
func (db *DB) LastBatches(ctx context.Context) ([]Head, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT part, next - 1, at, hash FROM partition ORDER BY part")
	if err != nil {
		return nil, fmt.Errorf("reading the last batches: %w", err)
	}
	defer rows.Close()
	var heads []Head
	for rows.Next() {
		var h Head
		var hash []byte
		if err := rows.Scan(&h.Part, &h.Number, &h.At, &hash); err != nil {
			return nil, fmt.Errorf("reading the last batches: %w", err)
		}
		copy(h.Hash[:], hash)
		heads = append(heads, h)
	}
	return heads, rows.Err()
}
