package store

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
)

// A Testimony is what a partner signed in one request, and where its claims are recorded.
type Testimony struct {
	Root      ledger.Hash // over the leaves
	Partner   string
	KeyID     string
	At        int64  // when it was written, µs UTC
	Base      string // the text that was signed
	Signature []byte
	Salt      [32]byte      // of the request; zero where somebody was erased of whom it told something
	Leaves    []ledger.Hash // claim.SaidLeaves
	Places    []Said

	salts [][32]byte // of the claims, where the request's own is gone
}

// SaltOf is the salt of one of the request's claims; zero where that told something of somebody who was erased.
func (t *Testimony) SaltOf(i int) [32]byte {
	if t.salts == nil {
		return claim.SaidSalt(t.Salt, i)
	}
	return t.salts[i]
}

// salted takes over the salt that is kept of a request, or what is left of it.
func (t *Testimony) salted(kept []byte, claims int) {
	if len(kept) == len(t.Salt) {
		copy(t.Salt[:], kept)
	} else {
		t.salts = saltsOf(kept, claims)
	}
}

// Said is where a claim of a request is recorded.
type Said struct {
	Ref   claim.Ref
	Index int // its place in the request
}

// AddTestimonies writes testimonies, all of them or none. What is there already is left as it is: the same root is
// the same claims, and of where they are recorded more may become known, never less.
//
// They belong to no partition's decisions, so no partition is held. A request's rows lie in several partitions.
func (db *DB) AddTestimonies(ctx context.Context, list []*Testimony) error {
	conn, release, err := db.alone(ctx)
	if err != nil {
		return err
	}
	defer release()
	tx, err := begin(ctx, conn)
	if err != nil {
		return fmt.Errorf("keeping what was signed: %w", err)
	}
	defer tx.Rollback()
	if err := db.addTestimonies(ctx, tx, list); err != nil {
		return fmt.Errorf("keeping what was signed: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("keeping what was signed: %w", err)
	}
	return nil
}

func (db *DB) addTestimonies(ctx context.Context, tx *sql.Tx, list []*Testimony) error {
	if err := db.unsaid(ctx, tx, list); err != nil {
		return err
	}
	var heads [][]any
	var places []placesRow
	for _, t := range list {
		salt := t.Salt[:]
		if t.salts != nil {
			salt = append(joined(t.salts), 0)
		}
		heads = append(heads, []any{db.home(string(t.Root[:])), t.Root[:], t.Partner, t.KeyID, t.At, t.Base, t.Signature, salt, joined(t.Leaves)})
		places = append(places, placesOf(t)...)
	}
	// In the order of their keys, or two servers could wait for each other.
	slices.SortFunc(heads, func(a, b []any) int {
		return cmp.Or(cmp.Compare(a[0].(int), b[0].(int)), bytes.Compare(a[1].([]byte), b[1].([]byte)))
	})
	slices.SortFunc(places, placesRow.compare)
	if err := db.insert(ctx, tx, "INSERT INTO testimony (part, root, partner, keyid, at, base, signature, salt, leaves) VALUES ", heads); err != nil {
		return err
	}
	rows := make([][]any, len(places))
	for i, p := range places {
		rows[i] = []any{p.part, p.batch, p.root, len(p.places) / PlaceSize, p.places}
	}
	return db.insert(ctx, tx, "INSERT INTO testimony_batch (part, batch, root, claims, places) VALUES ", rows)
}

// testifying is the advisory lock that PostgreSQL's writers of testimonies share.
const testifying = 0x7461_6e70_75

// AwaitTestimonies waits for those that are being written: whoever begins afterwards sees whose erasure had begun. SQLite
// has one writer at a time.
func (db *DB) AwaitTestimonies(ctx context.Context) error {
	if db.engine == sqlite {
		return nil
	}
	if _, err := db.write.ExecContext(ctx, "SELECT pg_advisory_xact_lock($1::bigint)", testifying); err != nil {
		return fmt.Errorf("waiting for what is being signed: %w", err)
	}
	return nil
}

// unsaid takes out of testimonies what they tell of claims whose account was erased, or began to be, since they were recorded:
// their salts, which no erasure would find any more, and their places.
func (db *DB) unsaid(ctx context.Context, tx *sql.Tx, list []*Testimony) error {
	if db.engine == postgres {
		if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock_shared($1::bigint)", testifying); err != nil {
			return err
		}
	}
	var some bool
	err := tx.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM erasing) OR EXISTS (SELECT 1 FROM erasure)").Scan(&some)
	if err != nil || !some {
		return err
	}
	erasing := map[AccountID]bool{}
	err = eachRow(ctx, tx, func(scan func(...any) error) error {
		var id AccountID
		err := scan(&id.Part, &id.Number)
		erasing[id] = true
		return err
	}, "SELECT part, account FROM erasing")
	accounts := map[claim.Ref][]byte{} // of batches
	for _, t := range list {
		var left []Said
		for _, p := range t.Places {
			batch := claim.Ref{Part: p.Ref.Part, Batch: p.Ref.Batch}
			whose, read := accounts[batch]
			if !read && err == nil {
				_, err = oneRow(tx.QueryRowContext(ctx, "SELECT accounts FROM batch WHERE part = $1 AND batch = $2", batch.Part, batch.Batch).Scan(&whose))
				accounts[batch] = whose
			}
			id := AccountID{Part: batch.Part}
			if at := p.Ref.Ord * 8; at+8 <= len(whose) {
				id.Number = int64(binary.BigEndian.Uint64(whose[at:]))
			}
			if id.Number != 0 && !erasing[id] {
				left = append(left, p)
				continue
			}
			if t.salts == nil {
				t.salts = saltsOf(t.Salt[:], len(t.Leaves))
			}
			t.salts[p.Index] = [32]byte{}
		}
		t.Places = left
	}
	return err
}

