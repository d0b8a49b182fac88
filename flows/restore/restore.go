// Package restore brings an older database forward to the last head that was signed of its log.
//
// A database that a backup took the place of lacks what came after the backup, and the log does not: it was given to
// others. So the log is what counts. Its entries beyond the database are fetched, held against the head that was signed
// and against the database's own log, and recorded with the rows that they are of. Batches and consents hold their
// numbers: what was under their roots is lost, and credited nowhere, so that whoever reported it reports it again and
// it counts once. The log then says what was lost.
//
// A log that another one goes on from (see seal.Follow) is brought forward first, and then that one. Nothing is added to the first: the
// next cites it as it is, and says what was lost of both.
//
// What is true if we die on the way: each transaction extends the log together with the rows that its entries are of, and
// the last one also records what was lost. Until that one no server starts on the database, for its log is shorter than
// the head that was signed; the same command again goes on.
package restore

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/flows/erase"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
)

// A Source has a log's entries and its last signed head. It is believed nothing.
type Source interface {
	Checkpoint(ctx context.Context) ([]byte, error)
	// Entries returns some of the entries from a place on, at least one, of a log of this size.
	Entries(ctx context.Context, from, size int64) ([][]byte, error)
}

// A Config says what is restored, and from what.
type Config struct {
	DB          *store.DB
	Signer      *seal.Signer
	Source      Source
	Documents   [][]byte // texts that may have been published since: the log has their hashes only
	WithoutSums bool     // go on without the texts of what restatements came to, where nobody has them
	Behind      bool     // go on as far as the source has it, though more was signed: another log has to begin then
	AtOnce      int      // entries of a transaction; 0 for 2000
	Progress    func(share float64, entries int64)
}

const usualAtOnce = 2000

// A Report says what an older database was brought forward by.
type Report struct {
	Log         string `json:"log"`
	From        int64  `json:"from"` // entries before
	To          int64  `json:"to"`   // and after
	Batches     int64  `json:"batches"`
	Corrections int64  `json:"corrections"` // of these batches
	Links       int64  `json:"links"`       // consents whose links are lost
	Ended       int64  `json:"ended"`       // consents that ended links that are here, and end them again
	Documents   int64  `json:"documents"`
	Textless    int64  `json:"textless"` // of these: what restatements came to, of which the text is lost
	Totals      int64  `json:"totals"`
	Erased      int64  `json:"erased"`   // accounts, of which those that are here were erased again
	Lost        int    `json:"lost"`     // entries by which the log will say what is lost
	Followed    bool   `json:"followed"` // another log goes on from this one, and is to be restored next: it says what is lost of both
	Beyond      int64  `json:"beyond"`   // entries that were signed and that nobody has: another log has to begin, which says what is lost
}

// Run brings the database forward. Nobody else may write to it meanwhile.
func Run(ctx context.Context, c Config, now time.Time) (*Report, error) {
	if c.AtOnce == 0 {
		c.AtOnce = usualAtOnce
	}
	if err := c.DB.Unserved(ctx); err != nil {
		return nil, err
	}
	r := &restoring{Config: c, beyond: map[record.Stream]bool{}, links: map[int][]record.Links{}, ended: map[record.Links]store.Consented{}, texts: map[record.Hash][]byte{}}
	for _, text := range append(slices.Clone(c.Documents), textsOf(ctx, c.Source)...) {
		r.texts[sha256.Sum256(text)] = text
	}
	if err := r.open(ctx); err != nil {
		return nil, err
	}
	if r.head.Size > r.log.Size {
		if err := r.bring(ctx, now); err != nil {
			return nil, err
		}
	} else if err := r.stay(ctx); err != nil {
		return nil, err
	}
	if _, err := erase.New(c.DB).Finish(ctx, now); err != nil { // whom the log has forgotten must not come back with a backup
		return nil, err
	}
	if r.report.Beyond == 0 { // else no server may start on it before another log has begun
		if err := seal.Check(ctx, c.DB, c.Signer); err != nil {
			return &r.report, err
		}
	}
	// One that died before this has all entries, and its published head is an older one.
	return &r.report, c.DB.PublishCheckpoint(ctx, r.log.Number, r.head.Size, string(r.text))
}

// Database is a source: another database of the same log, a damaged one, say, of which its log can still be read.
func Database(db *store.DB) Source { return &database{db} }

type database struct{ db *store.DB }

func (d *database) Checkpoint(ctx context.Context) ([]byte, error) {
	l, found, err := d.db.Log(ctx)
	if err == nil && (!found || l.Checkpoint == "") {
		err = fault.New(fault.NotFound, "the other database has no log of which a head was published")
	}
	return []byte(l.Checkpoint), err
}

