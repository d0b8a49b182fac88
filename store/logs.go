package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
)

// Logs are all logs of a database as they stood at one moment, with all that is kept of them.
type Logs struct {
	List []Log // in order; the last one goes on

	snapshot Snapshot
}

// Logs runs f on the database's logs as they stand now.
func (db *DB) Logs(ctx context.Context, f func(*Logs) error) error {
	conn, err := db.read.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	l := &Logs{snapshot: Snapshot{db: db, conn: conn}}
	if err := l.begin(ctx); err != nil {
		return errors.Join(fmt.Errorf("looking at the log: %w", err), l.snapshot.end())
	}
	return errors.Join(f(l), l.snapshot.end())
}

func (l *Logs) begin(ctx context.Context) error {
	if err := l.snapshot.open(ctx); err != nil {
		return err
	}
	rows, err := l.snapshot.conn.QueryContext(ctx, "SELECT log, origin, first, size, root, at, signed, checkpoint FROM log ORDER BY log")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		one, err := scanLog(rows)
		if err != nil {
			return err
		}
		l.List = append(l.List, one)
	}
	return rows.Err()
}

// An Entry is one of a log's entries, and its place.
type Entry struct {
	Place int64
	Item
}

// Entries runs f on a log's entries from a place to before another, in order. The body is good until the next one.
func (l *Logs) Entries(ctx context.Context, log int, from, to int64, f func(*Entry)) error {
	var e Entry
	return l.snapshot.each(ctx, func(r *raw) {
		e.Place = r.integer(0)
		e.Stream, e.Part, e.Number, e.Body = r.word(1), int(r.integer(2)), r.integer(3), r.bytes(4)
		f(&e)
	}, "SELECT place, stream, part, number, body FROM log_entry WHERE log = $1 AND place >= $2 AND place < $3 ORDER BY place", int64(log), from, to)
}

// Tiles runs f on a log's tiles of one level from a number to before another, in order. Hashes are good until the next one.
func (l *Logs) Tiles(ctx context.Context, log, level int, from, to int64, f func(LogTile)) error {
	return l.snapshot.each(ctx, func(r *raw) {
		f(LogTile{Level: level, Number: r.integer(0), Hashes: r.bytes(1)})
	}, "SELECT tile, hashes FROM log_tile WHERE log = $1 AND level = $2 AND tile >= $3 AND tile < $4 ORDER BY tile", int64(log), int64(level), from, to)
}

// Rows counts a log's entries and tiles; those of no log are found under its number.
func (l *Logs) Rows(ctx context.Context, f func(log int, entries, tiles int64)) error {
	return l.snapshot.each(ctx, func(r *raw) { f(int(r.integer(0)), r.integer(1), r.integer(2)) },
		`SELECT log, sum(entries), sum(tiles) FROM (
			SELECT log, count(*) AS entries, 0 AS tiles FROM log_entry GROUP BY log
			UNION ALL SELECT log, 0, count(*) FROM log_tile GROUP BY log) counted GROUP BY log`)
}

// A Mark is how far a stream has been taken into the log.
type Mark struct {
	Stream string
	Part   int
	Next   int64
	Hash   ledger.Hash // of a partition's last batch that was
}

// Marks runs f on all marks.
func (l *Logs) Marks(ctx context.Context, f func(Mark)) error {
	return l.snapshot.each(ctx, func(r *raw) {
		f(Mark{Stream: r.word(0), Part: int(r.integer(1)), Next: r.integer(2), Hash: r.hash(3)})
	}, "SELECT stream, part, next, hash FROM log_mark")
}

// LogKeys are the log's signing keys after its first, as they came and ended.
func (db *DB) LogKeys(ctx context.Context) (list []record.Key, err error) {
	err = eachRow(ctx, db.read, func(scan func(...any) error) error {
		k := record.Key{Type: record.KeyType}
		err := scan(&k.Number, &k.At, &k.Key, &k.Ended)
		list = append(list, k)
		return err
	}, "SELECT number, at, key, ended FROM log_key ORDER BY number")
	if err != nil {
		return nil, fmt.Errorf("reading the log's keys: %w", err)
	}
	return list, nil
}

// AddLogKey records that a key came or ended, under the next number, for the log to take up.
func (db *DB) AddLogKey(ctx context.Context, key string, ended bool, at int64) error {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	n := 0
	if ended {
		n = 1
	}
	_, err = conn.ExecContext(ctx, `INSERT INTO log_key (number, at, key, ended) SELECT coalesce(max(number), 0) + 1, $1, $2, $3 FROM log_key`, at, key, n)
	if err != nil {
		return fmt.Errorf("recording a key of the log: %w", err)
	}
	return nil
}
