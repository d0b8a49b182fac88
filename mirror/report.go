package mirror

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/rules/record"
)

// The steps of a check. What is wrong with an entry, seen from those before it, is named as package record does.
const (
	StepCheckpoint = "checkpoint" // the head can be read, and its root is that of the last tiles
	StepSignature  = "signature"  // a trusted key has signed it
	StepWitness    = "witness"    // the witnesses that are asked for have cosigned it
	StepHistory    = "history"    // it extends the heads that were seen before
	StepTiles      = "tiles"      // each tile of hashes leads to it
	StepEntries    = "entries"    // each entry leads to it
	StepCopy       = "copy"       // what lies in the copy is what was signed
	StepKeys       = "keys"       // the log names the keys that sign its heads
	StepTotals     = "totals"     // the totals can be added up, and no day is counted twice
)

// A Finding is one thing that is wrong with a log: at which step it came out, and where.
type Finding struct {
	Step  string `json:"step"`
	Place string `json:"place"` // an entry by its number, or a path below the log's address
	Text  string `json:"text"`
}

func (f Finding) String() string { return f.Step + ": " + f.Place + ": " + f.Text }

// Broken is a finding after which nothing can be believed any more.
type Broken Finding

func (b *Broken) Error() string { return Finding(*b).String() }

// A Report says what was checked and what was found.
type Report struct {
	URL        string           `json:"url"`
	Log        string           `json:"log"` // its name
	Entries    int64            `json:"entries"`
	Root       string           `json:"root"`
	Checkpoint string           `json:"checkpoint"`
	Trust      string           `json:"trust"` // given, copy or first-use
	Keys       []string         `json:"keys"`  // that the log names
	Cosigned   []Cosigned       `json:"cosigned"`
	Known      int64            `json:"known"` // entries that were copied before, all of which are still there
	Checked    int64            `json:"checked"`
	Types      map[string]int64 `json:"types"` // how many entries of each
	Lost       map[string]int64 `json:"lost"`  // of how many entries of each type the content was lost
	Totals     []record.Sum     `json:"totals"`
	Fetched    int64            `json:"fetched"` // bytes
	Copied     int64            `json:"copied"`  // bytes that the copy had
	Seconds    float64          `json:"seconds"`
	Found      map[string]int64 `json:"found"` // how many findings of each step
	Findings   []Finding        `json:"findings"`
	Evidence   []string         `json:"evidence,omitempty"` // two heads that one log cannot both have
	Notes      []string         `json:"notes"`
}

// Cosigned says when a witness saw the head.
type Cosigned struct {
	Witness string    `json:"witness"`
	At      time.Time `json:"at"`
}

// Clean reports whether nothing was found.
func (r *Report) Clean() bool { return len(r.Found) == 0 }

// named is how many documents a note names, of those that a log can say were lost without end.
const named = 20

func (r *Report) tell(h *head) {
	r.Log, r.Entries, r.Root, r.Checkpoint = h.Origin, h.Size, h.Root.String(), string(h.text)
}

// conclude puts the report together.
func (m *mirroring) conclude() {
	r := &m.report
	r.Checked = m.sequence.Size
	r.Types, r.Totals, r.Keys = m.sequence.Counts, m.sums.All(), append([]string{}, m.sequence.Keys...)
	r.Lost = m.sequence.Lost
	if o := m.sequence.Origin; o != nil && o.Follows != nil {
		r.Notes = append(r.Notes, fmt.Sprintf("it goes on from the log %s of %d entries, root %s, which is checked by itself: its numbers are taken as they come", o.Follows.Origin, o.Follows.Size, tlog.Hash(o.Follows.Root)))
	}
	if b, l := r.Lost[record.BatchType], r.Lost[record.LinksType]; b+l > 0 {
		r.Notes = append(r.Notes, fmt.Sprintf("by the log's own word what was in %d batches and %d consents is lost and counts for nothing; it may be in other batches by now", b, l))
	}
	if n := r.Lost[record.DocumentType]; n > 0 {
		var names []string
		for _, d := range m.sequence.Texts[:min(len(m.sequence.Texts), named)] {
			names = append(names, fmt.Sprintf("%s %.100q (rulebook %d)", d.Kind, d.Name, d.Rulebook))
		}
		if more := n - int64(len(names)); more > 0 {
			names = append(names, fmt.Sprintf("%d more", more))
		}
		r.Notes = append(r.Notes, fmt.Sprintf("by the log's own word the texts of %d documents were lost with a database, by which nothing is judged: %s", n, strings.Join(names, ", ")))
	}
	r.Fetched, r.Copied = m.server.fetched.Load(), m.folder.read()
	r.Cosigned, r.Notes = append([]Cosigned{}, r.Cosigned...), append([]string{}, r.Notes...)
	if r.Trust == FirstUse {
		r.Notes = append(r.Notes, "no key was given: the head was believed by the key that the log itself names, which whoever answers could have made up; compare it with the one that the operator publishes, and give it the next time")
	}
	r.Found, r.Findings = m.all()
}

// findings count all and keep the first of each step.
type findings struct {
	shown int

	mu    sync.Mutex
	count map[string]int64 // guarded by mu
	kept  []Finding        // guarded by mu
}

func (f *findings) found(one Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count == nil {
		f.count = map[string]int64{}
	}
	f.count[one.Step]++
	if f.count[one.Step] <= int64(f.shown) {
		f.kept = append(f.kept, one)
	}
}

// many is how many were found.
func (f *findings) many() (n int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, k := range f.count {
		n += k
	}
	return n
}

func (f *findings) all() (map[string]int64, []Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.count), append([]Finding{}, slices.Clone(f.kept)...)
}
