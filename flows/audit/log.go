package audit

import (
	"cmp"
	"context"
	"crypto/sha256"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
)

// What the database's logs say is read before anything else, as it stands at one moment: so all that is in them
// must be in what is read of the database later. What was committed since is in no log yet, and no fault.

// testimony is what the logs say of the database: 32 bytes for each batch, and for each row of consents.
type testimony struct {
	parts     []heard
	documents []record.Document
	keys      []record.Key
	begun     bool // there is a log
}

// heard is what they say of one partition.
type heard struct {
	batches, links, erasures stretch
	losses                   []record.Lost
}

// A stretch is the hashes of entries with dense numbers.
type stretch struct {
	first  int64
	hashes []byte
}

func (s *stretch) add(number int64, hash [sha256.Size]byte) {
	if len(s.hashes) == 0 {
		s.first = number
	}
	if number == s.end() { // else it is a finding already
		s.hashes = append(s.hashes, hash[:]...)
	}
}

// end is the number after the last.
func (s *stretch) end() int64 { return s.first + int64(len(s.hashes)/sha256.Size) }

// of is the hash of the entry with a number; nil where there is none.
func (s *stretch) of(number int64) []byte {
	if len(s.hashes) == 0 || number < s.first || number >= s.end() {
		return nil
	}
	i := (number - s.first) * sha256.Size
	return s.hashes[i : i+sha256.Size]
}

// logPage is how many entries of a log are read before its tiles are looked at.
const logPage = 1 << 14

// readLogs checks each log in itself, and keeps what they say of the database.
func (a *audit) readLogs(ctx context.Context) error {
	a.testimony.parts = make([]heard, a.db.Parts)
	return a.db.Logs(ctx, func(l *store.Logs) error {
		a.testimony.begun = len(l.List) > 0
		whole := true
		read := make([]*logReading, len(l.List))
		for i := range l.List {
			read[i] = &logReading{Log: &l.List[i], audit: a, logs: l, roots: map[int64]tlog.Hash{l.List[i].Signed: {}}}
			read[i].follows(read[:i])
		}
		sequence := record.NewSequence()
		for _, r := range read {
			r.sequence = sequence
			if err := r.read(ctx); err != nil {
				return err
			}
			whole, sequence = whole && r.whole(), sequence.Following()
		}
		for _, r := range read {
			r.checkFollows()
		}
		if err := a.logRows(ctx, l, read); err != nil || !whole {
			return err
		}
		return a.marks(ctx, l, sequence)
	})
}

// A logReading is one log being read.
type logReading struct {
	*store.Log
	audit    *audit
	logs     *store.Logs
	sequence *record.Sequence
	edge     proof.Edge
	tiles    int64               // that it must have
	roots    map[int64]tlog.Hash // at the sizes that somebody speaks of; zero until they are reached
	origin   *record.Origin
	before   *logReading // the one that it goes on from; nil for none that is here
	stopped  bool        // at an entry that is missing
}

func (r *logReading) found(format string, args ...any) {
	r.audit.foundLog(sprintf("log %s: ", r.Origin)+format, args...)
}

func (a *audit) foundLog(format string, args ...any) {
	a.findings.add(Finding{Kind: Log, Part: -1, Text: sprintf(format, args...)})
}

// whole reports whether all entries were read.
func (r *logReading) whole() bool { return !r.stopped && r.edge.Size() == r.Size }

// follows reads what the log says of itself before its first entry is written, and of the log it goes on from.
func (r *logReading) follows(before []*logReading) {
	e, err := record.Parse([]byte(r.First))
	origin, ok := e.(*record.Origin)
	if err != nil || !ok {
		r.found("its first entry cannot be read")
		return
	}
	r.origin = origin
	if origin.Origin != r.Origin || origin.Database != r.audit.db.ID || origin.Parts != r.audit.db.Parts {
		r.found("its first entry says that it is log %s of database %s with %d partitions, which this is not", origin.Origin, origin.Database, origin.Parts)
	}
	f := origin.Follows
	switch {
	case f == nil && len(before) > 0:
		r.found("it does not say which log it goes on from, and is not the database's first")
	case f != nil:
		i := slices.IndexFunc(before, func(b *logReading) bool { return b.Origin == f.Origin })
		if i < 0 && len(before) > 0 {
			r.found("it goes on from log %s, which is not here", f.Origin)
		} else if i >= 0 {
			r.before = before[i]
			r.before.roots[f.Size] = tlog.Hash{}
		}
	}
}

