package record

import (
	"crypto/sha256"
	"slices"
	"strings"
	"testing"
)

// A log that is as it should be: two partitions, documents before what is judged by them.
func good() []Entry {
	first := &Batch{Part: 0, Number: 1, At: 10, Rulebook: 1}
	second := &Batch{Part: 0, Number: 2, At: 10, Rulebook: 2, Prev: sha256.Sum256(Text(first))}
	return []Entry{
		&Origin{Origin: "example.org/log", Database: "d1", Parts: 2, Key: "k"},
		&Document{Rulebook: 1, Kind: "groups", Name: "g"},
		first,
		&Links{Part: 1, Number: 1},
		&Document{Rulebook: 2, Kind: "programme", Name: "p"},
		second,
		&Batch{Part: 1, Number: 1, At: 5, Rulebook: 2},
		&Key{Number: 1, Key: "k2"},
		&Totals{Number: 1, From: "2026-08-01", To: "2026-08-01"},
		&Batch{Part: 0, Number: 3, At: 11, Rulebook: 2, Prev: sha256.Sum256(Text(second))},
		&Links{Part: 1, Number: 2},
	}
}

// later is that log after its keys changed, and something of it was lost, twice.
func later() []Entry {
	return append(good(), &Key{Number: 2, Key: "k", Ended: true}, &Key{Number: 3, Key: "k3"},
		&Lost{Part: 0, Number: 1, Of: BatchType, From: 3, To: 3}, &Lost{Part: 0, Number: 2, Of: BatchType, From: 1, To: 2}, &Lost{Part: 1, Number: 1, Of: LinksType, From: 1, To: 2})
}

// restated is that log with two restatements, of which one told twice what it came to.
func restated() []Entry {
	return append(good(), &Document{Rulebook: 3, Kind: "restatement", Name: "a"}, &Document{Rulebook: 4, Kind: "restated", Name: "a"}, &Document{Rulebook: 5, Kind: "restated", Name: "a"},
		&Document{Rulebook: 6, Kind: "restatement", Name: "b"}, &Document{Rulebook: 7, Kind: "restated", Name: "b"})
}

// follow adds entries to a sequence and returns what it found, by place.
func follow(s *Sequence, entries []Entry) (found []string) {
	for _, e := range entries {
		_, problems := s.Add(Text(e))
		for _, p := range problems {
			found = append(found, p.About+": "+p.Text)
		}
	}
	return found
}

func TestSequence(t *testing.T) {
	s := NewSequence()
	if found := follow(s, good()); found != nil {
		t.Fatalf("the good log: %q", found)
	}
	if s.Size != 11 || s.Counts[BatchType] != 4 || !slices.Equal(s.Keys, []string{"k", "k2"}) || s.Next(Stream{BatchType, 0}) != 4 || s.Next(Stream{LinksType, 0}) != 0 {
		t.Errorf("it came out as %+v", s)
	}
	l := NewSequence()
	if found := follow(l, later()); found != nil || !slices.Equal(l.Keys, []string{"k2", "k3"}) || l.Lost[BatchType] != 3 || l.Lost[LinksType] != 2 {
		t.Errorf("the log whose keys changed, and of which something was lost, came out as %+v: %q", l, found)
	}
	// Another log of the same database goes on from it.
	f := s.Following()
	last, _ := s.LastBatch(1)
	more := []Entry{&Origin{Parts: 2, Follows: &Follows{Origin: "example.org/log", Size: 11}},
		&Batch{Part: 1, Number: 2, At: 5, Rulebook: 2, Prev: last}, &Document{Rulebook: 3}, &Links{Part: 0, Number: 1}}
	if found := follow(f, more); found != nil {
		t.Errorf("the log that follows: %q", found)
	}
	// Whoever has that one only cannot know where it goes on.
	if found := follow(NewSequence(), more); found != nil {
		t.Errorf("the log that follows, alone: %q", found)
	}
	more[1].(*Batch).Rulebook = 3
	if found := follow(NewSequence(), more); len(found) != 1 || !strings.HasPrefix(found[0], Rulebook) {
		t.Errorf("a rulebook that was published afterwards: %q", found)
	}
}

