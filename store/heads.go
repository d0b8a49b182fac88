package store

import (
	"context"
	"fmt"
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