func (d *database) Entries(ctx context.Context, from, size int64) ([][]byte, error) {
	l, _, err := d.db.Log(ctx)
	if err != nil {
		return nil, err
	}
	const page = 1000
	return d.db.LogEntries(ctx, l.Number, from, int(min(page, size-from)))
}

// textsOf are the documents that a source has as well: another database does. Those that cannot be read there any more are asked for.
func textsOf(ctx context.Context, from Source) (list [][]byte) {
	d, ok := from.(*database)
	if !ok {
		return nil
	}
	documents, err := d.db.Documents(ctx, math.MaxInt64)
	if err != nil {
		return nil
	}
	for i := range documents {
		if !documents[i].Held() {
			list = append(list, documents[i].Body)
		}
	}
	return list
}

// restoring is one run.
type restoring struct {
	Config
	log    store.Log
	head   proof.Checkpoint // of the source
	text   []byte           // the same, signed
	last   proof.Checkpoint // that the signer has signed
	shown  proof.Checkpoint // by the source
	report Report

	// What the survey found.
	leaves  []tlog.Hash            // of the entries beyond the database
	beyond  map[record.Stream]bool // streams of which the database has no more
	links   map[int][]record.Links // consents that it has not, by partition
	texts   map[record.Hash][]byte
	missing []record.Document // whose text nobody has
	lost    []record.Lost     // of texts, in an earlier disaster
	ended   map[record.Links]store.Consented
}

// open takes the head of the source, which the log's keys must have signed.
func (r *restoring) open(ctx context.Context) error {
	l, found, err := r.DB.Log(ctx)
	if err == nil && !found {
		err = fault.New(fault.NotFound, "the database has no log, so that nothing tells what came after it")
	}
	if err != nil {
		return err
	}
	if r.text, err = r.Source.Checkpoint(ctx); err != nil {
		return err
	}
	if r.log = l; l.Origin != r.Signer.Origin() {
		if err := r.follow(ctx); err != nil {
			return err
		}
	}
	verifiers, err := r.verifiers(ctx)
	if err != nil {
		return err
	}
	if r.head, _, err = proof.OpenCheckpoint(r.text, r.log.Origin, verifiers...); err != nil {
		return fault.New(fault.Conflict, "the head of what is to be restored from does not hold: %v", err)
	}
	r.shown = r.head
	followed, err := r.Signer.Followed(r.log.Number)
	if err != nil {
		return err
	}
	beyond := int64(0)
	switch r.last = r.Signer.Last(); {
	case r.head.Size >= r.last.Size && r.Behind:
		return fault.New(fault.Conflict, "what is to be restored from has all %d entries that were signed: restore it as it is, and the log goes on", r.last.Size)
	case r.head.Size < r.last.Size && r.Behind:
		beyond = r.last.Size - r.head.Size
	case r.head.Size < r.last.Size: // its entries can be there all the same
		r.head, r.text = r.last, r.Signer.Checkpoint()
	}
	r.report = Report{Log: r.log.Origin, From: r.log.Size, To: max(r.log.Size, r.head.Size), Followed: followed, Beyond: beyond}
	return nil
}

// follow begins the log that went on from the database's, if that is the one to be restored. The database must have come to where the other one
// cites it: it was restored with the old key first.
func (r *restoring) follow(ctx context.Context) (err error) {
	l := &r.log
	head, _, err := proof.OpenCheckpoint(r.text, r.Signer.Origin(), r.Signer.Verifiers()...)
	if err != nil {
		return fault.New(fault.Conflict, "the key is that of the log %s, and the database's is %s; what is to be restored from is not the one that goes on: %v", r.Signer.Origin(), l.Origin, err)
	}
	r.head, r.shown = head, head
	text, err := r.first(ctx)
	if err != nil {
		return err
	}
	e, err := record.Parse(text)
	first, ok := e.(*record.Origin)
	if err != nil || !ok || first.Origin != head.Origin || first.Follows == nil || first.Follows.Origin != l.Origin || first.Database != r.DB.ID || first.Parts != r.DB.Parts {
		return fault.New(fault.Conflict, "the log %s does not go on from the database's, %s", head.Origin, l.Origin)
	}
	if l.Size != first.Follows.Size || record.Hash(l.Root) != first.Follows.Root {
		return fault.New(fault.Conflict, "the log %s goes on from %s of %d entries, and the database has %d: restore that one first, from a copy of it and with its key", first.Origin, l.Origin, first.Follows.Size, l.Size)
	}
	if err := r.DB.BeginLog(ctx, first.Origin, text, ledger.Hash(proof.EmptyRoot)); err != nil {
		return err
	}
	r.log, _, err = r.DB.Log(ctx)
	return err
}

