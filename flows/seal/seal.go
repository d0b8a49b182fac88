// Package seal takes what was committed into the transparency log, and signs and publishes the log's heads.
// What is in the log nobody can change unseen: heads are kept outside the database, by this server and by
// witnesses, and a head that does not extend the last one is never signed.
package seal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/store"
)

// Every is how often the log is extended, unless said otherwise.
const Every = time.Second

// sumEvery is how often the sealer looks whether a day's sums can be opened.
const sumEvery = 10 * time.Minute

// atOnce bounds the entries of one transaction, and so the memory that it takes.
const atOnce = 20000

// A Witness cosigns heads that extend the last one it saw. It returns the lines that it adds.
type Witness interface {
	Name() string
	// Cosign asks for a signature of a checkpoint, given a proof that it extends the log of old entries. If
	// the witness knows the log at another size, the error is a *Stale that says which.
	Cosign(ctx context.Context, old int64, consistency []tlog.Hash, checkpoint []byte) ([]byte, error)
}

// Stale is a witness's answer that it last saw the log at this size.
type Stale struct{ Size int64 }

func (s *Stale) Error() string { return fmt.Sprintf("the witness knows the log at %d entries", s.Size) }

// A Config says what a sealer works with.
type Config struct {
	DB        *store.DB
	Signer    *Signer
	Witnesses []Witness
	Log       *slog.Logger
	Every     time.Duration              // 0 for Every
	Observe   func(sealed int, at int64) // called after each extension; may be nil
}

// A Sealer extends one log. Several, on several servers, take turns.
type Sealer struct {
	Config
	seen   map[string]int64     // by witness: the size at which it last cosigned
	resume map[string]time.Time // by witness: when to ask it again after it failed
	failed map[string]int       // by witness: how often in a row
	summed time.Time            // when totals were opened last
	looked map[string]string    // by programme: the day up to which its sums were looked at
	beside bool                 // totals are opened beside the steps, and not by them
	unfit  atomic.Pointer[error]
}

