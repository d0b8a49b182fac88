package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
)

// A Log is where the transparency log stands. Its last head is committed, and may not be signed yet.
type Log struct {
	Number     int
	Origin     string
	First      string // its first entry
	Size       int64
	Root       ledger.Hash // of the tree of Size entries
	At         int64       // when it was last extended, µs UTC
	Signed     int64       // size of the last head that was published
	Checkpoint string      // that head, signed; "" before the first
}

// Streams are what is taken into the log, each by its own dense numbers within a partition (0 for what
// belongs to none).
const (
	OriginStream   = "origin"
	KeyStream      = "key"
	DocumentStream = "document"
	LinksStream    = "links"
	ErasureStream  = "erasure"
	BatchStream    = "batch"
	TotalsStream   = "totals"
	LostStream     = "lost"
)

// An Item is a row to be taken into the log, or an entry of it.
type Item struct {
	Stream string
	Part   int
	Number int64
	Body   []byte
	Prev   ledger.Hash // of a batch: that before it
}

// A LogTile is 1 to 256 hashes of one level of the log's tree.
type LogTile struct {
	Level  int
	Number int64
	Hashes []byte
}

const lastLog = "SELECT log, origin, first, size, root, at, signed, checkpoint FROM log WHERE log = (SELECT max(log) FROM log)"

func scanLog(row interface{ Scan(...any) error }) (l Log, err error) {
	var root []byte
	err = row.Scan(&l.Number, &l.Origin, &l.First, &l.Size, &root, &l.At, &l.Signed, &l.Checkpoint)
	copy(l.Root[:], root)
	return l, err
}

// Log returns the log that goes on; false where none was begun.
func (db *DB) Log(ctx context.Context) (Log, bool, error) {
	l, err := scanLog(db.read.QueryRowContext(ctx, lastLog))
	found, err := oneRow(err)
	if err != nil {
		return Log{}, false, fmt.Errorf("reading where the log stands: %w", err)
	}
	return l, found, nil
}

// LogNumbered returns a log by its number, 1 for the first; false where there is none.
func (db *DB) LogNumbered(ctx context.Context, number int) (Log, bool, error) {
	l, err := scanLog(db.read.QueryRowContext(ctx, "SELECT log, origin, first, size, root, at, signed, checkpoint FROM log WHERE log = $1", number))
	found, err := oneRow(err)
	if err != nil {
		return Log{}, false, fmt.Errorf("reading where log %d stands: %w", number, err)
	}
	return l, found, nil
}

// BeginLog begins a log, the first or one that follows another, with its first entry.
func (db *DB) BeginLog(ctx context.Context, origin string, first []byte, root ledger.Hash) error {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	_, err = conn.ExecContext(ctx, `INSERT INTO log (log, origin, first, size, root, at, signed, checkpoint)
		SELECT coalesce(max(log), 0) + 1, $1, $2, 0, $3, 0, 0, '' FROM log`, origin, string(first), root[:])
	if err != nil {
		return fmt.Errorf("beginning the log: %w", err)
	}
	return nil
}

// A Sealing is a transaction that extends the log, and the log as it was before.
type Sealing struct {
	Log
	db *DB
	tx *sql.Tx
}

// Seal runs f while nobody else extends the log, and commits what it appended, or nothing. It reports
// false when somebody else is at it.
//
// A sealer that freezes holds the log's row until PostgreSQL ends its silent transaction, after 5 s; whatever
// it does then fails, for it has no transaction any more, and the places that it meant to fill are keys.
func (db *DB) Seal(ctx context.Context, f func(*Sealing) error) (done bool, err error) {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return false, err
	}
	defer release()
	tx, err := begin(ctx, conn)
	if err != nil {
		return false, fmt.Errorf("sealing: %w", err)
	}
	defer tx.Rollback()
	lock := lastLog
	if db.engine == postgres {
		if _, err := tx.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = '5s'"); err != nil {
			return false, fmt.Errorf("sealing: %w", err)
		}
		lock += " FOR UPDATE SKIP LOCKED"
	}
	s := &Sealing{db: db, tx: tx}
	s.Log, err = scanLog(tx.QueryRowContext(ctx, lock))
	if found, err := oneRow(err); err != nil || !found {
		return false, err
	}
	if err := f(s); err != nil {
		return false, err
	}
	if err := tx.Commit(); err != nil {
		return false, fmt.Errorf("sealing: %w", err)
	}
	return true, nil
}