// Texts that nothing is judged by can be lost, and no others; of an earlier log that is not known, nobody can tell which they were.
func TestLostTexts(t *testing.T) {
	s := NewSequence()
	log := append(restated(), &Lost{Part: 0, Number: 1, Of: DocumentType, From: 7, To: 7}, &Lost{Part: 0, Number: 2, Of: DocumentType, From: 4, To: 5})
	if found := follow(s, log); found != nil || s.Lost[DocumentType] != 3 || len(s.Texts) != 3 || s.Texts[0].Name != "b" || s.Texts[2].Rulebook != 5 {
		t.Errorf("lost %v, %+v: %q", s.Lost, s.Texts, found)
	}
	for _, tt := range []struct {
		from, to int64
		known    bool // those before
		want     int
	}{{1, 1, false, 0}, {2, 9, false, 0}, {2, 10, false, 1}, {10, 10, false, 1}, {2, 2, true, 1}, {7, 7, true, 1}, {9, 9, true, 0}, {8, 9, true, 1}} {
		f := NewSequence()
		if tt.known {
			f = s.Following()
		}
		more := []Entry{&Origin{Parts: 2, Follows: &Follows{Origin: "example.org/log", Size: 18}}, &Document{Rulebook: 8, Kind: "restatement"}, &Document{Rulebook: 9, Kind: "restated"},
			&Document{Rulebook: 10, Kind: "groups"}, &Lost{Part: 0, Number: 3, Of: DocumentType, From: tt.from, To: tt.to}}
		if !tt.known { // 8 is the order of the one before
			more[1].(*Document).Kind = "restated"
		}
		if found := follow(f, more); len(found) != tt.want {
			t.Errorf("%d to %d, %v: %q", tt.from, tt.to, tt.known, found)
		}
	}
}

