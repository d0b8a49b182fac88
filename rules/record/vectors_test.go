package record_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
)

var update = flag.Bool("update", false, "write testdata/vectors.json again")

// Vectors are for other implementers; docs/log.md says what they mean.
type vectors struct {
	Entries []vector `json:"entries"`
	Log     struct {
		Key        string   `json:"key"`
		Entries    []string `json:"entries"`
		Roots      []string `json:"roots"` // base64, as in checkpoints; of 1 entry, of 2, and so on
		Checkpoint string   `json:"checkpoint"`
		Bundle     string   `json:"bundle"` // base64
	} `json:"log"`
}

type vector struct {
	Entry string `json:"entry"`
	Leaf  string `json:"leaf"` // hexadecimal
}

// What is published for other implementers is what we do.
func TestVectors(t *testing.T) {
	var v vectors
	for _, e := range record.Samples {
		text := record.Text(e)
		leaf := ledger.LeafHash(text)
		v.Entries = append(v.Entries, vector{string(text), fmt.Sprintf("%x", leaf)})
	}
	skey, vkey, err := note.GenerateKey(strings.NewReader(strings.Repeat("tanpu ", 10)), "example.org/log")
	if err != nil {
		t.Fatal(err)
	}
	v.Log.Key = vkey
	var leaves []ledger.Hash
	var bundle []byte
	edge := &proof.Edge{}
	for _, e := range small(vkey) {
		text := record.Text(e)
		leaves = append(leaves, ledger.LeafHash(text))
		edge.Append(tlog.RecordHash(text))
		root := ledger.Root(leaves)
		if tlog.Hash(root) != edge.Root() {
			t.Fatal("two ways to make a root come to two roots")
		}
		v.Log.Entries = append(v.Log.Entries, string(text))
		v.Log.Roots = append(v.Log.Roots, tlog.Hash(root).String())
		bundle = append(append(bundle, byte(len(text)>>8), byte(len(text))), text...)
	}
	v.Log.Bundle = base64.StdEncoding.EncodeToString(bundle)
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	head := proof.Checkpoint{Origin: "example.org/log", Size: edge.Size(), Root: edge.Root()}
	signed, err := note.Sign(&note.Note{Text: head.Text()}, signer)
	if err != nil {
		t.Fatal(err)
	}
	v.Log.Checkpoint = string(signed)

	var got strings.Builder
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/vectors.json"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got.String() != string(want) {
		t.Errorf("the vectors are %s, want %s (%v)", got.String(), want, err)
	}
}

// small is a log with an entry of each type, in which everything is as it must be.
func small(key string) []record.Entry {
	first := &record.Batch{Part: 0, Number: 1, At: 1787270400000000, Rulebook: 2, Root: record.Hash{1}, Totals: record.Hash{2}}
	return []record.Entry{
		&record.Origin{Origin: "example.org/log", Database: "d1", Parts: 2, At: 1787266800000000, Key: key},
		&record.Document{Rulebook: 1, Kind: "methodology", Name: "BIKE@1", At: 1787266800000000, SHA256: record.Hash{3}},
		&record.Document{Rulebook: 2, Kind: "programme", Name: "city", At: 1787266800000000, SHA256: record.Hash{4}},
		&record.Links{Part: 0, Number: 1, At: 1787266800000001, Root: record.Hash{5}},
		first,
		&record.Batch{Part: 0, Number: 2, At: 1787270400000000, Rulebook: 2, Root: record.Hash{6}, Totals: record.Hash{7}, Prev: sha256.Sum256(record.Text(first))},
		&record.Erasure{Part: 0, Number: 1, At: 1787270400000001, Account: record.Hash{8}, Removed: record.Hash{9}},
		&record.Totals{Number: 1, Programme: "city", Method: "BIKE@1", Vintage: "2026", From: "2026-08-21", To: "2026-08-21", Least: 10, Claims: 40, Reduction: 5600000, Points: 560000},
	}
}

// The small log is one that passes.
func TestVectorsSequence(t *testing.T) {
	s := record.NewSequence()
	for _, e := range small("example.org/log+1+k") {
		if _, problems := s.Add(record.Text(e)); problems != nil {
			t.Errorf("%s: %v", record.Text(e), problems)
		}
	}
}

// docs/log.md shows each type of entry as it is, and the table of the small log's roots.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/log.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range record.Samples {
		if !strings.Contains(string(text), "\n    "+string(record.Text(e))+"\n") {
			t.Errorf("docs/log.md does not show the entry\n%s", record.Text(e))
		}
	}
}
