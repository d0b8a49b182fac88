package store

import (
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
)

// An older database is brought forward in transactions that extend its log (see Sealing) and that record, with each entry,
// the row that it is of: so that the log and what it is of never part. They touch several partitions at once, as nothing
// else does, and nobody else writes meanwhile.

// Recorded reads the text that a stream's row has in the log, from the row itself; nil when there is no such row.
func (s *Sealing) Recorded(ctx context.Context, stream string, part int, number int64) ([]byte, error) {
	var list []Item
	var err error
	switch stream {
	case BatchStream:
		list, err = s.batches(ctx, part, number, 1)
	case LinksStream:
		list, err = s.links(ctx, part, number, 1)
	case DocumentStream:
		list, err = s.documents(ctx, number, 1)
	case TotalsStream:
		list, err = s.totals(ctx, number, 1)
	case KeyStream:
		list, err = s.keys(ctx, number, 1)
	case ErasureStream:
		list, err = s.erasures(ctx, part, number, 1)
	case LostStream:
		list, err = s.losses(ctx, map[mark]int64{{LostStream, part}: number})
		for len(list) > 0 && list[0].Part != part {
			list = list[1:]
		}
	}
	if err != nil || len(list) == 0 || list[0].Number != number {
		return nil, err
	}
	return list[0].Body, nil
}

// ReadLog runs f on the log as it stands, without holding anybody up. f must not write.
func (db *DB) ReadLog(ctx context.Context, f func(*Sealing) error) error {
	tx, err := db.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true, Isolation: db.snapshot()})
	if err != nil {
		return fmt.Errorf("reading the log: %w", err)
	}
	defer tx.Rollback()
	s := &Sealing{db: db, tx: tx}
	s.Log, err = scanLog(tx.QueryRowContext(ctx, lastLog))
	if found, err := oneRow(err); err != nil || !found {
		return err
	}
	return f(s)
}

// snapshot is the isolation in which all that is read is of one moment.
func (db *DB) snapshot() sql.IsolationLevel {
	if db.engine == postgres {
		return sql.LevelRepeatableRead
	}
	return sql.LevelDefault
}

// served is what PostgreSQL knows the connections of those who write by.
const served = "tanpu"

// Unserved returns an error if other processes write to the database. On SQLite there can be none: the lock says so.
func (db *DB) Unserved(ctx context.Context) error {
	if db.engine == sqlite {
		return nil
	}
	var n int
	err := db.read.QueryRowContext(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND application_name = $1", served).Scan(&n)
	if err != nil {
		return fmt.Errorf("looking who serves the database: %w", err)
	}
	if n > 0 {
		return fault.New(fault.Conflict, "servers have %d connections open to the database; stop them first: what they write now takes numbers that the log has given", n)
	}
	return nil
}

// HoldBatches records batches of which nothing but the record is left: they hold their numbers, without claims, and the
// partitions go on after them.
func (s *Sealing) HoldBatches(ctx context.Context, batches []ledger.Batch) error {
	last := map[int]*ledger.Batch{}
	for from := 0; from < len(batches); from += logRows {
		some := batches[from:min(from+logRows, len(batches))]
		args := make([]any, 0, 13*len(some))
		for i := range some {
			b := &some[i]
			hash := b.Hash()
			args = append(args, b.Part, b.Number, b.At, b.Rulebook, kindOf(b)|held, 0, b.Root[:], b.Totals[:], b.Prev[:], hash[:], []byte{}, []byte{}, "")
			last[b.Part] = b
		}
		_, err := s.tx.ExecContext(ctx, `INSERT INTO batch (part, batch, at, rulebook, backfill, claims, root, totals, prev, hash, leaves, accounts, counts) VALUES `+dollars(len(some), 13), args...)
		if err != nil {
			return fmt.Errorf("holding batches: %w", err)
		}
	}
	for part, b := range last {
		hash := b.Hash()
		if err := s.moveOn(ctx, "UPDATE partition SET next = $3, at = $4, hash = $5 WHERE part = $1 AND next <= $2", part, b.Number, b.Number+1, b.At, hash[:]); err != nil {
			return err
		}
	}
	return nil
}

// moveOn changes one row, or is an error.
func (s *Sealing) moveOn(ctx context.Context, query string, args ...any) error {
	result, err := s.tx.ExecContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("moving partition %v on: %w", args[0], err)
	}
	if n, err := result.RowsAffected(); err != nil || n != 1 {
		return fmt.Errorf("partition %v was moved on by somebody else (%w)", args[0], err)
	}
	return nil
}