// New makes a sealer once it has made sure that the database holds all that was ever signed. An older
// database must not be written to: it would give the same numbers to other batches.
func New(ctx context.Context, c Config) (*Sealer, error) {
	if c.Every == 0 {
		c.Every = Every
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	s := &Sealer{Config: c, seen: map[string]int64{}, resume: map[string]time.Time{}, failed: map[string]int{}, looked: map[string]string{}}
	return s, s.check(ctx)
}

// Check returns an error unless the database holds all that was ever signed: whoever writes to an older one gives the same
// numbers to other batches.
func Check(ctx context.Context, db *store.DB, signer *Signer) error {
	return (&Sealer{Config: Config{DB: db, Signer: signer}}).check(ctx)
}

func (s *Sealer) check(ctx context.Context) error {
	l, err := s.current(ctx)
	if err != nil {
		return err
	}
	return s.extends(ctx, l)
}

// current is the log that goes on, which must be the signer's.
func (s *Sealer) current(ctx context.Context) (store.Log, error) {
	l, found, err := s.DB.Log(ctx)
	switch {
	case err != nil:
		return l, err
	case !found:
		return l, fault.New(fault.NotFound, "no log was begun; run: tanpu init --db URL")
	case l.Origin != s.Signer.Origin():
		return l, fault.New(fault.Conflict, "the key is that of the log %s, and the database's is %s", s.Signer.Origin(), l.Origin)
	}
	return l, nil
}

// Unfit says why nothing may be written to the database: it is not the one whose log was signed last, as when another took its
// place while this server ran. What it acknowledged would have numbers that others have. nil while all is well.
func (s *Sealer) Unfit() error {
	if err := s.unfit.Load(); err != nil {
		return *err
	}
	return nil
}

// extends returns an error unless the log, as it is committed, extends the head that was signed last.
func (s *Sealer) extends(ctx context.Context, l store.Log) error {
	err := s.extension(ctx, l)
	switch {
	case err == nil:
		s.unfit.Store(nil)
	case fault.KindOf(err) == fault.Conflict:
		s.unfit.Store(&err)
	}
	return err
}

func (s *Sealer) extension(ctx context.Context, l store.Log) error {
	last := s.Signer.Last()
	if l.Size < last.Size {
		return fault.New(fault.Conflict, "the database's log has %d entries and one of %d was signed: it is older than the log; bring it forward with: tanpu restore --db URL FROM", l.Size, last.Size)
	}
	_, err := s.consistency(ctx, l, last.Size, last.Root)
	return err
}

// Extends returns an error unless the database's log extends a head that was signed.
func Extends(ctx context.Context, db *store.DB, l store.Log, head proof.Checkpoint) error {
	_, err := (&Sealer{Config: Config{DB: db}}).consistency(ctx, l, head.Size, head.Root)
	return err
}

// consistency proves that the log extends the one of old entries with that root.
func (s *Sealer) consistency(ctx context.Context, l store.Log, old int64, root tlog.Hash) ([]tlog.Hash, error) {
	if old == 0 {
		return nil, nil
	}
	path, err := tlog.ProveTree(l.Size, old, Reader(ctx, s.DB, l))
	if err != nil {
		return nil, fmt.Errorf("proving that the log of %d entries extends that of %d: %w", l.Size, old, err)
	}
	if err := tlog.CheckTree(path, l.Size, tlog.Hash(l.Root), old, root); err != nil {
		return nil, fault.New(fault.Conflict, "the database's log of %d entries does not extend the one of %d that was signed: what was recorded has been changed", l.Size, old)
	}
	return path, nil
}

// Run extends, signs and publishes until ctx ends, and then once more, so that what was answered is in the log.
func (s *Sealer) Run(ctx context.Context) {
	s.beside = true
	var opening sync.WaitGroup
	opening.Go(func() { s.openTotalsUntil(ctx) })
	defer opening.Wait()
	failures := 0
	for {
		more, err := s.Step(ctx, time.Now())
		switch {
		case ctx.Err() != nil:
			s.last()
			return
		case err != nil:
			failures++
			s.Log.Error("sealing", "error", err.Error(), "failures", failures)
		default:
			failures = 0
		}
		wait := s.Every
		if more {
			wait = 0
		}
		// Several servers that were started together should not all come at once.
		wait += time.Duration(rand.Int64N(int64(s.Every)/10 + 1))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// last seals what was committed when the server was told to end.
func (s *Sealer) last() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for {
		more, err := s.Step(ctx, time.Now())
		if err != nil {
			s.Log.Error("sealing", "error", err.Error())
		}
		if err != nil || !more {
			return
		}
	}
}

// Step extends the log by what was committed, and signs and publishes the head that it has then. It reports
// whether there is more to be taken.
//
// What is true if we die on the way: before the log's transaction commits, nothing happened. After it, the
// log is longer and its head unsigned; the next step signs that or a later one. Once signed, the head is in
// the signer's file, and only then published; the next step publishes it if that was not done.
func (s *Sealer) Step(ctx context.Context, now time.Time) (more bool, err error) {
	if !s.beside && now.Sub(s.summed) >= sumEvery {
		s.openTotals(ctx, now)
	}
	n, err := s.extend(ctx, now.UnixMicro())
	if err != nil {
		return false, err
	}
	if s.Observe != nil && n > 0 {
		s.Observe(n, now.UnixMicro())
	}
	return n >= atOnce, s.sign(ctx, now)
}

// openTotals opens the sums of days that are over. They can wait; what was judged cannot.
func (s *Sealer) openTotals(ctx context.Context, now time.Time) {
	if _, err := openTotals(ctx, s.DB, now, s.looked); err != nil && ctx.Err() == nil {
		s.Log.Error("opening totals", "error", err.Error())
	}
	s.summed = now
}

// openTotalsUntil opens sums beside the steps until ctx ends: to count who shares one can take minutes where there are
// millions of members, and claims are to be provable in seconds.
func (s *Sealer) openTotalsUntil(ctx context.Context) {
	for ctx.Err() == nil {
		s.openTotals(ctx, time.Now())
		select {
		case <-ctx.Done():
		case <-time.After(sumEvery):
		}
	}
}

// errNothing ends a transaction in which there was nothing to do.
var errNothing = errors.New("nothing to seal")

// extend takes what was committed into the log, and says how much.
func (s *Sealer) extend(ctx context.Context, at int64) (n int, err error) {
	_, err = s.DB.Seal(ctx, func(tx *store.Sealing) error {
		n, err = s.append(ctx, tx, at)
		if err == nil && n == 0 {
			err = errNothing
		}
		return err
	})
	if errors.Is(err, errNothing) {
		err = nil
	}
	if err != nil {
		n = 0
	}
	return n, err
}

func (s *Sealer) append(ctx context.Context, tx *store.Sealing, at int64) (int, error) {
	if last := s.Signer.Last(); tx.Origin != s.Signer.Origin() || tx.Size < last.Size {
		return 0, s.extends(ctx, tx.Log)
	}
	return take(ctx, tx, at)
}

// take takes what is pending into the log, and says how much.
func take(ctx context.Context, tx *store.Sealing, at int64) (int, error) {
	items, hashes, err := tx.Pending(ctx, atOnce)
	if err != nil {
		return 0, err
	}
	if tx.Size == 0 {
		first := store.Item{Stream: store.OriginStream, Number: int64(tx.Number), Body: []byte(tx.First)}
		items = append([]store.Item{first}, items...)
	}
	for i := range items {
		if err := chain(&items[i], hashes); err != nil {
			return 0, err
		}
	}
	return len(items), extend(ctx, tx, items, hashes, at)
}

// Append extends the log by entries as they are given, and the chains of their batches.
func Append(ctx context.Context, tx *store.Sealing, items []store.Item, at int64) error {
	hashes := map[int]ledger.Hash{}
	for i := range items {
		if items[i].Stream == store.BatchStream {
			hashes[items[i].Part] = ledger.TextHash(items[i].Body)
		}
	}
	return extend(ctx, tx, items, hashes, at)
}

// extend writes entries and what they change of the log's tree. hashes are those of the partitions' last batches.
func extend(ctx context.Context, tx *store.Sealing, items []store.Item, hashes map[int]ledger.Hash, at int64) error {
	if len(items) == 0 {
		return nil
	}
	edge, err := edge(ctx, tx)
	if err != nil {
		return err
	}
	for i := range items {
		edge.Append(tlog.RecordHash(items[i].Body))
	}
	var tiles []store.LogTile
	for _, t := range edge.Tiles() {
		tiles = append(tiles, store.LogTile(t))
	}
	return tx.Append(ctx, items, tiles, hashes, ledger.Hash(edge.Root()), max(at, tx.At))
}

// edge takes up the right edge of the log's tree, and makes sure that it is the tree's.
func edge(ctx context.Context, tx *store.Sealing) (*proof.Edge, error) {
	var wanted []store.LogTile
	for _, t := range proof.EdgeTiles(tx.Size) {
		wanted = append(wanted, store.LogTile(t))
	}
	found, err := tx.Tiles(ctx, wanted)
	if err != nil {
		return nil, err
	}
	var tiles []proof.Tile
	for _, t := range found {
		tiles = append(tiles, proof.Tile(t))
	}
	edge, err := proof.LoadEdge(tx.Size, tiles)
	if err != nil {
		return nil, err
	}
	if tx.Size > 0 && ledger.Hash(edge.Root()) != tx.Root {
		return nil, fmt.Errorf("the log's last tiles have not its root: they have been changed")
	}
	return edge, nil
}

// chain holds a batch against the one before it in its partition.
func chain(item *store.Item, hashes map[int]ledger.Hash) error {
	if item.Stream != store.BatchStream {
		return nil
	}
	if item.Prev != hashes[item.Part] {
		return fmt.Errorf("batch %d.%d does not follow the one before it: what was recorded has been changed", item.Part, item.Number)
	}
	hashes[item.Part] = ledger.TextHash(item.Body)
	return nil
}

// sign signs the committed head, if it is a new one, and publishes it with what the witnesses add.
func (s *Sealer) sign(ctx context.Context, now time.Time) error {
	l, err := s.current(ctx)
	if err != nil {
		return err
	}
	last := s.Signer.Last()
	if l.Size == last.Size && l.Signed == l.Size || l.Size == 0 {
		if s.Unfit() != nil {
			return s.extends(ctx, l)
		}
		return s.remind(ctx, l, now)
	}
	if err := s.extends(ctx, l); err != nil {
		return err
	}
	if l.Size != last.Size {
		believed, err := PublicKeys(ctx, s.DB, l)
		if err != nil {
			return err
		}
		signed, err := s.Signer.Sign(proof.Checkpoint{Origin: l.Origin, Size: l.Size, Root: tlog.Hash(l.Root)}, last, believed)
		if err != nil || !signed {
			return err // another server signed meanwhile; the next step holds the log against that head
		}
	}
	note := append(s.Signer.Checkpoint(), s.cosign(ctx, l, now, s.Witnesses)...)
	return s.DB.PublishCheckpoint(ctx, l.Number, l.Size, string(note))
}
