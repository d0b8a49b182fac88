package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/tanpu/tanpu/rules/claim"
)

// A mark is what is kept of an act whose person was erased: half of a keyed hash of what makes it the same act again. It
// lies in the partition that the hash falls to, with nothing beside it but when.
const markSize = 16

func markKey(secret []byte) []byte {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("forgotten"))
	return mac.Sum(nil)
}

// mark hashes a text, and says where it lies.
func (db *DB) mark(text string) (part int, mark []byte) {
	mac := hmac.New(sha256.New, db.marks)
	mac.Write([]byte(text))
	sum := mac.Sum(nil)
	return int(binary.BigEndian.Uint64(sum[markSize:]) % uint64(db.Parts)), sum[:markSize]
}

// Marks sorts acts' marks by the partitions that they lie in.
func (db *DB) Marks(texts []string) map[int][][]byte {
	marks := map[int][][]byte{}
	for _, text := range texts {
		part, mark := db.mark(text)
		marks[part] = append(marks[part], mark)
	}
	return marks
}

// Forget keeps marks in their partition, and has whoever judges in it ask for them all from now on.
func (tx *Tx) Forget(ctx context.Context, marks [][]byte) error {
	conn, err := tx.writer(ctx)
	if err != nil {
		return err
	}
	if _, err := conn.ExecContext(ctx, "UPDATE partition SET forgotten = 1 WHERE part = $1 AND forgotten = 0", tx.Part); err != nil {
		return err
	}
	for _, mark := range marks {
		if _, err := conn.ExecContext(ctx, "INSERT INTO forgotten (part, mark, at) VALUES ($1, $2, $3) ON CONFLICT (part, mark) DO NOTHING", tx.Part, mark, tx.Now); err != nil {
			return fmt.Errorf("marking what is forgotten: %w", err)
		}
	}
	return nil
}

// Remembering lists the partitions in which nobody asks yet whether an act was forgotten.
func (db *DB) Remembering(ctx context.Context) (parts []int, err error) {
	err = eachRow(ctx, db.read, func(scan func(...any) error) error {
		var part int
		err := scan(&part)
		parts = append(parts, part)
		return err
	}, "SELECT part FROM partition WHERE forgotten = 0 ORDER BY part")
	return parts, err
}

// forgotten asks for marks. They may lie in any partition: like documents they are only ever added to, and read by all.
func (tx *Tx) forgotten(marks []claim.Marked, known *claim.Known) *lookup {
	homes, hashes := make([]int64, len(marks)), make([][]byte, len(marks))
	for i := range marks {
		home, mark := tx.db.mark(marks[i].Text)
		homes[i], hashes[i] = int64(home), mark
	}
	return &lookup{
		keys: "place bigint, home bigint, mark bytea",
		cols: "u.place, f.at",
		from: []source{{table: "forgotten", alias: "f", on: "f.part = u.home AND f.mark = u.mark AND $1 >= 0"}}, // $1 belongs to every lookup
		args: []any{places(len(marks)), homes, hashes},
		row: func(scan func(...any) error) error {
			var place int
			var at int64
			err := scan(&place, &at)
			if at <= marks[place].Before {
				known.Forget(marks[place].Identity)
			}
			return err
		},
	}
}

// ForgottenSince says when an act of this text was forgotten; false where it was not.
func (db *DB) ForgottenSince(ctx context.Context, text string) (at claim.Micros, found bool, err error) {
	part, mark := db.mark(text)
	err = db.read.QueryRowContext(ctx, "SELECT at FROM forgotten WHERE part = $1 AND mark = $2", part, mark).Scan(&at)
	found, err = oneRow(err)
	return at, found, err
}