// checkFollows holds what the log says of the one before it against that. Of heads beyond what is here nothing is known.
func (r *logReading) checkFollows() {
	if r.before == nil {
		return
	}
	f := r.origin.Follows
	if f.Size > r.before.Size {
		r.audit.note(sprintf("log %s goes on from log %s of %d entries, of which %d are here", r.Origin, f.Origin, f.Size, r.before.Size))
		return
	}
	if root := r.before.roots[f.Size]; !r.before.stopped && root != tlog.Hash(f.Root) {
		r.found("it goes on from log %s of %d entries with another root than that had", f.Origin, f.Size)
	}
}

// read goes through all entries.
func (r *logReading) read(ctx context.Context) error {
	r.atSize()
	for from := int64(0); from < r.Size && !r.stopped; from += logPage {
		err := r.logs.Entries(ctx, r.Number, from, min(from+logPage, r.Size), r.entry)
		if err != nil {
			return err
		}
		if want := min(from+logPage, r.Size); r.edge.Size() < want && !r.stopped {
			r.missing()
		}
		if err := r.checkTiles(ctx, r.edge.Size() == r.Size); err != nil {
			return err
		}
	}
	if !r.whole() {
		return nil
	}
	if root := r.edge.Root(); ledger.Hash(root) != r.Root {
		r.found("its root is not that of its %d entries", r.Size)
	}
	r.checkpoint()
	return nil
}

// atSize notes the root that the log has now, if somebody asks for it.
func (r *logReading) atSize() {
	if _, wanted := r.roots[r.edge.Size()]; wanted {
		r.roots[r.edge.Size()] = r.edge.Root()
	}
}

// missing ends the reading: without an entry nothing after it can be made again.
func (r *logReading) missing() {
	r.found("entry %d is missing", r.edge.Size())
	r.stopped = true
}

func (r *logReading) entry(e *store.Entry) {
	if r.stopped {
		return
	}
	if e.Place != r.edge.Size() {
		r.missing()
		return
	}
	r.edge.Append(tlog.RecordHash(e.Body))
	r.atSize()
	entry, problems := r.sequence.Add(e.Body)
	for _, p := range problems {
		r.found("entry %d: %s", e.Place, p.Text)
	}
	if entry == nil {
		return
	}
	item := r.keep(entry, e)
	if item.Stream != e.Stream || item.Part != e.Part || item.Number != e.Number {
		r.found("entry %d is filed as %s %d.%d, and says that it is %s %d.%d", e.Place, e.Stream, e.Part, e.Number, item.Stream, item.Part, item.Number)
	}
}

