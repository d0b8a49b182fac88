package proof

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// EntriesLevel is the level of a tile that holds entries, not hashes.
const EntriesLevel = -1

// TilePath is where a tile lies below a log's address, as tlog-tiles says: tile/L/N[.p/W], or tile/entries/N[.p/W].
// It differs from the path of package tlog in that it does not name the height.
func TilePath(t tlog.Tile) string {
	level := "entries"
	if t.L != EntriesLevel {
		level = strconv.Itoa(t.L)
	}
	path := fmt.Sprintf("%03d", t.N%1000)
	for n := t.N / 1000; n > 0; n /= 1000 {
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	if t.W != full {
		path += fmt.Sprintf(".p/%d", t.W)
	}
	return "tile/" + level + "/" + path
}

// ParseTilePath reads what TilePath wrote after "tile/", and nothing else.
func ParseTilePath(path string) (tlog.Tile, bool) {
	t := tlog.Tile{H: TileHeight, W: full}
	if len(path) > 100 {
		return t, false
	}
	level, rest, _ := strings.Cut(path, "/")
	if t.L = EntriesLevel; level != "entries" {
		t.L, _ = strconv.Atoi(level)
	}
	number, width, partial := strings.Cut(rest, ".p/")
	if partial {
		t.W, _ = strconv.Atoi(width)
	}
	for _, part := range strings.Split(number, "/") {
		n, err := strconv.Atoi(strings.TrimPrefix(part, "x"))
		if err != nil || t.N > MaxSize/1000 {
			return t, false
		}
		t.N = t.N*1000 + int64(n)
	}
	ok := t.L <= 63/TileHeight && t.W >= 1 && t.W <= full && t.N >= 0 && t.N <= MaxSize/full
	return t, ok && TilePath(t) == "tile/"+path
}

// ParseBundle takes a bundle of entries apart, of which there must be just so many.
func ParseBundle(bundle []byte, n int) ([][]byte, error) {
	entries := make([][]byte, 0, n)
	for len(bundle) > 0 && len(entries) < n {
		if len(bundle) < 2 {
			break
		}
		size := int(binary.BigEndian.Uint16(bundle))
		if len(bundle) < 2+size {
			break
		}
		entries = append(entries, bundle[2:2+size])
		bundle = bundle[2+size:]
	}
	if len(bundle) > 0 || len(entries) != n {
		return nil, errors.New("the bundle of entries is cut off, or has more or fewer than it should")
	}
	return entries, nil
}