// Pending reads what has not been taken into the log, at most limit rows: the batches and links of each
// partition in order, then the rest. A batch's rulebook is committed before the batch, so documents are read
// after batches, and come before them in the log.
func (s *Sealing) Pending(ctx context.Context, limit int) ([]Item, map[int]ledger.Hash, error) {
	marks, hashes, err := s.marks(ctx)
	if err != nil {
		return nil, nil, err
	}
	heads, err := s.heads(ctx)
	if err != nil {
		return nil, nil, err
	}
	var late []Item
	for part, head := range heads {
		for _, st := range [...]struct {
			stream string
			next   int64
			read   func(context.Context, int, int64, int) ([]Item, error)
		}{{LinksStream, head.consents, s.links}, {BatchStream, head.next, s.batches}, {ErasureStream, head.erasures, s.erasures}} {
			from := max(1, marks[mark{st.stream, part}])
			if st.next <= from || len(late) >= limit {
				continue
			}
			more, err := st.read(ctx, part, from, limit-len(late))
			if err == nil {
				err = dense(more, from, st.next, limit-len(late))
			}
			if err != nil {
				return nil, nil, fmt.Errorf("reading %s of partition %d for the log: %w", st.stream, part, err)
			}
			late = append(late, more...)
		}
	}
	from := max(1, marks[mark{DocumentStream, 0}])
	documents, err := s.documents(ctx, from, limit)
	if err == nil {
		err = dense(documents, from, from+int64(len(documents)), limit)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("reading documents for the log: %w", err)
	}
	if len(documents) == limit {
		return documents, hashes, nil // the batches' documents may not be among these
	}
	rest, err := s.rest(ctx, marks, limit)
	if err != nil {
		return nil, nil, err
	}
	return slices.Concat(documents, late, rest), hashes, nil
}

// rest reads what there is little of, and what speaks of batches and links that come before it.
func (s *Sealing) rest(ctx context.Context, marks map[mark]int64, limit int) (list []Item, err error) {
	for _, st := range [...]struct {
		stream string
		read   func(context.Context, int64, int) ([]Item, error)
	}{{TotalsStream, s.totals}, {KeyStream, s.keys}} {
		from := max(1, marks[mark{st.stream, 0}])
		more, err := st.read(ctx, from, limit)
		if err == nil {
			err = dense(more, from, from+int64(len(more)), limit)
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s for the log: %w", st.stream, err)
		}
		list = append(list, more...)
	}
	lost, err := s.losses(ctx, marks)
	return append(list, lost...), err
}

// dense returns an error unless a stream's rows are those from one number to before another, or the first
// limit of them: a row that is missing must never be passed over.
func dense(list []Item, from, to int64, limit int) error {
	for i := range list {
		if list[i].Number != from+int64(i) {
			return fmt.Errorf("number %d is missing", from+int64(i))
		}
	}
	if n := int64(len(list)); n < to-from && n < int64(limit) {
		return fmt.Errorf("number %d is missing", from+n)
	}
	return nil
}

type mark struct {
	stream string
	part   int
}

// marks are the numbers that each stream goes on from, and the hash of each partition's last sealed batch.
func (s *Sealing) marks(ctx context.Context) (map[mark]int64, map[int]ledger.Hash, error) {
	rows, err := s.tx.QueryContext(ctx, "SELECT stream, part, next, hash FROM log_mark")
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	marks, hashes := map[mark]int64{}, map[int]ledger.Hash{}
	for rows.Next() {
		var m mark
		var next int64
		var hash []byte
		if err := rows.Scan(&m.stream, &m.part, &next, &hash); err != nil {
			return nil, nil, err
		}
		marks[m] = next
		if m.stream == BatchStream {
			var h ledger.Hash
			copy(h[:], hash)
			hashes[m.part] = h
		}
	}
	return marks, hashes, rows.Err()
}