// keep keeps what an entry says of the database, and returns where it must be filed.
func (r *logReading) keep(entry record.Entry, e *store.Entry) store.Item {
	said := &r.audit.testimony
	switch entry := entry.(type) {
	case *record.Origin:
		if string(e.Body) != r.First {
			r.found("entry %d is not the one that the log was begun with", e.Place)
		}
		return store.Item{Stream: store.OriginStream, Number: int64(r.Number)}
	case *record.Key:
		said.keys = append(said.keys, *entry)
		return store.Item{Stream: store.KeyStream, Number: entry.Number}
	case *record.Document:
		said.documents = append(said.documents, *entry)
		return store.Item{Stream: store.DocumentStream, Number: entry.Rulebook}
	case *record.Batch:
		if hash, ok := r.sequence.LastBatch(entry.Part); ok && entry.Part < len(said.parts) {
			said.parts[entry.Part].batches.add(entry.Number, hash)
		}
		return store.Item{Stream: store.BatchStream, Part: entry.Part, Number: entry.Number}
	case *record.Links:
		if entry.Part >= 0 && entry.Part < len(said.parts) {
			said.parts[entry.Part].links.add(entry.Number, sha256.Sum256(e.Body))
		}
		return store.Item{Stream: store.LinksStream, Part: entry.Part, Number: entry.Number}
	case *record.Erasure:
		if entry.Part >= 0 && entry.Part < len(said.parts) {
			said.parts[entry.Part].erasures.add(entry.Number, sha256.Sum256(e.Body))
		}
		return store.Item{Stream: store.ErasureStream, Part: entry.Part, Number: entry.Number}
	case *record.Totals:
		r.audit.opened.say(entry)
		return store.Item{Stream: store.TotalsStream, Number: entry.Number}
	case *record.Lost:
		if entry.Part >= 0 && entry.Part < len(said.parts) {
			said.parts[entry.Part].losses = append(said.parts[entry.Part].losses, *entry)
		}
		return store.Item{Stream: store.LostStream, Part: entry.Part, Number: entry.Number}
	}
	panic("audit: an entry of a type that nobody filed")
}

// checkTiles holds the tiles that were filled since the last time, and at the end the last ones, against those recorded.
func (r *logReading) checkTiles(ctx context.Context, last bool) error {
	levels := map[int][]proof.Tile{}
	for _, t := range r.edge.Tiles() {
		if full := len(t.Hashes) == sha256.Size<<proof.TileHeight; full || last {
			levels[t.Level] = append(levels[t.Level], t)
		}
	}
	for level, made := range levels {
		slices.SortFunc(made, func(a, b proof.Tile) int { return cmp.Compare(a.Number, b.Number) })
		r.tiles += int64(len(made))
		next := 0
		err := r.logs.Tiles(ctx, r.Number, level, made[0].Number, made[len(made)-1].Number+1, func(t store.LogTile) {
			for ; next < len(made) && made[next].Number < t.Number; next++ {
				r.foundTile(made[next], "is missing")
			}
			if next < len(made) && made[next].Number == t.Number {
				if string(made[next].Hashes) != string(t.Hashes) {
					r.foundTile(made[next], "is not that of its entries")
				}
				next++
			}
		})
		if err != nil {
			return err
		}
		for ; next < len(made); next++ {
			r.foundTile(made[next], "is missing")
		}
	}
	return nil
}

func (r *logReading) foundTile(t proof.Tile, what string) {
	r.found("tile %d of level %d %s", t.Number, t.Level, what)
}

// checkpoint checks the head that was published last: who signed it, and that the log extends it.
func (r *logReading) checkpoint() {
	if r.Signed == 0 && r.Checkpoint == "" {
		return
	}
	var verifiers []note.Verifier
	for _, key := range r.sequence.Keys {
		v, err := note.NewVerifier(key)
		if err != nil || v.Name() != r.Origin || slices.ContainsFunc(verifiers, func(o note.Verifier) bool { return o.KeyHash() == v.KeyHash() }) {
			r.found("it names a key that cannot be one of its own, or twice: %.200q", key)
			continue
		}
		verifiers = append(verifiers, v)
	}
	c, _, err := proof.OpenCheckpoint([]byte(r.Checkpoint), r.Origin, verifiers...)
	switch {
	case err != nil:
		r.found("its published head does not hold: %v", err)
	case c.Size != r.Signed:
		r.found("its published head is of %d entries, and it is recorded that it is of %d", c.Size, r.Signed)
	case c.Size > r.Size:
		r.found("a head of %d entries was published, and it has %d", c.Size, r.Size)
	case c.Root != r.roots[c.Size]:
		r.found("its published head of %d entries has another root than they have", c.Size)
	}
}

