package proof

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// TileHeight is that of tlog-tiles: a full tile has 256 hashes.
const TileHeight = 8

const full = 1 << TileHeight

// A Tile is part of a log's tree: Hashes are those of level 8×Level, from the 256×Number-th on.
type Tile struct {
	Level  int
	Number int64
	Hashes []byte // 32 bytes each
}

// An Edge is the right edge of a log's tree: all that extending the log needs to know of it. Its
// zero value is that of an empty log.
type Edge struct {
	size   int64
	levels [][]byte // of each level, the hashes in the last tile if that is not full
	filled []Tile   // since the last Tiles
}

// EdgeTiles lists the tiles (without hashes) that LoadEdge needs for a log of this size.
func EdgeTiles(size int64) []Tile {
	var list []Tile
	for level, n := 0, size; n > 0; level, n = level+1, n>>TileHeight {
		if n%full != 0 {
			list = append(list, Tile{Level: level, Number: n >> TileHeight})
		}
	}
	return list
}

// LoadEdge makes the edge of a log of this size from the tiles that EdgeTiles named. Hashes beyond the size are
// left alone.
func LoadEdge(size int64, tiles []Tile) (*Edge, error) {
	e := &Edge{size: size}
	for n := size; n > 0; n >>= TileHeight {
		e.levels = append(e.levels, nil)
	}
	for _, t := range tiles {
		if t.Level >= len(e.levels) {
			return nil, fmt.Errorf("a log of %d entries has no tile on level %d", size, t.Level)
		}
		n := size >> (TileHeight * t.Level)
		width := int(n%full) * tlog.HashSize
		if t.Number != n>>TileHeight || len(t.Hashes) < width {
			return nil, fmt.Errorf("tile %d of level %d is not at the edge of a log of %d entries, or too short", t.Number, t.Level, size)
		}
		e.levels[t.Level] = append([]byte(nil), t.Hashes[:width]...)
	}
	for level := range e.levels {
		if want := int(size>>(TileHeight*level)%full) * tlog.HashSize; len(e.levels[level]) != want {
			return nil, fmt.Errorf("the last tile of level %d is missing", level)
		}
	}
	return e, nil
}

// Size is how many entries the log has.
func (e *Edge) Size() int64 { return e.size }

// Append adds the entry with this leaf hash.
func (e *Edge) Append(leaf tlog.Hash) {
	e.size++
	for level := 0; ; level++ {
		if level == len(e.levels) {
			e.levels = append(e.levels, nil)
		}
		hashes := append(e.levels[level], leaf[:]...)
		if len(hashes) < full*tlog.HashSize {
			e.levels[level] = hashes
			return
		}
		e.filled = append(e.filled, Tile{Level: level, Number: e.size>>(TileHeight*(level+1)) - 1, Hashes: hashes})
		e.levels[level] = nil
		leaf = top(hashes, tlog.Hash{}, false)
	}
}

// Tiles returns the tiles that have changed since it was called last: those that were filled, and the
// last ones of each level that are not full.
func (e *Edge) Tiles() []Tile {
	list := e.filled
	e.filled = nil
	for level, hashes := range e.levels {
		if len(hashes) > 0 {
			list = append(list, Tile{Level: level, Number: e.size >> (TileHeight * (level + 1)), Hashes: append([]byte(nil), hashes...)})
		}
	}
	return list
}

// Root is the head of the tree (RFC 6962 §2.1). A tree's last subtree takes the place of a hash in the
// tile above it, because full subtrees are of a power of two and so are split off whole.
func (e *Edge) Root() tlog.Hash {
	var below tlog.Hash
	has := false
	for _, hashes := range e.levels {
		if len(hashes) > 0 {
			below = top(hashes, below, has)
			has = true
		}
	}
	if !has {
		return EmptyRoot
	}
	return below
}

// TileHash is the hash that stands for a full tile in the level above it.
func TileHash(hashes []byte) tlog.Hash { return top(hashes, tlog.Hash{}, false) }

// top is the Merkle tree hash over hashes, followed by one more if there is one.
func top(hashes []byte, more tlog.Hash, has bool) tlog.Hash {
	list := make([]tlog.Hash, 0, full+1)
	for ; len(hashes) > 0; hashes = hashes[tlog.HashSize:] {
		list = append(list, tlog.Hash(hashes[:tlog.HashSize]))
	}
	if has {
		list = append(list, more)
	}
	return merkle(list)
}

func merkle(list []tlog.Hash) tlog.Hash {
	if len(list) == 1 {
		return list[0]
	}
	k := 1
	for k*2 < len(list) {
		k *= 2
	}
	return tlog.NodeHash(merkle(list[:k]), merkle(list[k:]))
}
