// Package record says what stands in the transparency log, entry by entry. Each entry is one line of JSON
// in one canonical form, so that its bytes can be made again from what it says; docs/log.md describes it
// for other implementers. Nothing in it names a person, and counts are given only for many.
package record

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tanpu/tanpu/rules/ledger"
)

// MaxSize bounds an entry: a bundle of tlog-tiles gives its length in two bytes.
const MaxSize = 1<<16 - 1

// An Entry is one of *Origin, *Key, *Document, *Batch, *Links, *Erasure, *Totals and *Lost.
type Entry interface{ kind() string }

// An Origin begins a log, and is its first entry.
type Origin struct {
	Type     string   `json:"type"`
	Origin   string   `json:"origin"` // the log's name, as in the first line of its checkpoints
	Database string   `json:"database"`
	Parts    int      `json:"parts"`
	At       int64    `json:"at"` // µs UTC, as everywhere
	Key      string   `json:"key"`
	Follows  *Follows `json:"follows,omitempty"`
}

// Follows names the log that another one goes on from, at its last head that is believed.
type Follows struct {
	Origin string `json:"origin"`
	Size   int64  `json:"size"`
	Root   Hash   `json:"root"`
}

// A Key says that checkpoints are also signed by another key from now on, or not by one any more.
type Key struct {
	Type   string `json:"type"`
	Number int64  `json:"number"` // dense, from 1
	At     int64  `json:"at"`
	Key    string `json:"key"`             // a vkey of signed-note
	Ended  bool   `json:"ended,omitempty"` // no head that has this entry is to be believed by it
}

// A Document was published, and made the rulebook of this number.
type Document struct {
	Type     string `json:"type"`
	Rulebook int64  `json:"rulebook"`
	Kind     string `json:"kind"` // groups, factors, methodology, programme, restatement or restated
	Name     string `json:"name"`
	At       int64  `json:"at"`
	SHA256   Hash   `json:"sha256"` // of its text
}

// Derived reports whether a document of this kind only says what a restatement came to. Nothing is judged by it, and the restatement tells
// it anew; so its text can be lost, and no other's.
func Derived(kind string) bool { return kind == "restated" }

// A Batch is the claims of one partition that were judged in one transaction. See ledger.Batch.
type Batch struct {
	Type       string `json:"type"`
	Part       int    `json:"part"`
	Number     int64  `json:"number"` // dense within the partition, from 1
	At         int64  `json:"at"`
	Rulebook   int64  `json:"rulebook"`
	Backfill   bool   `json:"backfill,omitempty"`
	Correction bool   `json:"correction,omitempty"`
	Root       Hash   `json:"root"`   // over the salted leaves of its claims with their outcomes
	Totals     Hash   `json:"totals"` // salted commitment
	Prev       Hash   `json:"prev"`   // SHA-256 of the entry of the batch before it in its partition
}

// Links are consents granted or ended in one transaction.
type Links struct {
	Type   string `json:"type"`
	Part   int    `json:"part"`
	Number int64  `json:"number"` // dense within the partition, from 1
	At     int64  `json:"at"`
	Root   Hash   `json:"root"` // over their salted leaves
}

// An Erasure says that an account was erased, and with it what the log's other entries had hidden of it: nobody can open
// its leaves any more. It does not say whose it was.
type Erasure struct {
	Type    string `json:"type"`
	Part    int    `json:"part"`
	Number  int64  `json:"number"` // dense within the partition, from 1
	At      int64  `json:"at"`
	Account Hash   `json:"account"` // names the account to whoever has the partition's secret
	Removed Hash   `json:"removed"` // salted commitment to all that erasures have removed from the partition so far
}

// Totals are what a programme's claims came to on its local days From to To, less what corrections took back on them. A methodology and vintage
// that fewer than Least members share on these days is left for later totals, which then begin earlier.
type Totals struct {
	Type      string `json:"type"`
	Number    int64  `json:"number"` // dense, from 1
	Programme string `json:"programme"`
	Method    string `json:"method"`
	Vintage   string `json:"vintage"`
	From      string `json:"from"`
	To        string `json:"to"`
	Least     int    `json:"least"`
	Claims    int64  `json:"claims"` // accepted
	Reduction int64  `json:"reduction_mg"`
	Points    int64  `json:"points_thousandths"`
}