// logRows looks for rows beyond what the logs have.
func (a *audit) logRows(ctx context.Context, l *store.Logs, read []*logReading) error {
	return l.Rows(ctx, func(log int, entries, tiles int64) {
		i := slices.IndexFunc(read, func(r *logReading) bool { return r.Number == log })
		if i < 0 {
			a.foundLog("there are %d entries and %d tiles of a log %d that was never begun", entries, tiles, log)
			return
		}
		r := read[i]
		a.report.Entries += entries
		if r.whole() && entries != r.Size {
			r.found("it has %d entries, and %d more are recorded", r.Size, entries-r.Size)
		}
		if r.whole() && tiles > r.tiles {
			r.found("%d tiles are recorded that it cannot have", tiles-r.tiles)
		}
	})
}

// marks hold where sealing goes on against where the log ends.
func (a *audit) marks(ctx context.Context, l *store.Logs, s *record.Sequence) error {
	left := map[record.Stream]bool{}
	for _, k := range s.Streams() {
		left[k] = true
	}
	err := l.Marks(ctx, func(m store.Mark) {
		k, hash := record.Stream{Type: m.Stream, Part: m.Part}, record.Hash{}
		if m.Stream == store.OriginStream {
			return
		}
		if m.Stream == store.BatchStream {
			hash, _ = s.LastBatch(m.Part)
		}
		delete(left, k)
		if m.Next != s.Next(k) || m.Hash != ledger.Hash(hash) {
			a.foundLog("it is recorded that the log goes on with %s %d of partition %d, and it ends before %d, or with another batch", m.Stream, m.Next, m.Part, s.Next(k))
		}
	})
	for k := range left {
		a.foundLog("it is not recorded where the log goes on with %s of partition %d", k.Type, k.Part)
	}
	return err
}

// checkDocuments holds what the logs say was published against what is.
func (a *audit) checkDocuments(documents []store.Document) {
	published := map[int64]*store.Document{}
	for i := range documents {
		published[documents[i].Rulebook] = &documents[i]
	}
	for i := range a.testimony.documents {
		said := &a.testimony.documents[i]
		d := published[said.Rulebook]
		delete(published, said.Rulebook)
		if d == nil {
			a.foundLog("rulebook %d, %s %s, is in the log and is not published", said.Rulebook, said.Kind, said.Name)
			continue
		}
		is := record.Document{Type: record.DocumentType, Rulebook: d.Rulebook, Kind: d.Kind, Name: d.Name, At: d.At, SHA256: record.Hash(d.Hash)}
		if is != *said {
			a.foundLog("rulebook %d is published as %s %s, and the log has it otherwise", d.Rulebook, d.Kind, d.Name)
		}
	}
	a.unsealed.documents = int64(len(published))
}

// unsealed counts what was committed and is in no log yet.
type unsealed struct{ documents, batches, consents, erasures, losses int64 }

func (u *unsealed) note() string {
	var list []string
	for _, c := range []struct {
		n    int64
		what string
	}{{u.batches, "batches"}, {u.consents, "consents"}, {u.erasures, "erasures"}, {u.documents, "documents"}, {u.losses, "losses"}} {
		if c.n > 0 {
			list = append(list, sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(list, ", ")
}

// heardBatch holds a batch, whose hash is this, against the log. Its number is not below those before it.
func (p *partition) heardBatch(number int64, hash ledger.Hash) {
	p.unheard(&p.heard.batches, number, func(n int64) { p.foundBatch(Log, n, "it is in the log, and not recorded") })
	switch said := p.heard.batches.of(number); {
	case said == nil:
		p.unsealed.batches++
	case string(said) != string(hash[:]):
		p.foundBatch(Log, number, "the log has it otherwise than it is recorded")
	}
}

// unheard goes through the numbers that the log has from where we are to before another.
func (p *partition) unheard(s *stretch, to int64, found func(number int64)) {
	next := &p.nextBatch
	switch s {
	case &p.heard.links:
		next = &p.nextConsent
	case &p.heard.erasures:
		next = &p.nextErasure
	}
	for n := max(*next, s.first); n < min(to, s.end()); n++ {
		found(n)
	}
	*next = max(*next, to+1)
}