// Whatever breaks the sequence is named for what it is.
func TestSequenceBroken(t *testing.T) {
	for _, tt := range []struct {
		name string
		do   func(log []Entry) []Entry
		want []string // what is found, each about what and with which words
	}{
		{"no origin", func(l []Entry) []Entry { return l[1:] }, []string{"origin: the first entry is of type document"}},
		{"two origins", func(l []Entry) []Entry { return append(l, l[0]) }, []string{"origin: another origin"}},
		{"no partitions", func(l []Entry) []Entry { l[0].(*Origin).Parts = 0; return l[:2] }, []string{"origin: a database has 1 to 1024 partitions"}},
		{"another partition", func(l []Entry) []Entry { l[3].(*Links).Part = 2; return l[:4] }, []string{"numbers: links of partition 2, and the log has 2"}},
		{"below all partitions", func(l []Entry) []Entry { l[6].(*Batch).Part = -1; return l[:7] }, []string{"numbers: batch of partition -1"}},
		{"a document missing", func(l []Entry) []Entry { return slices.Delete(l, 1, 2)[:4] },
			[]string{"rulebook: batch 0.1 was judged by rulebook 1, and the last one published before it is 0", "numbers: document 2 comes where number 1 should"}},
		{"a batch missing", func(l []Entry) []Entry { return slices.Delete(l, 5, 6) },
			[]string{"numbers: batch 0.3 comes where number 2 should", "chain: batch 0.3 does not name"}},
		{"a first batch missing", func(l []Entry) []Entry { return slices.Delete(l, 2, 3)[:5] },
			[]string{"numbers: batch 0.2 comes where number 1 should", "chain: batch 0.2 names a batch before it, and is the first"}},
		{"batches swapped", func(l []Entry) []Entry { l[2], l[9] = l[9], l[2]; l[2].(*Batch).Rulebook = 1; return l[:6] },
			[]string{"numbers: batch 0.3 comes", "chain: batch 0.3", "numbers: batch 0.2 comes where number 4 should", "chain: batch 0.2", "instants: batch 0.2 was judged 1 µs before"}},
		{"another hash", func(l []Entry) []Entry { l[5].(*Batch).Prev[0]++; return l[:6] }, []string{"chain: batch 0.2 does not name"}},
		{"another batch under the hash", func(l []Entry) []Entry { l[2].(*Batch).Totals[0]++; return l[:6] }, []string{"chain: batch 0.2 does not name"}},
		{"time going back", func(l []Entry) []Entry { l[5].(*Batch).At--; return l[:6] }, []string{"instants: batch 0.2 was judged 1 µs before"}},
		{"an older rulebook", func(l []Entry) []Entry { l[9].(*Batch).Rulebook = 1; return l }, []string{"rulebook: batch 0.3 was judged by rulebook 1, and the batch before it by 2"}},
		{"a rulebook to come", func(l []Entry) []Entry { l[2].(*Batch).Rulebook = 2; return l[:3] }, []string{"rulebook: batch 0.1 was judged by rulebook 2"}},
		{"links twice", func(l []Entry) []Entry { l[10].(*Links).Number = 1; return l }, []string{"numbers: links 1.1 comes where number 2 should"}},
		{"a key's number", func(l []Entry) []Entry { l[7].(*Key).Number = 0; return l }, []string{"numbers: key 0 comes where number 1 should"}},
		{"a key twice", func(l []Entry) []Entry { return append(l, &Key{Number: 2, Key: "k2"}) }, []string{"signers: the key \"k2\" is named again"}},
		{"a key that ended", func(l []Entry) []Entry { return append(later(), &Key{Number: 4, Key: "k"}) }, []string{"signers: the key \"k\" is named again"}},
		{"the end of no key", func(l []Entry) []Entry { return append(l, &Key{Number: 2, Key: "k9", Ended: true}) }, []string{"signers: the key \"k9\" ends, and was not one"}},
		{"the end of the last key", func(l []Entry) []Entry {
			return append(later(), &Key{Number: 4, Key: "k2", Ended: true}, &Key{Number: 5, Key: "k3", Ended: true})
		},
			[]string{"signers: the last key that signs ends"}},
		{"lost before it was there", func(l []Entry) []Entry { return append(l, &Lost{Part: 0, Number: 1, Of: BatchType, From: 3, To: 4}) },
			[]string{"lost: lost 0.1 is of batch 3 to 4 of partition 0, where the last is 3"}},
		{"lost twice", func(l []Entry) []Entry {
			return append(later(), &Lost{Part: 0, Number: 3, Of: BatchType, From: 2, To: 3})
		},
			[]string{"lost: lost 0.3 is of batch 2 to 3 of partition 0, some of which was lost before"}},
		{"a lost document that claims are judged by", func(l []Entry) []Entry { return append(l, &Lost{Part: 0, Number: 1, Of: DocumentType, From: 1, To: 1}) },
			[]string{"lost: lost 0.1 is of documents 1 to 1, not all of which"}},
		{"a lost order among lost sums", func(l []Entry) []Entry {
			return append(restated(), &Lost{Part: 0, Number: 1, Of: DocumentType, From: 4, To: 7})
		},
			[]string{"lost: lost 0.1 is of documents 4 to 7, not all of which"}},
		{"a document to come that is lost", func(l []Entry) []Entry {
			return append(restated(), &Lost{Part: 0, Number: 1, Of: DocumentType, From: 7, To: 8})
		},
			[]string{"lost: lost 0.1 is of document 7 to 8 of partition 0, where the last is 7"}},
		{"a text lost twice", func(l []Entry) []Entry {
			return append(restated(), &Lost{Part: 0, Number: 1, Of: DocumentType, From: 4, To: 5}, &Lost{Part: 0, Number: 2, Of: DocumentType, From: 5, To: 5})
		},
			[]string{"lost: lost 0.2 is of document 5 to 5 of partition 0, some of which was lost before"}},
		{"a document lost in another partition", func(l []Entry) []Entry {
			return append(restated(), &Lost{Part: 1, Number: 1, Of: DocumentType, From: 4, To: 4})
		},
			[]string{"lost: lost 1.1 is of \"document\", which cannot be lost"}},
		{"a lost key", func(l []Entry) []Entry { return append(l, &Lost{Part: 0, Number: 1, Of: KeyType, From: 1, To: 1}) },
			[]string{"lost: lost 0.1 is of \"key\", which cannot be lost"}},
		{"a loss of another partition", func(l []Entry) []Entry { return append(l, &Lost{Part: 2, Number: 1, Of: BatchType, From: 1, To: 1}) },
			[]string{"numbers: lost of partition 2, and the log has 2"}},
		{"a number beyond all", func(l []Entry) []Entry { l[8].(*Totals).Number = 1<<63 - 1; return l }, []string{"numbers: totals 9223372036854775807 comes where number 1"}},
	} {
		found := follow(NewSequence(), tt.do(good()))
		if len(found) != len(tt.want) {
			t.Errorf("%s: found %q, want %q", tt.name, found, tt.want)
			continue
		}
		for i := range found {
			if !strings.HasPrefix(found[i], tt.want[i]) {
				t.Errorf("%s: found %q, want %q", tt.name, found[i], tt.want[i])
			}
		}
	}
	s := NewSequence()
	if e, problems := s.Add([]byte(`{"type":"batch"}`)); e != nil || len(problems) != 1 || problems[0].About != Form || s.Size != 1 {
		t.Errorf("what is no entry was taken as %v: %v", e, problems)
	}
}