// HoldLinks records consents of which nothing but the record is left. One that ended a link that is here is whole, and
// ends it again.
func (s *Sealing) HoldLinks(ctx context.Context, l *record.Links, ended *Consented) error {
	leaves, whose := []byte{}, []byte{}
	if ended != nil {
		leaves, whose = l.Root[:], ended.bytes() // the root over one leaf is that leaf
		if err := s.moveOn(ctx, "UPDATE link SET revoked = $4 WHERE part = $1 AND account = $2 AND link = $3 AND revoked = 0", l.Part, ended.Account, ended.Link, l.At); err != nil {
			return err
		}
	}
	_, err := s.tx.ExecContext(ctx, "INSERT INTO consent (part, number, at, root, leaves, links) VALUES ($1, $2, $3, $4, $5, $6)", l.Part, l.Number, l.At, l.Root[:], leaves, whose)
	if err != nil {
		return fmt.Errorf("holding consents: %w", err)
	}
	return s.moveOn(ctx, "UPDATE partition SET consents = $3 WHERE part = $1 AND consents = $2", l.Part, l.Number, l.Number+1)
}

func (c *Consented) bytes() []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(c.Account))
	b = binary.BigEndian.AppendUint32(b, uint32(c.Link))
	event := byte(0)
	if c.Ended {
		event = 1
	}
	return append(b, event)
}

// AddDocument publishes a document again, under its number and as of when it was published. Without its text it only holds its number.
func (s *Sealing) AddDocument(ctx context.Context, d *Document) error {
	_, err := s.tx.ExecContext(ctx, "INSERT INTO document (rulebook, kind, name, hash, body, at) VALUES ($1, $2, $3, $4, $5, $6)", d.Rulebook, d.Kind, d.Name, d.Hash[:], append([]byte{}, d.Body...), d.At)
	if err != nil {
		return fmt.Errorf("publishing %s again: %w", d.Name, err)
	}
	return nil
}

// AddTotals records sums that were opened, so that no day is opened twice.
func (s *Sealing) AddTotals(ctx context.Context, t *record.Totals) error {
	_, err := s.tx.ExecContext(ctx, "INSERT INTO totals (number, programme, method, vintage, upto, claims, mg, points, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
		t.Number, t.Programme, t.Method, t.Vintage, t.To, t.Claims, t.Reduction, t.Points, record.Text(t))
	if err != nil {
		return fmt.Errorf("recording totals again: %w", err)
	}
	return nil
}

// AddKey records that a key of the log came or ended.
func (s *Sealing) AddKey(ctx context.Context, k *record.Key) error {
	ended := 0
	if k.Ended {
		ended = 1
	}
	if _, err := s.tx.ExecContext(ctx, "INSERT INTO log_key (number, at, key, ended) VALUES ($1, $2, $3, $4)", k.Number, k.At, k.Key, ended); err != nil {
		return fmt.Errorf("recording a key of the log: %w", err)
	}
	return nil
}

// AddErasure records that an account was erased. If it is here, it is noted as being erased: see flows/erase, which takes it
// away again. On PostgreSQL the rest of the transaction has the right to erase.
func (s *Sealing) AddErasure(ctx context.Context, e *record.Erasure) error {
	if s.db.engine == postgres {
		if err := s.db.takeRight(ctx, s.tx); err != nil {
			return err
		}
	}
	n, found, err := s.findErased(ctx, e)
	if err != nil {
		return err
	}
	const nobody = 0 // whose row, for as long as the transaction lasts, is SQLite's right to add to erasures
	for _, q := range []struct {
		query string
		args  []any
	}{
		{"INSERT INTO erasing (part, account, at, open) VALUES ($1, $2, $3, 1)", []any{e.Part, nobody, e.At}},
		{"INSERT INTO erasure (part, number, at, account, removed, restored) VALUES ($1, $2, $3, $4, $5, 1)", []any{e.Part, e.Number, e.At, e.Account[:], e.Removed[:]}},
		{"DELETE FROM erasing WHERE part = $1 AND account = $2", []any{e.Part, nobody}},
	} {
		if _, err := s.tx.ExecContext(ctx, q.query, q.args...); err != nil {
			return fmt.Errorf("recording an erasure again: %w", err)
		}
	}
	if found {
		_, err := s.tx.ExecContext(ctx, "INSERT INTO erasing (part, account, at, open) VALUES ($1, $2, $3, 0) ON CONFLICT (part, account) DO NOTHING", e.Part, n, e.At)
		if err != nil {
			return fmt.Errorf("noting an account that is to be erased again: %w", err)
		}
	}
	return s.moveOn(ctx, "UPDATE partition SET erasures = $3 WHERE part = $1 AND erasures = $2", e.Part, e.Number, e.Number+1)
}

