package proof

import (
	"fmt"
	"slices"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// The edge's root is that of tlog, which builds the tree by other means, at every size; and it is the same
// when the edge is put down and taken up again in between.
func TestEdge(t *testing.T) {
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		var out []tlog.Hash
		for _, i := range indexes {
			out = append(out, stored[i])
		}
		return out, nil
	})
	tiles := map[[2]int64][]byte{}
	edge := &Edge{}
	if edge.Root() != EmptyRoot {
		t.Error("the empty log's root is not the hash of nothing")
	}
	const most = 256*256 + 300
	for n := int64(0); n < most; n++ {
		leaf := tlog.RecordHash(fmt.Append(nil, n))
		hashes, err := tlog.StoredHashesForRecordHash(n, leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, hashes...)
		edge.Append(leaf)
		if n > 600 && n%97 != 0 && n < most-600 && n%256 > 1 {
			continue
		}
		want, err := tlog.TreeHash(n+1, reader)
		if err != nil {
			t.Fatal(err)
		}
		if got := edge.Root(); got != want {
			t.Fatalf("root of %d entries = %v, want %v", n+1, got, want)
		}
		for _, tile := range edge.Tiles() {
			tiles[[2]int64{int64(tile.Level), tile.Number}] = slices.Clone(tile.Hashes)
		}
		var known []Tile
		for _, tile := range EdgeTiles(n + 1) {
			tile.Hashes = tiles[[2]int64{int64(tile.Level), tile.Number}]
			known = append(known, tile)
		}
		if edge, err = LoadEdge(n+1, known); err != nil {
			t.Fatal(err)
		}
	}
	for _, tile := range tlog.NewTiles(TileHeight, 0, most) {
		want, err := tlog.ReadTileData(tile, reader)
		if err != nil {
			t.Fatal(err)
		}
		if got := tiles[[2]int64{int64(tile.L), tile.N}]; !slices.Equal(got[:len(want)], want) {
			t.Errorf("tile %s differs", tile.Path())
		}
	}
	if _, err := LoadEdge(most, nil); err == nil {
		t.Error("an edge without its tiles was taken")
	}
}