// first reads a log's first entry, for what is begun with it stays: it must lead to the head that was signed, as all that come after it.
func (r *restoring) first(ctx context.Context) (text []byte, err error) {
	var edge proof.Edge
	for edge.Size() < r.head.Size {
		texts, err := r.entries(ctx, edge.Size())
		if err != nil {
			return nil, err
		}
		if text == nil {
			text = texts[0]
		}
		for _, t := range texts {
			edge.Append(tlog.RecordHash(t))
		}
		edge.Tiles()
	}
	if edge.Root() != r.head.Root {
		return nil, fault.New(fault.Conflict, "what is to be restored from does not come to the head of %s that was signed: it is not that log, or was changed", r.head.Origin)
	}
	return text, nil
}

// verifiers are those of the signer's keys, and of those that the database's log names.
func (r *restoring) verifiers(ctx context.Context) ([]note.Verifier, error) {
	list := slices.Clone(r.Signer.Verifiers())
	named, err := seal.PublicKeys(ctx, r.DB, r.log)
	if err != nil {
		return nil, err
	}
	for _, key := range named {
		v, err := note.NewVerifier(key)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(list, func(o note.Verifier) bool { return o.Name() == v.Name() && o.KeyHash() == v.KeyHash() }) {
			list = append(list, v)
		}
	}
	return list, nil
}

// bring looks at everything before it changes anything.
func (r *restoring) bring(ctx context.Context, now time.Time) error {
	if err := r.survey(ctx); err != nil {
		return err
	}
	if err := r.ask(); err != nil {
		return err
	}
	if err := r.endings(ctx); err != nil {
		return err
	}
	// From here on no server takes the database for whole, whatever head it knew before. A drill's is served by none, and what the signer
	// knows is of the real one.
	if !r.DB.Drill() && r.report.Beyond == 0 {
		if err := r.Signer.Remember(r.text, r.last); err != nil {
			return err
		}
	}
	for r.log.Size < r.head.Size {
		if err := r.forward(ctx, now); err != nil {
			return err
		}
		if r.Progress != nil {
			r.Progress(float64(r.log.Size-r.report.From)/float64(r.head.Size-r.report.From), r.log.Size-r.report.From)
		}
	}
	return nil
}

// ask asks for texts that are not here. What people decided on is not to be done without, for claims are judged by it. What a restatement
// came to follows from what is recorded, and whoever added it up may have died before anybody was told: then it is lost for good.
func (r *restoring) ask() error {
	var list []string
	without := ""
	for i := range r.missing {
		d := &r.missing[i]
		gone := slices.ContainsFunc(r.lost, func(l record.Lost) bool { return l.Covers(d.Rulebook) })
		derived := record.Derived(d.Kind)
		if derived && (r.WithoutSums || gone) {
			continue
		}
		if derived {
			without = "\nwhat a restatement came to (restated) can be done without if nobody has its text: --without-sums"
		}
		list = append(list, fmt.Sprintf("  %s %s, SHA-256 %s", d.Kind, d.Name, d.SHA256))
	}
	if len(list) == 0 {
		return nil
	}
	return fault.New(fault.NotFound, "the log has %d documents whose texts are not here; name their files:\n%s%s", len(list), strings.Join(list, "\n"), without)
}

// survey reads the database's own log and then all that the source has beyond it, and makes sure that together they are the
// log whose head was signed, that they follow from each other, and that the database says nothing else.
func (r *restoring) survey(ctx context.Context) error {
	sequence, edge, err := r.own(ctx)
	if err != nil {
		return err
	}
	last := r.last
	return r.DB.ReadLog(ctx, func(recorded *store.Sealing) error {
		for edge.Size() < r.head.Size {
			texts, err := r.entries(ctx, edge.Size())
			if err != nil {
				return err
			}
			for _, text := range texts {
				place := edge.Size()
				leaf := tlog.RecordHash(text)
				edge.Append(leaf)
				r.leaves = append(r.leaves, leaf)
				e, problems := sequence.Add(text)
				if len(problems) > 0 {
					return fault.New(fault.Conflict, "entry %d of the log does not follow from those before it, and is left where it is: %s", place, problems[0].Text)
				}
				if err := r.compare(ctx, recorded, e, text); err != nil {
					return err
				}
				if edge.Size() == last.Size && edge.Root() != last.Root {
					return fault.New(fault.Conflict, "what is to be restored from is not the log of %d entries that was signed last", last.Size)
				}
			}
		}
		if edge.Root() != r.head.Root {
			return fault.New(fault.Conflict, "the database's log and what is to be restored from do not come to the head that was signed: one of the two is not that log, or was changed")
		}
		return nil
	})
}

