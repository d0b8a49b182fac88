package mirror

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/record"
)

// ahead is how many bundles are fetched before they are needed: enough to hide the way to the server, and few enough for
// their size, which a liar chooses.
const ahead = 4

// enough findings about entries are enough: who makes up a log can make them without end.
const enough = 1000

// A walk goes through a log's tree from its root down and from its first entry to the last. Whatever it takes has been led
// back to the root by then, so that the first thing that is wrong is found where it is.
type walk struct{ *mirroring }

func (w *walk) all(ctx context.Context) error {
	size := w.head.Size
	edge, err := w.edge(ctx)
	if err != nil {
		return err
	}
	for i := len(edge) - 1; i >= 0; i-- {
		t := edge[i]
		if t.Level > 0 {
			err = w.below(ctx, t.Level-1, t.Number*full, t.Hashes)
		} else {
			var entries [][]byte
			if entries, err = w.bundle(ctx, tlog.Tile{H: proof.TileHeight, L: proof.EntriesLevel, N: t.Number, W: int(size % full)}, t.Hashes); err == nil {
				err = w.take(entries)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// edge fetches the last tiles of all levels that are not full. Together they have the tree's root, or this is where it ends.
// They never come from the copy, for one of them alone cannot be checked.
func (w *walk) edge(ctx context.Context) ([]proof.Tile, error) {
	edge := proof.EdgeTiles(w.head.Size)
	for i := range edge {
		t := tlog.Tile{H: proof.TileHeight, L: edge[i].Level, N: edge[i].Number, W: int(w.head.Size >> (proof.TileHeight * edge[i].Level) % full)}
		data, err := w.server.tile(ctx, t, func(data []byte) error { return checkWidth(t, data) })
		if err != nil {
			return nil, err
		}
		edge[i].Hashes = data
	}
	loaded, err := proof.LoadEdge(w.head.Size, edge)
	if err != nil {
		return nil, err
	}
	if loaded.Root() != w.head.Root {
		return nil, &Broken{StepCheckpoint, "checkpoint", fmt.Sprintf("its root %s is not that of the tiles that are served, which is %s", w.head.Root, loaded.Root())}
	}
	for i := range edge {
		t := tlog.Tile{H: proof.TileHeight, L: edge[i].Level, N: edge[i].Number, W: len(edge[i].Hashes) / tlog.HashSize}
		if err := w.folder.save(proof.TilePath(t), edge[i].Hashes); err != nil {
			return nil, err
		}
	}
	return edge, nil
}

// below goes through full tiles of a level, from one number on, that have these hashes.
func (w *walk) below(ctx context.Context, level int, number int64, hashes []byte) error {
	if level == 0 {
		return w.leaves(ctx, number, hashes)
	}
	for ; len(hashes) > 0; number, hashes = number+1, hashes[tlog.HashSize:] {
		tile, err := w.tile(ctx, level, number, tlog.Hash(hashes[:tlog.HashSize]))
		if err != nil {
			return err
		}
		if err := w.below(ctx, level-1, number*full, tile); err != nil {
			return err
		}
	}
	return nil
}

// leaves goes through the bundles of entries of full tiles of the lowest level, and fetches a few ahead.
func (w *walk) leaves(ctx context.Context, number int64, hashes []byte) error {
	type fetched struct {
		entries [][]byte
		err     error
	}
	ctx, cancel := context.WithCancel(ctx)
	var fetching sync.WaitGroup
	defer fetching.Wait()
	defer cancel()
	queue := make(chan chan fetched, ahead-1)
	fetching.Go(func() {
		defer close(queue)
		for n, rest := number, hashes; len(rest) > 0; n, rest = n+1, rest[tlog.HashSize:] {
			hash, one := tlog.Hash(rest[:tlog.HashSize]), make(chan fetched, 1)
			select {
			case <-ctx.Done():
				return
			case queue <- one:
			}
			fetching.Go(func() {
				entries, err := w.full(ctx, n, hash)
				one <- fetched{entries, err}
			})
		}
	})
	for one := range queue {
		f := <-one
		if f.err == nil {
			f.err = w.take(f.entries)
		}
		if f.err != nil {
			return f.err
		}
	}
	return ctx.Err()
}

// full fetches the entries under a full tile of the lowest level, of which the hash is known.
func (w *walk) full(ctx context.Context, number int64, hash tlog.Hash) ([][]byte, error) {
	leaves, err := w.tile(ctx, 0, number, hash)
	if err != nil {
		return nil, err
	}
	return w.bundle(ctx, tlog.Tile{H: proof.TileHeight, L: proof.EntriesLevel, N: number, W: full}, leaves)
}

// tile fetches a full tile of which the hash is known.
func (w *walk) tile(ctx context.Context, level int, number int64, hash tlog.Hash) ([]byte, error) {
	t := tlog.Tile{H: proof.TileHeight, L: level, N: number, W: full}
	return w.fetch(ctx, t, func(data []byte) error {
		if err := checkWidth(t, data); err != nil {
			return err
		}
		if proof.TileHash(data) != hash {
			return &Broken{StepTiles, proof.TilePath(t), "it is not the tile that the signed root stands for"}
		}
		return nil
	})
}

// bundle fetches entries of which the hashes are known.
func (w *walk) bundle(ctx context.Context, t tlog.Tile, leaves []byte) ([][]byte, error) {
	var entries [][]byte
	_, err := w.fetch(ctx, t, func(data []byte) (err error) {
		if entries, err = proof.ParseBundle(data, t.W); err != nil {
			return &Broken{StepEntries, proof.TilePath(t), err.Error()}
		}
		for i, text := range entries {
			if tlog.RecordHash(text) != tlog.Hash(leaves[i*tlog.HashSize:(i+1)*tlog.HashSize]) {
				return &Broken{StepEntries, proof.TilePath(t), fmt.Sprintf("entry %d is not the one that the signed root stands for", t.N*full+int64(i))}
			}
		}
		return nil
	})
	return entries, err
}

// fetch takes a tile from the copy, if it is there and passes the check, and from the server otherwise. What is there and does
// not pass is told, and replaced.
func (w *walk) fetch(ctx context.Context, t tlog.Tile, check func([]byte) error) ([]byte, error) {
	path, limit := proof.TilePath(t), t.W*tlog.HashSize
	if t.L == proof.EntriesLevel {
		limit = t.W * (2 + record.MaxSize)
	}
	data, err := w.folder.load(path, limit)
	if err != nil {
		return nil, err
	}
	if data != nil {
		err := check(data)
		if err == nil {
			return data, nil
		}
		wrong := (*Broken)(nil)
		if !errors.As(err, &wrong) {
			return nil, err
		}
		w.found(Finding{StepCopy, path, "what lies in the copy was damaged or changed: " + wrong.Text})
	}
	if data, err = w.server.tile(ctx, t, check); err != nil {
		return nil, err
	}
	return data, w.folder.save(path, data)
}

// take holds the next entries against those before.
func (w *walk) take(entries [][]byte) error {
	for _, text := range entries {
		place := w.sequence.Size
		e, problems := w.sequence.Add(text)
		for _, p := range problems {
			w.found(Finding{p.About, fmt.Sprintf("entry %d", place), p.Text})
		}
		if t, ok := e.(*record.Totals); ok {
			if wrong := w.sums.Add(t); wrong != "" {
				w.found(Finding{StepTotals, fmt.Sprintf("entry %d", place), wrong})
			}
		}
	}
	if w.Progress != nil {
		w.Progress(float64(w.sequence.Size)/float64(w.head.Size), w.sequence.Size)
	}
	if n := w.many(); n > enough {
		return &Broken{StepEntries, fmt.Sprintf("entry %d", w.sequence.Size-1), fmt.Sprintf("%d findings are enough: the rest of the log was not read", n)}
	}
	return nil
}
