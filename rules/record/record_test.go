package record

import (
	"strings"
	"testing"

	"github.com/tanpu/tanpu/rules/ledger"
)

// Samples are entries of each type; docs/log.md shows them.
var Samples = []Entry{
	&Origin{Origin: "example.org/log", Database: "d1", Parts: 16, At: 1787270400000000, Key: "example.org/log+1+k"},
	&Origin{Origin: "example.org/log2", Database: "d1", Parts: 16, At: 1, Key: "k", Follows: &Follows{Origin: "example.org/log", Size: 5, Root: Hash{1}}},
	&Key{Number: 1, At: 2, Key: "k"},
	&Key{Number: 2, At: 3, Key: "k", Ended: true},
	&Document{Rulebook: 7, Kind: "methodology", Name: "<骑行>@1", At: 3, SHA256: Hash{2}},
	&Batch{Part: 3, Number: 12, At: 1787270400000000, Rulebook: 7, Root: Hash{1}, Totals: Hash{2}, Prev: Hash{3}},
	&Batch{Part: 3, Number: 12, At: 1787270400000000, Rulebook: 7, Backfill: true, Root: Hash{1}, Totals: Hash{2}, Prev: Hash{3}},
	&Links{Part: 1, Number: 2, At: 3, Root: Hash{4}},
	&Erasure{Part: 1, Number: 1, At: 4, Account: Hash{5}, Removed: Hash{6}},
	&Totals{Number: 1, Programme: "p", Method: "M@1", Vintage: "2026", From: "2026-08-01", To: "2026-08-02", Least: 10, Claims: 1, Reduction: 2, Points: 3},
	&Lost{Part: 3, Number: 1, At: 4, Of: BatchType, From: 12, To: 19},
	&Lost{Part: 0, Number: 1, At: 4, Of: DocumentType, From: 9, To: 9},
}

// What Text wrote, Parse reads, and nothing that differs from it in a byte.
func TestText(t *testing.T) {
	for _, e := range Samples {
		text := Text(e)
		got, err := Parse(text)
		if err != nil || string(Text(got)) != string(text) {
			t.Errorf("%s came back as %+v, %v", text, got, err)
		}
		for i := range text {
			for _, change := range []string{"", " ", "x", "0", string(text[i:i+1]) + string(text[i:i+1])} {
				other := string(text[:i]) + change + string(text[i+1:])
				if got, err := Parse([]byte(other)); err == nil && string(Text(got)) != other {
					t.Fatalf("%s was read as %+v", other, got)
				}
			}
		}
		if _, err := Parse([]byte(strings.Replace(string(text), "{", `{"more":1,`, 1))); err == nil {
			t.Errorf("%T was read with more in it than it can have", e)
		}
	}
}

// A batch's entry is the text that its hash is over.
func TestOfBatch(t *testing.T) {
	b := ledger.Batch{Part: 3, Number: 12, At: 1787270400000000, Rulebook: 7, Backfill: true, Root: ledger.Hash{1}, Totals: ledger.Hash{2}, Prev: ledger.Hash{3}}
	if got, want := string(Text(OfBatch(&b))), string(b.Record()); got != want {
		t.Errorf("entry %s, record %s", got, want)
	}
	if got := OfBatch(&b).Ledger(); got != b {
		t.Errorf("%+v came back as %+v", b, got)
	}
}

func FuzzParse(f *testing.F) {
	for _, e := range Samples {
		f.Add(Text(e))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if e, err := Parse(text); err == nil && string(Text(e)) != string(text) {
			t.Errorf("%s was read as %+v", text, e)
		}
	})
}
