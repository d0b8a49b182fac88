package proof

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io/fs"
	"math"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// A vector is one of transparency-dev/merkle. Sizes are kept as text, because some are beyond an int64.
type vector struct {
	LeafIdx, TreeSize, Size1, Size2, Start, End, Size json.Number
	Root, Root1, Root2, LeafHash                      string
	Proof                                             []string
	WantErr                                           bool
}

// The vectors, which lie outside the project, are about RFC 6962. Those of subtrees that start at leaf 0 are about our trees,
// too: a subtree of the first leaves is the tree of that size. The others are about something that we do not have, and so are
// those by which a subtree of no leaves is in every tree.
func TestVectors(t *testing.T) {
	folder := os.DirFS("../../shared/data/vectors/rfc6962-merkle")
	if _, err := fs.Stat(folder, "."); err != nil {
		t.Skip("the vectors lie outside the project and are absent")
	}
	for _, c := range []struct {
		kind        string
		check       func(vector) error
		happy, fail int // so many of them are about our trees
	}{
		{"inclusion", vector.inclusion, 6, 92},
		{"consistency", vector.consistency, 6, 92},
		{"subtreeinclusion", vector.subtreeInclusion, 6, 95},
		{"subtreeconsistency", vector.subtreeConsistency, 6, 94},
	} {
		t.Run(c.kind, func(t *testing.T) {
			happy, fail := 0, 0
			for name, v := range vectors(t, folder, c.kind) {
				if v.Start != "" && v.Start != "0" || v.End == "0" && !v.WantErr {
					continue
				}
				if v.WantErr {
					fail++
				} else {
					happy++
				}
				if err := c.check(v); (err != nil) != v.WantErr {
					t.Errorf("%s: %v, want an error: %v", name, err, v.WantErr)
				}
			}
			t.Logf("%d of these vectors should pass and %d should fail", happy, fail)
			if happy != c.happy || fail != c.fail {
				t.Errorf("%d passing and %d failing vectors were tried, want %d and %d", happy, fail, c.happy, c.fail)
			}
		})
	}
}

func vectors(t *testing.T, folder fs.FS, kind string) map[string]vector {
	t.Helper()
	all := map[string]vector{}
	err := fs.WalkDir(folder, kind, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".json") {
			return err
		}
		text, err := fs.ReadFile(folder, path)
		if err != nil {
			return err
		}
		var v vector
		if err := json.Unmarshal(text, &v); err != nil {
			return err
		}
		all[path] = v
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// inclusion calls what we test. A root and a leaf of no bytes, which are equal, end in the parser.
func (v vector) inclusion() error {
	if v.Root == "" && v.LeafHash == "" {
		_, err := ParseHash(v.Root)
		return err
	}
	return CheckInclusion(hashes(v.Proof), number(v.TreeSize), number(v.LeafIdx), hash(v.Root), hash(v.LeafHash))
}

func (v vector) consistency() error {
	return CheckConsistency(hashes(v.Proof), number(v.Size1), hash(v.Root1), number(v.Size2), hash(v.Root2))
}

func (v vector) subtreeInclusion() error {
	v.TreeSize = v.End
	return v.inclusion()
}

func (v vector) subtreeConsistency() error {
	v.Size1, v.Size2 = v.End, v.Size
	return v.consistency()
}

// number gives back what an int64 would make of a uint64, because that is what a careless caller would pass.
func number(n json.Number) int64 {
	if signed, err := strconv.ParseInt(n.String(), 10, 64); err == nil {
		return signed
	}
	unsigned, err := strconv.ParseUint(n.String(), 10, 64)
	if err != nil {
		panic(err)
	}
	return int64(unsigned)
}

// hash decodes a hash. Where a vector has another number of bytes, another hash stands for them, the same for the same bytes,
// so that a vector about something else still fails for that. Whoever parses a hash refuses them (see TestParseCheckpoint).
func hash(text string) tlog.Hash {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		panic(err)
	}
	if len(raw) != tlog.HashSize {
		return sha256.Sum256(append([]byte("in place of "), raw...))
	}
	return tlog.Hash(raw)
}

func hashes(texts []string) []tlog.Hash {
	var list []tlog.Hash
	for _, text := range texts {
		list = append(list, hash(text))
	}
	return list
}

// Nothing that a stranger may send panics, or takes long: beyond 2^62 package tlog would never return.
func TestHostileSizes(t *testing.T) {
	sizes := []int64{math.MinInt64, -1, 0, 1, MaxSize, MaxSize + 1, 1<<62 + 1, math.MaxInt64 - 1, math.MaxInt64}
	paths := [][]tlog.Hash{nil, {{}}, make([]tlog.Hash, 63), make([]tlog.Hash, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, a := range sizes {
			for _, b := range sizes {
				for _, path := range paths {
					if err := CheckInclusion(path, a, b, tlog.Hash{1}, tlog.Hash{2}); err == nil {
						t.Errorf("leaf %d is in a tree of %d", b, a)
					}
					if err := CheckConsistency(path, a, tlog.Hash{1}, b, tlog.Hash{2}); err == nil {
						t.Errorf("a tree of %d extends one of %d", b, a)
					}
				}
			}
		}
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Fatal("a hostile size keeps us busy")
	}
}

func TestCheckExtends(t *testing.T) {
	a, b := tlog.RecordHash([]byte("a")), tlog.RecordHash([]byte("b"))
	both := tlog.NodeHash(a, b)
	head := func(size int64, root tlog.Hash) Checkpoint {
		return Checkpoint{Origin: "log.example", Size: size, Root: root}
	}
	for _, tt := range []struct {
		name          string
		path          []tlog.Hash
		first, second Checkpoint
		ok            bool
	}{
		{"a second leaf", []tlog.Hash{b}, head(1, a), head(2, both), true},
		{"the same", nil, head(2, both), head(2, both), true},
		{"nothing to a leaf", nil, head(0, EmptyRoot), head(1, a), true},
		{"nothing to many", nil, head(0, EmptyRoot), head(MaxSize, a), true},
		{"nothing to nothing", nil, head(0, EmptyRoot), head(0, EmptyRoot), true},
		{"another second leaf", []tlog.Hash{a}, head(1, a), head(2, both), false},
		{"back again", []tlog.Hash{b}, head(2, both), head(1, a), false},
		{"back to nothing", nil, head(1, a), head(0, EmptyRoot), false},
		{"a fork", nil, head(1, a), head(1, b), false},
		{"another log", []tlog.Hash{b}, Checkpoint{Origin: "other.example", Size: 1, Root: a}, head(2, both), false},
		{"nothing, with a path", []tlog.Hash{a}, head(0, EmptyRoot), head(1, a), false},
		{"from another empty tree", nil, head(0, tlog.Hash{}), head(1, a), false},
		{"to another empty tree", nil, head(0, EmptyRoot), head(0, a), false},
		{"a leaf without a root", nil, head(0, EmptyRoot), head(1, EmptyRoot), false},
		{"nothing to too much", nil, head(0, EmptyRoot), head(MaxSize+1, a), false},
		{"nothing to less", nil, head(0, EmptyRoot), head(-1, a), false},
	} {
		if err := CheckExtends(tt.path, tt.first, tt.second); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want it to pass: %v", tt.name, err, tt.ok)
		}
	}
}