// A head is where a partition goes on.
type head struct{ next, consents, erasures int64 }

func (s *Sealing) heads(ctx context.Context) ([]head, error) {
	rows, err := s.tx.QueryContext(ctx, "SELECT next, consents, erasures FROM partition ORDER BY part")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []head
	for rows.Next() {
		var h head
		if err := rows.Scan(&h.next, &h.consents, &h.erasures); err != nil {
			return nil, err
		}
		list = append(list, h)
	}
	return list, rows.Err()
}

func (s *Sealing) batches(ctx context.Context, part int, from int64, limit int) ([]Item, error) {
	rows, err := s.tx.QueryContext(ctx, `SELECT batch, at, rulebook, backfill, root, totals, prev FROM batch
		WHERE part = $1 AND batch >= $2 ORDER BY batch LIMIT $3`, part, from, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Item
	for rows.Next() {
		b := ledger.Batch{Part: part}
		var backfill int
		var root, totals, prev []byte
		if err := rows.Scan(&b.Number, &b.At, &b.Rulebook, &backfill, &root, &totals, &prev); err != nil {
			return nil, err
		}
		setKind(&b, backfill)
		copy(b.Root[:], root)
		copy(b.Totals[:], totals)
		copy(b.Prev[:], prev)
		list = append(list, Item{Stream: BatchStream, Part: part, Number: b.Number, Body: b.Record(), Prev: b.Prev})
	}
	return list, rows.Err()
}

func (s *Sealing) links(ctx context.Context, part int, from int64, limit int) ([]Item, error) {
	rows, err := s.tx.QueryContext(ctx, "SELECT number, at, root FROM consent WHERE part = $1 AND number >= $2 ORDER BY number LIMIT $3", part, from, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Item
	for rows.Next() {
		l := record.Links{Part: part}
		var root []byte
		if err := rows.Scan(&l.Number, &l.At, &root); err != nil {
			return nil, err
		}
		copy(l.Root[:], root)
		list = append(list, Item{Stream: LinksStream, Part: part, Number: l.Number, Body: record.Text(&l)})
	}
	return list, rows.Err()
}

func (s *Sealing) erasures(ctx context.Context, part int, from int64, limit int) (list []Item, err error) {
	err = eachRow(ctx, s.tx, func(scan func(...any) error) error {
		e := record.Erasure{Part: part}
		var account, removed []byte
		err := scan(&e.Number, &e.At, &account, &removed)
		copy(e.Account[:], account)
		copy(e.Removed[:], removed)
		list = append(list, Item{Stream: ErasureStream, Part: part, Number: e.Number, Body: record.Text(&e)})
		return err
	}, "SELECT number, at, account, removed FROM erasure WHERE part = $1 AND number >= $2 ORDER BY number LIMIT $3", part, from, limit)
	return list, err
}

func (s *Sealing) documents(ctx context.Context, from int64, limit int) ([]Item, error) {
	rows, err := s.tx.QueryContext(ctx, "SELECT rulebook, kind, name, hash, at FROM document WHERE rulebook >= $1 ORDER BY rulebook LIMIT $2", from, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Item
	for rows.Next() {
		var d record.Document
		var hash []byte
		if err := rows.Scan(&d.Rulebook, &d.Kind, &d.Name, &hash, &d.At); err != nil {
			return nil, err
		}
		copy(d.SHA256[:], hash)
		list = append(list, Item{Stream: DocumentStream, Number: d.Rulebook, Body: record.Text(&d)})
	}
	return list, rows.Err()
}

func (s *Sealing) totals(ctx context.Context, from int64, limit int) ([]Item, error) {
	rows, err := s.tx.QueryContext(ctx, "SELECT number, body FROM totals WHERE number >= $1 ORDER BY number LIMIT $2", from, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Item
	for rows.Next() {
		item := Item{Stream: TotalsStream}
		if err := rows.Scan(&item.Number, &item.Body); err != nil {
			return nil, err
		}
		list = append(list, item)
	}
	return list, rows.Err()
}

func (s *Sealing) keys(ctx context.Context, from int64, limit int) (list []Item, err error) {
	err = eachRow(ctx, s.tx, func(scan func(...any) error) error {
		var k record.Key
		err := scan(&k.Number, &k.At, &k.Key, &k.Ended)
		list = append(list, Item{Stream: KeyStream, Number: k.Number, Body: record.Text(&k)})
		return err
	}, "SELECT number, at, key, ended FROM log_key WHERE number >= $1 ORDER BY number LIMIT $2", from, limit)
	return list, err
}

// losses are read whole: they are as many as there were restores.
func (s *Sealing) losses(ctx context.Context, marks map[mark]int64) (list []Item, err error) {
	next := map[int]int64{}
	err = eachRow(ctx, s.tx, func(scan func(...any) error) error {
		var l record.Lost
		if err := scan(&l.Part, &l.Number, &l.At, &l.Of, &l.From, &l.To); err != nil {
			return err
		}
		if next[l.Part] == 0 {
			next[l.Part] = max(1, marks[mark{LostStream, l.Part}])
		}
		switch want := next[l.Part]; {
		case l.Number < want:
			return nil
		case l.Number > want:
			return fmt.Errorf("reading losses of partition %d for the log: number %d is missing", l.Part, want)
		}
		next[l.Part]++
		list = append(list, Item{Stream: LostStream, Part: l.Part, Number: l.Number, Body: record.Text(&l)})
		return nil
	}, "SELECT part, number, at, stream, first, last FROM lost ORDER BY part, number")
	return list, err
}

// Tiles reads tiles; one that is not there is left out.
func (s *Sealing) Tiles(ctx context.Context, of []LogTile) ([]LogTile, error) {
	return logTiles(ctx, s.tx, s.Number, of)
}

// A querying connection or pool.
type queryer interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
	QueryContext(context.Context, string, ...any) (*sql.Rows, error)
}

func logTiles(ctx context.Context, q queryer, log int, of []LogTile) ([]LogTile, error) {
	var list []LogTile
	for _, t := range of {
		err := q.QueryRowContext(ctx, "SELECT hashes FROM log_tile WHERE log = $1 AND level = $2 AND tile = $3", log, t.Level, t.Number).Scan(&t.Hashes)
		found, err := oneRow(err)
		if err != nil {
			return nil, fmt.Errorf("reading a tile of the log: %w", err)
		}
		if found {
			list = append(list, t)
		}
	}
	return list, nil
}

// logRows is how many rows of the log one statement writes.
const logRows = 100

// Append writes entries, the tiles that they change, how far each stream has come, and the head that the log
// has then. hashes are those of the partitions' last batches.
func (s *Sealing) Append(ctx context.Context, items []Item, tiles []LogTile, hashes map[int]ledger.Hash, root ledger.Hash, at int64) error {
	next := map[mark]int64{}
	for from := 0; from < len(items); from += logRows {
		some := items[from:min(from+logRows, len(items))]
		args := make([]any, 0, 6*len(some))
		for i := range some {
			m := &some[i]
			args = append(args, s.Number, s.Size+int64(from+i), m.Stream, m.Part, m.Number, m.Body)
			next[mark{m.Stream, m.Part}] = m.Number + 1
		}
		_, err := s.tx.ExecContext(ctx, "INSERT INTO log_entry (log, place, stream, part, number, body) VALUES "+dollars(len(some), 6), args...)
		if err != nil {
			return fmt.Errorf("appending to the log: %w", err)
		}
	}
	for _, t := range tiles {
		_, err := s.tx.ExecContext(ctx, `INSERT INTO log_tile (log, level, tile, hashes) VALUES ($1, $2, $3, $4)
			ON CONFLICT (log, level, tile) DO UPDATE SET hashes = excluded.hashes`, s.Number, t.Level, t.Number, t.Hashes)
		if err != nil {
			return fmt.Errorf("writing a tile of the log: %w", err)
		}
	}
	for m, n := range next {
		var hash ledger.Hash
		if m.stream == BatchStream {
			hash = hashes[m.part]
		}
		_, err := s.tx.ExecContext(ctx, `INSERT INTO log_mark (stream, part, next, hash) VALUES ($1, $2, $3, $4)
			ON CONFLICT (stream, part) DO UPDATE SET next = excluded.next, hash = excluded.hash`, m.stream, m.part, n, hash[:])
		if err != nil {
			return fmt.Errorf("marking how far the log has come: %w", err)
		}
	}
	result, err := s.tx.ExecContext(ctx, "UPDATE log SET size = $3, root = $4, at = $5 WHERE log = $1 AND size = $2",
		s.Number, s.Size, s.Size+int64(len(items)), root[:], at)
	if err != nil {
		return fmt.Errorf("moving the log on: %w", err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return errors.Join(fmt.Errorf("the log was extended by somebody else"), err)
	}
	return nil
}

// dollars writes n tuples of width numbered parameters.
func dollars(n, width int) string {
	var b strings.Builder
	for i := range n * width {
		switch {
		case i == 0:
			b.WriteByte('(')
		case i%width == 0:
			b.WriteString("), (")
		default:
			b.WriteString(", ")
		}
		b.WriteByte('$')
		b.WriteString(strconv.Itoa(i + 1))
	}
	return b.String() + ")"
}

// PublishCheckpoint puts a signed head in place of the last one, unless that is of a longer log, or of the
// same with more signatures.
func (db *DB) PublishCheckpoint(ctx context.Context, log int, size int64, note string) error {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	_, err = conn.ExecContext(ctx, `UPDATE log SET signed = $2, checkpoint = $3
		WHERE log = $1 AND (signed < $2 OR signed = $2 AND length(checkpoint) < length($3))`, log, size, note)
	if err != nil {
		return fmt.Errorf("publishing a checkpoint: %w", err)
	}
	return nil
}

// LogTile reads one tile; false when the log has none there.
func (db *DB) LogTile(ctx context.Context, log, level int, number int64) ([]byte, bool, error) {
	list, err := logTiles(ctx, db.read, log, []LogTile{{Level: level, Number: number}})
	if err != nil || len(list) == 0 {
		return nil, false, err
	}
	return list[0].Hashes, true, nil
}

// LogEntries reads n entries from a place on, or those of them that are there.
func (db *DB) LogEntries(ctx context.Context, log int, from int64, n int) ([][]byte, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT place, body FROM log_entry WHERE log = $1 AND place >= $2 AND place < $3 ORDER BY place", log, from, from+int64(n))
	if err != nil {
		return nil, fmt.Errorf("reading entries of the log: %w", err)
	}
	defer rows.Close()
	var list [][]byte
	for rows.Next() {
		var place int64
		var body []byte
		if err := rows.Scan(&place, &body); err != nil {
			return nil, err
		}
		if place != from+int64(len(list)) {
			return nil, fmt.Errorf("entry %d of the log is missing", from+int64(len(list)))
		}
		list = append(list, body)
	}
	return list, rows.Err()
}

// LogPlace finds where in which log a stream's row stands. The error is fault.NotFound when it is not sealed yet.
func (db *DB) LogPlace(ctx context.Context, stream string, part int, number int64) (log int, place int64, body []byte, err error) {
	err = db.read.QueryRowContext(ctx, "SELECT log, place, body FROM log_entry WHERE stream = $1 AND part = $2 AND number = $3", stream, part, number).
		Scan(&log, &place, &body)
	found, err := oneRow(err)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "this is not in the log yet; it will be in a moment")
	}
	return log, place, body, err
}

// LogStream reads the entries of one stream that belongs to no partition, up to the log's size, in order.
func (db *DB) LogStream(ctx context.Context, l Log, stream string) ([][]byte, error) {
	rows, err := db.read.QueryContext(ctx, "SELECT body FROM log_entry WHERE stream = $1 AND part = 0 AND log = $2 AND place < $3 ORDER BY number", stream, l.Number, l.Size)
	if err != nil {
		return nil, fmt.Errorf("reading the log's %s entries: %w", stream, err)
	}
	defer rows.Close()
	var list [][]byte
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		list = append(list, body)
	}
	return list, rows.Err()
}