// A placesRow says which claims of a request a batch holds.
type placesRow struct {
	part   int
	batch  int64
	root   []byte
	places []byte
}

// PlaceSize is how many bytes one of a batch's places has: the claim's place in the batch and that in the request,
// 4 bytes each.
const PlaceSize = 8

func (p placesRow) compare(q placesRow) int {
	return cmp.Or(cmp.Compare(p.part, q.part), cmp.Compare(p.batch, q.batch), bytes.Compare(p.root, q.root), cmp.Compare(len(p.places), len(q.places)))
}

func placesOf(t *Testimony) (rows []placesRow) {
	at := map[claim.Ref]int{} // a batch's row
	for _, p := range t.Places {
		batch := claim.Ref{Part: p.Ref.Part, Batch: p.Ref.Batch}
		i, ok := at[batch]
		if !ok {
			i = len(rows)
			at[batch] = i
			rows = append(rows, placesRow{part: batch.Part, batch: batch.Batch, root: t.Root[:]})
		}
		r := &rows[i]
		r.places = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(r.places, uint32(p.Ref.Ord)), uint32(p.Index))
	}
	return rows
}

// insert writes rows, some in a statement.
func (db *DB) insert(ctx context.Context, tx *sql.Tx, head string, rows [][]any) error {
	for len(rows) > 0 {
		n := chunkOf(min(len(rows), 16))
		if _, err := tx.ExecContext(ctx, head+db.tuples(n, len(rows[0]))+" ON CONFLICT DO NOTHING", slices.Concat(rows[:n]...)...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

// tuples writes n tuples of placeholders as the engine likes them best.
func (db *DB) tuples(n, width int) string {
	if db.engine == sqlite {
		return values(n, width)
	}
	return dollars(n, width)
}

func joined[T ~[32]byte](hashes []T) []byte {
	b := make([]byte, 0, len(hashes)*32)
	for i := range hashes {
		b = append(b, hashes[i][:]...)
	}
	return b
}

// Testified says which of these recorded claims a testimony is kept of.
func (db *DB) Testified(ctx context.Context, refs []claim.Ref) (map[claim.Ref]bool, error) {
	asked := map[claim.Ref][]int{} // a batch's ordinals
	for _, r := range refs {
		batch := claim.Ref{Part: r.Part, Batch: r.Batch}
		asked[batch] = append(asked[batch], r.Ord)
	}
	batches := slices.Collect(maps.Keys(asked))
	testified := map[claim.Ref]bool{}
	for len(batches) > 0 {
		n := chunkOf(min(len(batches), 16))
		err := db.eachPlaces(ctx, batches[:n], func(r claim.Ref, places []byte) {
			for _, ord := range asked[r] {
				if _, ok := indexIn(places, ord); ok {
					testified[claim.Ref{Part: r.Part, Batch: r.Batch, Ord: ord}] = true
				}
			}
		})
		if err != nil {
			return nil, fmt.Errorf("looking for what was signed: %w", err)
		}
		batches = batches[n:]
	}
	return testified, nil
}

// RecordedFor reports whether a recorded claim was reported by this very sub, and not by another of the same member.
func (db *DB) RecordedFor(ctx context.Context, ref claim.Ref, sub string) (bool, error) {
	part, s, ok := db.seat(sub)
	if !ok || part != ref.Part {
		return false, nil
	}
	var link int
	err := db.read.QueryRowContext(ctx, "SELECT link FROM claim WHERE part = $1 AND account = $2 AND batch = $3 AND ord = $4", part, s.account, ref.Batch, ref.Ord).Scan(&link)
	found, err := oneRow(err)
	if err != nil {
		return false, fmt.Errorf("looking for whom a claim was reported: %w", err)
	}
	return found && link == s.link, nil
}

// eachPlaces runs f on what is known of some batches. The places hold until it returns.
func (db *DB) eachPlaces(ctx context.Context, batches []claim.Ref, f func(batch claim.Ref, places []byte)) error {
	var where strings.Builder
	var args []any
	for i, b := range batches {
		if i > 0 {
			where.WriteString(" OR ")
		}
		fmt.Fprintf(&where, "(part = $%d AND batch = $%d)", 2*i+1, 2*i+2)
		args = append(args, b.Part, b.Batch)
	}
	rows, err := db.read.QueryContext(ctx, "SELECT part, batch, places FROM testimony_batch WHERE "+where.String(), args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var r claim.Ref
		var places sql.RawBytes
		if err := rows.Scan(&r.Part, &r.Batch, &places); err != nil {
			return err
		}
		f(r, places)
	}
	return rows.Err()
}

// TestimonyOf finds what the partner of a recorded claim signed, the first if it did so more than once, and the
// claim's place in that request. False where the claim came by an API key or an import.
func (db *DB) TestimonyOf(ctx context.Context, ref claim.Ref) (t Testimony, index int, found bool, err error) {
	rows, err := db.read.QueryContext(ctx, "SELECT root, places FROM testimony_batch WHERE part = $1 AND batch = $2", ref.Part, ref.Batch)
	if err != nil {
		return t, 0, false, fmt.Errorf("looking for what was signed: %w", err)
	}
	defer rows.Close()
	indexes := map[ledger.Hash]int{}
	for rows.Next() {
		var root, places []byte
		if err := rows.Scan(&root, &places); err != nil {
			return t, 0, false, err
		}
		if i, ok := indexIn(places, ref.Ord); ok && len(root) == len(t.Root) {
			indexes[ledger.Hash(root)] = i
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return t, 0, false, err
	}
	for root, i := range indexes {
		one, err := db.testimony(ctx, root)
		if err == nil && i < len(one.Leaves) && one.SaltOf(i) == [32]byte{} {
			continue // the claim's account is being erased
		}
		if err != nil {
			return t, 0, false, fmt.Errorf("reading what was signed: %w", err)
		}
		if !found || one.At < t.At || one.At == t.At && bytes.Compare(root[:], t.Root[:]) < 0 {
			t, index, found = one, i, true
		}
	}
	return t, index, found, nil
}

// indexIn finds a claim's place in the request by its place in the batch.
func indexIn(places []byte, ord int) (int, bool) {
	for ; len(places) >= PlaceSize; places = places[PlaceSize:] {
		if int(binary.BigEndian.Uint32(places)) == ord {
			return int(binary.BigEndian.Uint32(places[4:])), true
		}
	}
	return 0, false
}

func (db *DB) testimony(ctx context.Context, root ledger.Hash) (Testimony, error) {
	t := Testimony{Root: root}
	var salt, leaves []byte
	err := db.read.QueryRowContext(ctx, "SELECT partner, keyid, at, base, signature, salt, leaves FROM testimony WHERE part = $1 AND root = $2",
		db.home(string(root[:])), root[:]).Scan(&t.Partner, &t.KeyID, &t.At, &t.Base, &t.Signature, &salt, &leaves)
	if err != nil {
		return t, err
	}
	t.salted(salt, len(leaves)/len(ledger.Hash{}))
	for h := range slices.Chunk(leaves, len(ledger.Hash{})) {
		if len(h) < len(ledger.Hash{}) {
			return t, fmt.Errorf("its leaves are not whole hashes")
		}
		t.Leaves = append(t.Leaves, ledger.Hash(h))
	}
	return t, nil
}

// EachTestimony runs f on what was signed in the requests whose home is the partition, without the places.
func (s *Snapshot) EachTestimony(ctx context.Context, f func(*Testimony)) error {
	return s.each(ctx, func(r *raw) {
		t := &Testimony{Root: r.hash(0), Partner: r.text(1), KeyID: r.text(2), Base: r.text(3), Signature: r.bytes(4), Leaves: hashes(r.bytes(5))}
		f(t)
	}, "SELECT root, partner, keyid, base, signature, leaves FROM testimony WHERE part = $1", int64(s.Part))
}

// EachSaid runs f on which claims of the partition's batches were said in which request: places are of PlaceSize bytes
// each, a claim's in the batch and that in the request, with 4 bytes. The testimony has partner, salt and leaves; it
// is nil where there is none.
func (s *Snapshot) EachSaid(ctx context.Context, f func(batch int64, root ledger.Hash, places []byte, t *Testimony)) error {
	var list []placesRow
	err := s.each(ctx, func(r *raw) {
		list = append(list, placesRow{batch: r.integer(0), root: bytes.Clone(r.bytes(1)), places: bytes.Clone(r.bytes(2))})
	}, "SELECT batch, root, places FROM testimony_batch WHERE part = $1 ORDER BY root, batch", int64(s.Part))
	for err == nil && len(list) > 0 {
		n, roots := 0, 0
		for ; n < len(list); n++ {
			if n == 0 || !bytes.Equal(list[n].root, list[n-1].root) {
				if roots++; roots > 16 {
					break
				}
			}
		}
		var said map[string]*Testimony
		if said, err = s.testimonies(ctx, list[:n]); err == nil {
			for _, p := range list[:n] {
				var root ledger.Hash
				copy(root[:], p.root)
				f(p.batch, root, p.places, said[string(p.root)])
			}
		}
		list = list[n:]
	}
	return err
}

// testimonies reads what the requests of some rows signed, by their roots.
func (s *Snapshot) testimonies(ctx context.Context, list []placesRow) (map[string]*Testimony, error) {
	var where strings.Builder
	var args []any
	for i, p := range list {
		if i > 0 && bytes.Equal(p.root, list[i-1].root) {
			continue
		}
		if len(args) > 0 {
			where.WriteString(" OR ")
		}
		args = append(args, s.db.home(string(p.root)), p.root)
		fmt.Fprintf(&where, "(part = $%d AND root = $%d)", len(args)-1, len(args))
	}
	rows, err := s.conn.QueryContext(ctx, "SELECT root, partner, salt, leaves FROM testimony WHERE "+where.String(), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	said := map[string]*Testimony{}
	for rows.Next() {
		var root, salt, leaves []byte
		t := new(Testimony)
		if err := rows.Scan(&root, &t.Partner, &salt, &leaves); err != nil {
			return nil, err
		}
		t.salted(salt, len(leaves)/len(ledger.Hash{}))
		t.Leaves = hashes(leaves)
		said[string(root)] = t
	}
	return said, rows.Err()
}

// hashes is the reverse of joined; a last one that is cut off is left out.
func hashes(b []byte) []ledger.Hash {
	list := make([]ledger.Hash, 0, len(b)/len(ledger.Hash{}))
	for ; len(b) >= len(ledger.Hash{}); b = b[len(ledger.Hash{}):] {
		list = append(list, ledger.Hash(b))
	}
	return list
}
