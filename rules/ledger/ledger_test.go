package ledger

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// leaves are those of the tree that the vectors of Certificate Transparency (RFC 6962) are about.
var leaves = []string{"", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"}

// roots are those of the first so many of them.
var roots = []string{
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	"6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
	"fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
	"aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
	"d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
	"4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
	"76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
	"ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
	"5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}

func hashes(t *testing.T, n int) []Hash {
	t.Helper()
	var list []Hash
	for _, leaf := range leaves[:n] {
		data, err := hex.DecodeString(leaf)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, LeafHash(data))
	}
	return list
}

func TestRoot(t *testing.T) {
	for n, want := range roots {
		if got := Root(hashes(t, n)); hex.EncodeToString(got[:]) != want {
			t.Errorf("Root of %d leaves = %x, want %s", n, got, want)
		}
	}
}

// A leaf is the hash of its parts one after the other, however they are cut.
func TestLeafHash(t *testing.T) {
	whole := LeafHash([]byte("salt and text"))
	if parts := LeafHash([]byte("salt"), nil, []byte(" and text")); parts != whole {
		t.Errorf("LeafHash of parts = %x, of the whole %x", parts, whole)
	}
	if node := nodeHash(Hash{}, Hash{}); node == LeafHash(make([]byte, 64)) {
		t.Error("a leaf of 64 bytes has the hash of a node: one could stand in for the other")
	}
}

// The vectors of transparency-dev/merkle, which lie outside the project, are about the same tree.
func TestRootOfVectors(t *testing.T) {
	folder := os.DirFS("../../../shared/data/vectors/rfc6962-merkle")
	if _, err := fs.Stat(folder, "."); err != nil {
		t.Skip("the vectors lie outside the project and are absent")
	}
	checked := 0
	check := func(file string, size int, root string) {
		if size > len(leaves) {
			return
		}
		want, err := base64.StdEncoding.DecodeString(root)
		if err != nil {
			t.Fatal(err)
		}
		checked++
		if got := Root(hashes(t, size)); !slices.Equal(got[:], want) {
			t.Errorf("%s: Root of %d leaves = %x, want %x", file, size, got, want)
		}
	}
	files, err := fs.Glob(folder, "*/*/happy-path.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if strings.HasPrefix(file, "subtree") {
			continue
		}
		text, err := fs.ReadFile(folder, file)
		if err != nil {
			t.Fatal(err)
		}
		var v struct {
			LeafIdx, TreeSize, Size1, Size2 int
			Root, Root1, Root2, LeafHash    string
		}
		if err := json.Unmarshal(text, &v); err != nil {
			t.Fatal(err)
		}
		if v.Root != "" {
			check(file, v.TreeSize, v.Root)
			leaf := hashes(t, len(leaves))[v.LeafIdx]
			if got := base64.StdEncoding.EncodeToString(leaf[:]); got != v.LeafHash {
				t.Errorf("%s: leaf %d = %s, want %s", file, v.LeafIdx, got, v.LeafHash)
			}
			continue
		}
		check(file, v.Size1, v.Root1)
		check(file, v.Size2, v.Root2)
	}
	if checked == 0 {
		t.Error("no vector was about a tree that we can build")
	}
}

// The record of a batch is what its hash is over, so its bytes must never change.
func TestRecord(t *testing.T) {
	b := Batch{Part: 3, Number: 12, At: 1787270400000000, Rulebook: 7, Root: Hash{1}, Totals: Hash{2}, Prev: Hash{3}}
	zeros := strings.Repeat("0", 62)
	want := `{"type":"batch","part":3,"number":12,"at":1787270400000000,"rulebook":7,"root":"01` + zeros +
		`","totals":"02` + zeros + `","prev":"03` + zeros + `"}`
	if got := string(b.Record()); got != want {
		t.Errorf("Record\n got %s\nwant %s", got, want)
	}
	hash := b.Hash()
	if got, want := hex.EncodeToString(hash[:]), "87da1099fc5e6dafc674cdb048d759747ff318abab7bcfce0c7a2045d3f85042"; got != want {
		t.Errorf("Hash = %s, want %s", got, want)
	}
	for name, change := range map[string]func(*Batch){
		"part": func(b *Batch) { b.Part++ }, "number": func(b *Batch) { b.Number++ }, "instant": func(b *Batch) { b.At++ },
		"rulebook": func(b *Batch) { b.Rulebook++ }, "backfill": func(b *Batch) { b.Backfill = true },
		"root": func(b *Batch) { b.Root[31]++ }, "totals": func(b *Batch) { b.Totals[31]++ }, "batch before": func(b *Batch) { b.Prev[31]++ },
	} {
		other := b
		change(&other)
		if other.Hash() == hash {
			t.Errorf("another %s leaves the hash as it was", name)
		}
		if !json.Valid(other.Record()) {
			t.Errorf("with another %s the record is no JSON: %s", name, other.Record())
		}
	}
}

