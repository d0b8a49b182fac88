package record

import (
	"cmp"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
)

// What can be wrong with an entry, seen from those before it.
const (
	Form      = "form"     // it is none, or not in its canonical form
	Beginning = "origin"   // a log begins with its origin, and has one
	Numbers   = "numbers"  // each kind of entry has its own dense numbers, within a partition if it belongs to one
	Chain     = "chain"    // a batch names the hash of the one before it in its partition
	Instants  = "instants" // a partition's time does not go back
	Rulebook  = "rulebook" // documents are published before anything is judged by them
	Signers   = "signers"  // keys are named once, and one of them is left
	Loss      = "lost"     // what is said to be lost was there, and was not said to be lost before
)

// A Problem is one thing that is wrong with an entry.
type Problem struct{ About, Text string }

// MaxParts bounds a log's partitions, as store.MaxParts does; maxKeys its keys, and maxNumber all numbers.
const (
	MaxParts  = 1024
	maxKeys   = 1000
	maxLosses = 1 << 16
	maxNumber = 1 << 60
)

// A Sequence holds the entries of a log, one after the other, against those before them. It is what anybody can
// check who has a log's entries and nothing else. What it remembers is some hundred bytes a partition.
type Sequence struct {
	Size   int64            // so many entries were added
	Origin *Origin          // the first of them; nil when that was none
	Keys   []string         // vkeys that they named and that have not ended, that of the origin first
	Counts map[string]int64 // how many of each type
	Lost   map[string]int64 // of how many entries of a type the content was lost
	Texts  []*Document      // of which the text was, as far as they are in this log

	next     map[Stream]int64    // the number that comes next
	tails    map[int]tail        // the last batch of each partition
	lost     map[Stream][]extent // what was said to be lost, in order
	losses   int                 // how many of these there are
	named    map[string]bool     // all keys
	rulebook int64               // the last that was published
	first    int64               // the first document's number; 0 before it
	derived  []*Document         // those whose text can be lost, in order
	goesOn   bool                // from a log that is not known: what comes first of each stream can have any number
}

// A Stream is the entries of one type, of one partition if they belong to one.
type Stream struct {
	Type string
	Part int
}

// An extent is numbers of a stream, both ends included.
type extent struct{ from, to int64 }

type tail struct {
	hash         Hash
	at, rulebook int64
}

// NewSequence is that of a log that nothing is known of yet.
func NewSequence() *Sequence {
	return &Sequence{Counts: map[string]int64{}, Lost: map[string]int64{}, next: map[Stream]int64{}, tails: map[int]tail{},
		lost: map[Stream][]extent{}, named: map[string]bool{}}
}

// Following is the sequence of the log that goes on from this one, in the same database.
func (s *Sequence) Following() *Sequence {
	f := NewSequence()
	f.next, f.tails, f.lost, f.losses, f.rulebook = maps.Clone(s.next), maps.Clone(s.tails), maps.Clone(s.lost), s.losses, s.rulebook
	f.first, f.derived = s.first, slices.Clone(s.derived)
	return f
}

// Streams are those of which something has been seen.
func (s *Sequence) Streams() []Stream { return slices.Collect(maps.Keys(s.next)) }

// Next is the number that comes next in a stream; 0 where none has been seen.
func (s *Sequence) Next(of Stream) int64 { return s.next[of] }

// LastBatch is the hash of a partition's last batch; false before its first.
func (s *Sequence) LastBatch(part int) (Hash, bool) {
	t, ok := s.tails[part]
	return t.hash, ok
}