// own reads the database's own logs.
func (r *restoring) own(ctx context.Context) (*record.Sequence, *proof.Edge, error) {
	sequence, edge := record.NewSequence(), &proof.Edge{}
	err := r.DB.Logs(ctx, func(logs *store.Logs) error {
		for i, l := range logs.List {
			if i > 0 {
				sequence, edge = sequence.Following(), &proof.Edge{}
			}
			const page = 1 << 14
			for from := int64(0); from < l.Size; from += page {
				err := logs.Entries(ctx, l.Number, from, min(from+page, l.Size), func(e *store.Entry) {
					edge.Append(tlog.RecordHash(e.Body))
					sequence.Add(e.Body) // what is wrong with it, its audit says
				})
				if err != nil {
					return err
				}
				edge.Tiles()
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if edge.Size() != r.log.Size || ledger.Hash(edge.Root()) != r.log.Root {
		return nil, nil, fault.New(fault.Conflict, "the database's own log is not whole; put another backup in its place (tanpu audit tells what is wrong)")
	}
	return sequence, edge, nil
}

// entries reads some entries from a place on.
func (r *restoring) entries(ctx context.Context, from int64) ([][]byte, error) {
	texts, err := r.Source.Entries(ctx, from, r.head.Size)
	if err == nil && (len(texts) == 0 || from+int64(len(texts)) > r.head.Size) {
		err = fmt.Errorf("there are %d", len(texts))
	}
	switch {
	case err != nil && ctx.Err() == nil && r.shown.Size < r.head.Size: // what it has it may have in tiles of its own size only
		return nil, fault.New(fault.Conflict, "a head of %d entries was signed, and what is to be restored from has %d: find a copy that has them all; where there is none, only another log can go on (tanpu log follow); reading entries from %d on: %v", r.head.Size, r.shown.Size, from, err)
	case err != nil:
		return nil, fmt.Errorf("reading entries from %d on: %w", from, err)
	}
	return texts, nil
}

// compare holds an entry against the row that the database has under its number, and notes what it has not.
func (r *restoring) compare(ctx context.Context, recorded *store.Sealing, e record.Entry, text []byte) error {
	if _, ok := e.(*record.Origin); ok && string(text) != r.log.First {
		return fault.New(fault.Conflict, "the log begins otherwise than the database's")
	}
	item := itemOf(e, text)
	stream := record.Stream{Type: item.Stream, Part: item.Part}
	if item.Part >= r.DB.Parts {
		return fault.New(fault.Conflict, "the log is of a database with more partitions")
	}
	if !r.beyond[stream] {
		has, err := recorded.Recorded(ctx, item.Stream, item.Part, item.Number)
		if err != nil {
			return err
		}
		if has != nil && string(has) != string(text) {
			return fault.New(fault.Conflict, "%s %d.%d of the database is another than that of the log: the database was written to after it was put in place; put the backup there again, and start no server before it is restored", item.Stream, item.Part, item.Number)
		}
		if has != nil {
			return nil
		}
		r.beyond[stream] = true // numbers are dense
	}
	switch e := e.(type) {
	case *record.Document:
		if r.texts[e.SHA256] == nil {
			r.missing = append(r.missing, *e)
		}
	case *record.Lost:
		if e.Of == record.DocumentType {
			r.lost = append(r.lost, *e)
		}
	case *record.Links:
		r.links[e.Part] = append(r.links[e.Part], *e)
	}
	return nil
}

// itemOf files an entry.
func itemOf(e record.Entry, text []byte) store.Item {
	item := store.Item{Body: text}
	switch e := e.(type) {
	case *record.Origin:
		item.Stream = store.OriginStream // by the number that the log has here
	case *record.Key:
		item.Stream, item.Number = store.KeyStream, e.Number
	case *record.Document:
		item.Stream, item.Number = store.DocumentStream, e.Rulebook
	case *record.Batch:
		item.Stream, item.Part, item.Number = store.BatchStream, e.Part, e.Number
	case *record.Links:
		item.Stream, item.Part, item.Number = store.LinksStream, e.Part, e.Number
	case *record.Erasure:
		item.Stream, item.Part, item.Number = store.ErasureStream, e.Part, e.Number
	case *record.Totals:
		item.Stream, item.Number = store.TotalsStream, e.Number
	case *record.Lost:
		item.Stream, item.Part, item.Number = store.LostStream, e.Part, e.Number
	}
	return item
}

// endings finds the links that are here in force and that a consent beyond the database has ended: who withdrew must not be
// reported on again because a database was lost. The account's key tells, for it makes the leaf that the log has.
func (r *restoring) endings(ctx context.Context) error {
	for part, entries := range r.links {
		err := r.DB.InForce(ctx, part, func(l *claim.Link) {
			for _, e := range entries {
				if claim.LinkLeafHash(l, e.At, true) == ledger.Hash(e.Root) { // the root over one leaf is that leaf
					r.ended[e] = store.Consented{Account: l.Account, Link: l.Number, Ended: true}
				}
			}
		})
		if err != nil {
			return fmt.Errorf("looking for links that have ended: %w", err)
		}
	}
	return nil
}