func TestAssets(t *testing.T) {
	for _, tt := range []struct {
		asset      Asset
		want, kind string
	}{
		{Series("city", "BIKE@1", "2026"), "CO2E/city/BIKE@1/2026", "CO2E"},
		{Net("city", "BIKE@1", "2026"), "NET/city/BIKE@1/2026", "NET"},
		{Points("city", "2027-12"), "POINT/city/2027-12", "POINT"},
	} {
		if string(tt.asset) != tt.want || tt.asset.Kind() != tt.kind {
			t.Errorf("asset %s of kind %s, want %s of kind %s", tt.asset, tt.asset.Kind(), tt.want, tt.kind)
		}
	}
}

func TestPostings(t *testing.T) {
	var e Entry
	e.Move(Issuance, 7, "a", 5)
	e.Move(Issuance, Applicant, "a", 3)
	e.Move(Issuance, 7, "b", 2)
	e.Move(7, Issuance, "b", 2) // back again: no posting is left
	e.Move(Issuance, 8, "a", 0)
	e.Move(Issuance, 9, "a", -4) // a debit
	want := []Posting{{Key{Applicant, "a"}, 3}, {Key{Issuance, "a"}, -4}, {Key{7, "a"}, 5}, {Key{9, "a"}, -4}}
	if got := e.Postings(); !slices.Equal(got, want) {
		t.Errorf("Postings = %v, want %v", got, want)
	}
	if err := Balanced(e.Postings()); err != nil {
		t.Error(err)
	}
	if err := Balanced(e.Postings()[1:]); err == nil {
		t.Error("a posting is missing and nobody noticed")
	}
}

func TestAdd(t *testing.T) {
	for _, tt := range []struct {
		a, b, want int64
		ok         bool
	}{
		{1, 2, 3, true}, {1, -1, 0, true}, {0, 0, 0, true}, {-5, 0, -5, true}, {5, 0, 5, true}, {0, -5, -5, true},
		{math.MaxInt64, 0, math.MaxInt64, true}, {math.MaxInt64 - 1, 1, math.MaxInt64, true},
		{math.MaxInt64, 1, 0, false}, {math.MinInt64 + 1, -1, 0, false}, {math.MinInt64 + 1, -2, 0, false}, {math.MaxInt64, math.MaxInt64, 0, false},
	} {
		got, ok := Add(tt.a, tt.b)
		if ok != tt.ok || ok && got != tt.want {
			t.Errorf("Add(%d, %d) = %d, %v; want %d, %v", tt.a, tt.b, got, ok, tt.want, tt.ok)
		}
	}
}

// Beyond int64 our own arithmetic is broken, and says so.
func TestMoveTooMuch(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("an amount went out of range in silence")
		}
	}()
	var e Entry
	e.Move(Issuance, 1, "a", math.MaxInt64)
	e.Move(Issuance, 1, "a", 1)
}

// Whatever is moved, the postings of each asset sum to zero and each holder has what went to and fro.
func TestEntryProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		holder := rapid.SampledFrom([]Holder{Issuance, Applicant, Liability, Expiry, 1, 2, 3})
		asset := rapid.SampledFrom([]Asset{"a", "b", "c"})
		var e Entry
		has := map[Key]int64{}
		for range rapid.IntRange(0, 40).Draw(t, "moves") {
			from, to, what := holder.Draw(t, "from"), holder.Draw(t, "to"), asset.Draw(t, "asset")
			n := rapid.Int64Range(-1e13, 1e13).Draw(t, "amount")
			e.Move(from, to, what, n)
			has[Key{from, what}] -= n
			has[Key{to, what}] += n
		}
		postings := e.Postings()
		if err := Balanced(postings); err != nil {
			t.Fatal(err)
		}
		for _, p := range postings {
			if p.Amount == 0 || has[p.Key] != p.Amount {
				t.Fatalf("%v has %d by its posting, %d by the moves", p.Key, p.Amount, has[p.Key])
			}
			delete(has, p.Key)
		}
		for k, n := range has {
			if n != 0 {
				t.Fatalf("%v has %d and no posting", k, n)
			}
		}
	})
}