// Add takes the next entry. The entry is nil where the text is none.
func (s *Sequence) Add(text []byte) (Entry, []Problem) {
	e, err := Parse(text)
	s.Size++
	if err != nil {
		return nil, []Problem{{Form, err.Error()}}
	}
	c := check{s, nil}
	if _, ok := e.(*Origin); s.Size == 1 && !ok {
		c.found(Beginning, "the first entry is of type %s, and not the log's origin", e.kind())
	}
	s.Counts[e.kind()]++
	switch e := e.(type) {
	case *Origin:
		c.origin(e)
	case *Key:
		c.number(KeyType, 0, e.Number)
		if e.Ended {
			c.endKey(e.Key)
		} else {
			c.key(e.Key)
		}
	case *Document:
		c.document(e)
	case *Batch:
		c.batch(e, text)
	case *Links:
		if c.part(LinksType, e.Part) {
			c.number(LinksType, e.Part, e.Number)
		}
	case *Erasure:
		if c.part(ErasureType, e.Part) {
			c.number(ErasureType, e.Part, e.Number)
		}
	case *Totals:
		c.number(TotalsType, 0, e.Number)
	case *Lost:
		if c.part(LostType, e.Part) {
			c.number(LostType, e.Part, e.Number)
			c.loss(e)
		}
	}
	return e, c.problems
}

// A check is of one entry.
type check struct {
	*Sequence
	problems []Problem
}

func (c *check) found(about, format string, args ...any) {
	c.problems = append(c.problems, Problem{about, fmt.Sprintf(format, args...)})
}

func (c *check) origin(e *Origin) {
	if c.Size != 1 {
		c.found(Beginning, "another origin, %.100q, in the middle of the log", e.Origin)
		return
	}
	if e.Parts < 1 || e.Parts > MaxParts {
		c.found(Beginning, "a database has 1 to %d partitions, and the log says %d", MaxParts, e.Parts)
	}
	c.Origin = e
	c.goesOn = e.Follows != nil && len(c.next) == 0
	c.key(e.Key)
}

func (c *check) key(vkey string) {
	switch {
	case len(c.named) == maxKeys:
		c.found(Signers, "the log names more than %d keys", maxKeys)
		return
	case c.named[vkey]:
		c.found(Signers, "the key %.200q is named again", vkey)
		return
	}
	c.named[vkey] = true
	c.Keys = append(c.Keys, vkey)
}

func (c *check) endKey(vkey string) {
	i := slices.Index(c.Keys, vkey)
	switch {
	case i < 0:
		c.found(Signers, "the key %.200q ends, and was not one that signs", vkey)
	case len(c.Keys) == 1:
		c.found(Signers, "the last key that signs ends")
	default:
		c.Keys = slices.Delete(slices.Clone(c.Keys), i, i+1)
	}
}

// loss holds what is said to be lost against what there is. An older database can lose again what lies before a former loss.
func (c *check) loss(e *Lost) {
	k := Stream{e.Of, e.Part}
	lost, next := c.lost[k], c.next[k]
	i, _ := slices.BinarySearchFunc(lost, e.From, func(x extent, from int64) int { return cmp.Compare(x.to, from) })
	switch {
	case e.Of != BatchType && e.Of != LinksType && !(e.Of == DocumentType && e.Part == 0):
		c.found(Loss, "lost %d.%d is of %.20q, which cannot be lost", e.Part, e.Number, e.Of)
	case e.From < 1 || e.To < e.From || e.To >= next && !(next == 0 && c.goesOn) || e.To > maxNumber:
		c.found(Loss, "lost %d.%d is of %s %d to %d of partition %d, where the last is %d", e.Part, e.Number, e.Of, e.From, e.To, e.Part, next-1)
	case i < len(lost) && lost[i].from <= e.To:
		c.found(Loss, "lost %d.%d is of %s %d to %d of partition %d, some of which was lost before", e.Part, e.Number, e.Of, e.From, e.To, e.Part)
	case c.losses == maxLosses:
		c.found(Loss, "more than %d times something was lost", maxLosses)
	case e.Of == DocumentType && !c.losable(e):
		c.found(Loss, "lost %d.%d is of documents %d to %d, not all of which only say what a restatement came to", e.Part, e.Number, e.From, e.To)
	default:
		c.losses++
		c.lost[k] = slices.Insert(slices.Clone(lost), i, extent{e.From, e.To})
		c.Lost[e.Of] += e.To - e.From + 1
	}
}