func TestSums(t *testing.T) {
	var s Sums
	for _, tt := range []struct {
		vintage, from, to string
		claims            int64
		want              string // how the complaint begins
	}{
		{"2026", "2026-08-05", "2026-08-07", 10, ""},
		{"2026", "2026-08-01", "2026-08-01", 20, ""},
		{"2026", "2026-08-07", "2026-08-09", 1, "totals 1 of programme \"p\", method \"M@1\", vintage \"2026\" count a day from 2026-08-07"},
		{"2026", "2026-08-01", "2026-08-31", 1, "totals 1 of programme"},
		{"2026", "2026-08-06", "2026-08-06", 1, "totals 1 of programme"},
		{"2026", "2026-08-01", "2026-08-01", 1, "totals 1 of programme"},
		{"2027", "2026-08-01", "2026-08-01", 5, ""},
		{"2026", "2026-08-02", "2026-08-04", 30, ""},
		{"2026", "2026-08-04", "2026-08-04", 1, "totals 1 of programme"},
		{"2026", "2026-08-08", "2026-08-08", 40, ""},
		{"2026", "2026-08-10", "2026-08-10", 50, ""},
		{"2026", "2026-08-12", "2026-08-11", 1, "totals 1 are of no days"},
		{"2026", "2026-02-30", "2026-03-01", 1, "totals 1 are of no days"},
		{"2026", "2026-8-30", "2026-08-31", 1, "totals 1 are of no days"},
		{"2026", "2026-08-20", "2026-08-20", -1, "totals 1 are of -1 claims"},
		{"2026", "2026-08-21", "2026-08-21", 1<<63 - 1, "totals 1 make a sum too great"},
	} {
		got := s.Add(&Totals{Number: 1, Programme: "p", Method: "M@1", Vintage: tt.vintage, From: tt.from, To: tt.to, Claims: tt.claims, Reduction: 2 * tt.claims % 1000})
		if !strings.HasPrefix(got, tt.want) || (got == "") != (tt.want == "") {
			t.Errorf("totals from %s to %s: %q, want %q", tt.from, tt.to, got, tt.want)
		}
	}
	want := []Sum{
		{"p", "M@1", "2026", "2026-08-01", "2026-08-21", 150, 300, 0},
		{"p", "M@1", "2027", "2026-08-01", "2026-08-01", 5, 10, 0},
	}
	if got := s.All(); !slices.Equal(got, want) {
		t.Errorf("the sums are %+v, want %+v", got, want)
	}
}