// findErased finds which account an erasure was of: by its name, which the partition's secret makes.
func (s *Sealing) findErased(ctx context.Context, e *record.Erasure) (n claim.Number, found bool, err error) {
	var secret []byte
	if err := s.tx.QueryRowContext(ctx, "SELECT secret FROM partition WHERE part = $1", e.Part).Scan(&secret); err != nil {
		return 0, false, err
	}
	err = eachRow(ctx, s.tx, func(scan func(...any) error) error {
		var one claim.Number
		err := scan(&one)
		if err == nil && !found && record.Hash(claim.ErasedName(one, secret)) == e.Account {
			n, found = one, true
		}
		return err
	}, "SELECT account FROM account WHERE part = $1", e.Part)
	if err != nil {
		return 0, false, fmt.Errorf("looking for an account that was erased: %w", err)
	}
	return n, found, nil
}

// AddLost records what was lost.
func (s *Sealing) AddLost(ctx context.Context, l *record.Lost) error {
	_, err := s.tx.ExecContext(ctx, "INSERT INTO lost (part, number, at, stream, first, last) VALUES ($1, $2, $3, $4, $5, $6)", l.Part, l.Number, l.At, l.Of, l.From, l.To)
	if err != nil {
		return fmt.Errorf("recording what was lost: %w", err)
	}
	return nil
}

// SkipAccounts leaves numbers of accounts out, a count for each partition: those that may have been given to somebody.
func (s *Sealing) SkipAccounts(ctx context.Context, counts []int64) error {
	for part, n := range counts {
		if err := s.moveOn(ctx, "UPDATE partition SET accounts = accounts + $2 WHERE part = $1", part, n); err != nil {
			return err
		}
	}
	return nil
}

// CoverLosses records as lost whatever holds its number and is not yet recorded as lost, and returns how many entries of the log will say so.
func (s *Sealing) CoverLosses(ctx context.Context, parts int, at int64) (n int, err error) {
	for part := range parts {
		known := map[string]map[int64]bool{BatchStream: {}, LinksStream: {}, DocumentStream: {}}
		var last int64
		err := eachRow(ctx, s.tx, func(scan func(...any) error) error {
			var stream string
			var from, to int64
			err := scan(&last, &stream, &from, &to)
			for ; from <= to; from++ {
				known[stream][from] = true
			}
			return err
		}, "SELECT number, stream, first, last FROM lost WHERE part = $1 ORDER BY number", part)
		if err != nil {
			return n, fmt.Errorf("reading what was lost: %w", err)
		}
		for _, q := range [...]struct{ stream, query string }{
			{BatchStream, "SELECT batch FROM batch WHERE part = $1 AND backfill >= 4 ORDER BY batch"},
			{LinksStream, "SELECT number FROM consent WHERE part = $1 AND length(links) = 0 ORDER BY number"},
			{DocumentStream, "SELECT rulebook FROM document WHERE $1 = 0 AND length(body) = 0 ORDER BY rulebook"}, // of no partition
		} {
			list, err := s.uncovered(ctx, part, q.query, known[q.stream])
			if err != nil {
				return n, err
			}
			for _, l := range list {
				last++
				l.Part, l.Number, l.At, l.Of = part, last, at, q.stream
				if err := s.AddLost(ctx, &l); err != nil {
					return n, err
				}
				n++
			}
		}
	}
	return n, nil
}

// uncovered lists runs of numbers that are not among those known.
func (s *Sealing) uncovered(ctx context.Context, part int, query string, known map[int64]bool) (list []record.Lost, err error) {
	err = eachRow(ctx, s.tx, func(scan func(...any) error) error {
		var n int64
		if err := scan(&n); err != nil || known[n] {
			return err
		}
		if k := len(list) - 1; k >= 0 && list[k].To == n-1 {
			list[k].To = n
		} else {
			list = append(list, record.Lost{From: n, To: n})
		}
		return nil
	}, query, part)
	if err != nil {
		return nil, fmt.Errorf("looking for what was lost: %w", err)
	}
	return list, nil
}

// InForce runs f on all links of a partition that are in force and whose account has its key, with that key.
func (db *DB) InForce(ctx context.Context, part int, f func(*claim.Link)) error {
	return db.Snapshot(ctx, part, func(s *Snapshot) error {
		return s.each(ctx, func(r *raw) {
			at := seat{r.integer(0), int(r.integer(1))}
			l := claim.Link{Sub: db.sub(part, at), Account: at.account, Number: at.link, Programme: r.word(2), Partner: r.word(3),
				Scenarios: words(r.text(4)), Purposes: words(r.text(5)), Since: r.integer(6)}
			if copy(l.Key[:], r.bytes(7)) == len(l.Key) {
				f(&l)
			}
		}, `SELECT l.account, l.link, l.programme, l.partner, l.scenarios, l.purposes, l.since, k.key
			FROM link l JOIN account_key k ON k.part = l.part AND k.account = l.account WHERE l.part = $1 AND l.revoked = 0`, int64(part))
	})
}