// losable reports whether nothing is judged by any of the documents that are said to be lost. What was published before this log is not known.
func (c *check) losable(e *Lost) bool {
	at := func(number int64) int {
		i, _ := slices.BinarySearchFunc(c.derived, number, func(d *Document, n int64) int { return cmp.Compare(d.Rulebook, n) })
		return i
	}
	known := c.derived[at(e.From):at(e.To+1)]
	if c.first != 0 && int64(len(known)) != e.To+1-max(e.From, min(c.first, e.To+1)) {
		return false
	}
	c.Texts = append(c.Texts, known...)
	return true
}

// part reports whether the log has a partition of that number.
func (c *check) part(kind string, part int) bool {
	parts := MaxParts
	if c.Origin != nil {
		parts = min(parts, c.Origin.Parts)
	}
	if part < 0 || part >= parts {
		c.found(Numbers, "%s of partition %d, and the log has %d", kind, part, parts)
		return false
	}
	return true
}

// number holds an entry's number against the one before it in its stream. After one that is wrong the stream goes
// on from the greatest, so that a gap is one problem and not one for each entry after it.
func (c *check) number(kind string, part int, n int64) {
	k := Stream{kind, part}
	want := c.next[k]
	if want == 0 {
		if want = 1; c.goesOn {
			want = n
		}
	}
	if n != want || n < 1 || n > maxNumber {
		c.found(Numbers, "%s %s comes where number %d should", kind, numberIn(kind, part, n), want)
	}
	if n >= 1 && n <= maxNumber {
		c.next[k] = max(want, n+1)
	}
}

func numberIn(kind string, part int, n int64) string {
	if kind == BatchType || kind == LinksType || kind == ErasureType || kind == LostType {
		return fmt.Sprintf("%d.%d", part, n)
	}
	return fmt.Sprint(n)
}

func (c *check) document(e *Document) {
	_, published := c.next[Stream{DocumentType, 0}]
	c.number(DocumentType, 0, e.Rulebook)
	if c.goesOn && !published && c.rulebook >= e.Rulebook {
		c.found(Rulebook, "rulebook %d is published after something was judged by rulebook %d", e.Rulebook, c.rulebook)
	}
	c.rulebook = max(c.rulebook, e.Rulebook)
	if c.first == 0 {
		c.first = e.Rulebook
	}
	if n := len(c.derived); Derived(e.Kind) && (n == 0 || c.derived[n-1].Rulebook < e.Rulebook) {
		c.derived = append(c.derived, e)
	}
}

func (c *check) batch(e *Batch, text []byte) {
	if !c.part(BatchType, e.Part) {
		return
	}
	c.number(BatchType, e.Part, e.Number)
	last, known := c.tails[e.Part]
	switch {
	case known && e.Prev != last.hash:
		c.found(Chain, "batch %d.%d does not name the hash of the batch before it", e.Part, e.Number)
	case !known && !c.goesOn && e.Prev != Hash{}:
		c.found(Chain, "batch %d.%d names a batch before it, and is the first", e.Part, e.Number)
	}
	if e.At < last.at {
		c.found(Instants, "batch %d.%d was judged %d µs before the batch before it", e.Part, e.Number, last.at-e.At)
	}
	if e.Rulebook < last.rulebook {
		c.found(Rulebook, "batch %d.%d was judged by rulebook %d, and the batch before it by %d", e.Part, e.Number, e.Rulebook, last.rulebook)
	}
	_, published := c.next[Stream{DocumentType, 0}]
	switch {
	case c.goesOn && !published:
		c.rulebook = max(c.rulebook, e.Rulebook) // published in the log before; see document
	case e.Rulebook > c.rulebook || e.Rulebook < 0:
		c.found(Rulebook, "batch %d.%d was judged by rulebook %d, and the last one published before it is %d", e.Part, e.Number, e.Rulebook, c.rulebook)
	}
	c.tails[e.Part] = tail{sha256.Sum256(text), e.At, e.Rulebook}
}