// Lost says that what some entries of a partition stand for was lost with a database: the entries hold, and nobody can
// show any more what is under their roots. Nothing of it is credited; whoever reported it reports it again. Of documents, which are of
// no partition and are said to be lost in the first, it is the text that nobody has any more, and only such as is Derived.
type Lost struct {
	Type   string `json:"type"`
	Part   int    `json:"part"`
	Number int64  `json:"number"` // dense within the partition, from 1
	At     int64  `json:"at"`
	Of     string `json:"of"`   // the type of the entries, BatchType, LinksType or DocumentType
	From   int64  `json:"from"` // the number of the first
	To     int64  `json:"to"`   // and of the last
}

// Covers reports whether an entry of this number is among them.
func (l *Lost) Covers(number int64) bool { return l.From <= number && number <= l.To }

// What an entry's type says.
const (
	OriginType   = "origin"
	KeyType      = "key"
	DocumentType = "document"
	BatchType    = "batch"
	LinksType    = "links"
	ErasureType  = "erasure"
	TotalsType   = "totals"
	LostType     = "lost"
)

func (*Origin) kind() string   { return OriginType }
func (*Key) kind() string      { return KeyType }
func (*Document) kind() string { return DocumentType }
func (*Batch) kind() string    { return BatchType }
func (*Links) kind() string    { return LinksType }
func (*Erasure) kind() string  { return ErasureType }
func (*Totals) kind() string   { return TotalsType }
func (*Lost) kind() string     { return LostType }

// OfBatch is a batch's entry. Its text is the one that the batch's hash is over.
func OfBatch(b *ledger.Batch) *Batch {
	return &Batch{Part: b.Part, Number: b.Number, At: b.At, Rulebook: b.Rulebook, Backfill: b.Backfill, Correction: b.Correction,
		Root: Hash(b.Root), Totals: Hash(b.Totals), Prev: Hash(b.Prev)}
}

// Ledger is the batch that the entry is of.
func (b *Batch) Ledger() ledger.Batch {
	return ledger.Batch{Part: b.Part, Number: b.Number, At: b.At, Rulebook: b.Rulebook, Backfill: b.Backfill, Correction: b.Correction,
		Root: ledger.Hash(b.Root), Totals: ledger.Hash(b.Totals), Prev: ledger.Hash(b.Prev)}
}

// Text is the entry's canonical text.
func Text(e Entry) []byte {
	switch e := e.(type) {
	case *Origin:
		e.Type = e.kind()
	case *Key:
		e.Type = e.kind()
	case *Document:
		e.Type = e.kind()
	case *Batch:
		e.Type = e.kind()
	case *Links:
		e.Type = e.kind()
	case *Erasure:
		e.Type = e.kind()
	case *Totals:
		e.Type = e.kind()
	case *Lost:
		e.Type = e.kind()
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(e); err != nil {
		panic(err) // plain structs of texts and numbers
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// errForm says that a text is no entry, or not in its canonical form.
var errForm = errors.New("this is no entry of a log in its canonical form")

// Parse reads what Text wrote, and nothing else.
func Parse(text []byte) (Entry, error) {
	var head struct {
		Type string `json:"type"`
	}
	if b, ok := scanBatch(text); ok {
		return b, nil
	}
	if len(text) > MaxSize || json.Unmarshal(text, &head) != nil {
		return nil, errForm
	}
	var e Entry
	switch head.Type {
	case OriginType:
		e = &Origin{}
	case KeyType:
		e = &Key{}
	case DocumentType:
		e = &Document{}
	case BatchType:
		e = &Batch{}
	case LinksType:
		e = &Links{}
	case ErasureType:
		e = &Erasure{}
	case TotalsType:
		e = &Totals{}
	case LostType:
		e = &Lost{}
	default:
		return nil, fmt.Errorf("an entry of an unknown type %.20q", head.Type)
	}
	if err := json.Unmarshal(text, e); err != nil || !bytes.Equal(Text(e), text) {
		return nil, errForm
	}
	return e, nil
}

// A Hash is written as 64 hexadecimal digits, in lower case.
type Hash [32]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText writes the digits.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads them.
func (h *Hash) UnmarshalText(text []byte) error {
	if len(text) != 64 || bytes.ContainsAny(text, "ABCDEF") {
		return errors.New("a hash has 64 hexadecimal digits, in lower case")
	}
	_, err := hex.Decode(h[:], text)
	return err
}
