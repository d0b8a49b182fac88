package seal

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/store"
)

// Reader reads hashes of a log's tree from the database's tiles. It checks each against the log's root.
func Reader(ctx context.Context, db *store.DB, l store.Log) tlog.HashReader {
	return tlog.TileHashReader(tlog.Tree{N: l.Size, Hash: tlog.Hash(l.Root)}, &tiles{ctx, db, l.Number})
}

// tiles are a log's tiles in the database.
type tiles struct {
	ctx context.Context
	db  *store.DB
	log int
}

func (t *tiles) Height() int { return proof.TileHeight }

func (t *tiles) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	var data [][]byte
	for _, tile := range list {
		hashes, found, err := t.db.LogTile(t.ctx, t.log, tile.L, tile.N)
		if err != nil {
			return nil, err
		}
		if width := tile.W * tlog.HashSize; found && len(hashes) >= width {
			data = append(data, hashes[:width]) // it may have grown since
			continue
		}
		return nil, fmt.Errorf("tile %d of level %d of the log is missing or too short", tile.N, tile.L)
	}
	return data, nil
}

func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}
