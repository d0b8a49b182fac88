package ledger_test

import (
	"crypto/sha256"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/tanpu/tanpu/rules/ledger"
)

func leaves(n int) []ledger.Hash {
	list := make([]ledger.Hash, n)
	for i := range list {
		list[i] = ledger.LeafHash([]byte{byte(i), byte(i >> 8)})
	}
	return list
}

// Every leaf's path leads to the root, as the Go checksum database's code finds as well.
func TestPath(t *testing.T) {
	for n := 1; n <= 130; n++ {
		list := leaves(n)
		root := ledger.Root(list)
		for i := range list {
			path := ledger.Path(list, i)
			if got, ok := ledger.RootOf(list[i], i, n, path); !ok || got != root {
				t.Errorf("leaf %d of %d: the path leads to %x, %v; want %x", i, n, got, ok, root)
			}
			var proof tlog.RecordProof
			for _, h := range path {
				proof = append(proof, tlog.Hash(h))
			}
			if err := tlog.CheckRecord(proof, int64(n), tlog.Hash(root), int64(i), tlog.Hash(list[i])); err != nil {
				t.Errorf("leaf %d of %d: %v", i, n, err)
			}
		}
	}
}

// A path that was tampered with in any way leads elsewhere, or nowhere.
func TestPathProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 300).Draw(t, "n")
		list := leaves(n)
		i := rapid.IntRange(0, n-1).Draw(t, "i")
		root, path, leaf := ledger.Root(list), ledger.Path(list, i), list[i]
		at, size := i, n
		switch kind := rapid.IntRange(0, 5).Draw(t, "kind"); {
		case kind == 0:
			leaf = sha256.Sum256(leaf[:])
		case kind == 1 && len(path) > 0:
			path[rapid.IntRange(0, len(path)-1).Draw(t, "at")][7] ^= 1
		case kind == 2 && len(path) > 0:
			path = path[:len(path)-1]
		case kind == 3:
			path = append(path, leaf)
		case kind == 4:
			at = rapid.IntRange(-1, n+1).Filter(func(k int) bool { return k != i }).Draw(t, "other")
		default:
			return
		}
		if got, ok := ledger.RootOf(leaf, at, size, path); ok && got == root {
			t.Errorf("leaf %d of %d is taken for leaf %d", i, n, at)
		}
	})
}
