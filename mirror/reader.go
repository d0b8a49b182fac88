package mirror

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
)

// A Reader reads a log's head and entries from where it is served, or from a folder with a copy. It checks their form and
// nothing else: whoever uses it must lead them back to a head that a trusted key has signed.
type Reader struct {
	server *server // one of the two
	folder *folder
}

// NewReader reads a log at its address.
func NewReader(c Config) (*Reader, error) {
	s, err := newServer(&c)
	return &Reader{server: s}, err
}

// OpenReader reads a copy of a log in a folder.
func OpenReader(name string) (*Reader, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	return &Reader{folder: &folder{name: name, root: root}}, nil
}

// Close lets go of the folder.
func (r *Reader) Close() { r.folder.close() }

// Checkpoint is the log's last head, signed.
func (r *Reader) Checkpoint(ctx context.Context) ([]byte, error) {
	if r.server != nil {
		text, err := r.server.get(ctx, checkpointFile, maxCheckpoint)
		if refused := (*refusal)(nil); errors.As(err, &refused) && refused.absent {
			return nil, fault.New(fault.NotFound, "there is no log at %s: nothing is at %s/%s", r.server.base, r.server.base, checkpointFile)
		}
		return text, broken(StepCheckpoint, checkpointFile, err)
	}
	text, err := r.folder.checkpoint()
	if err == nil && text == nil {
		err = fault.New(fault.NotFound, "there is no copy of a log in %s", r.folder.name)
	}
	return text, err
}

// Entries returns the entries from a place to the end of their bundle, of a log of this size.
func (r *Reader) Entries(ctx context.Context, from, size int64) ([][]byte, error) {
	t := tlog.Tile{H: proof.TileHeight, L: proof.EntriesLevel, N: from / full, W: int(min(full, size-from/full*full))}
	var entries [][]byte
	check := func(data []byte) (err error) {
		if entries, err = proof.ParseBundle(data, t.W); err != nil {
			err = &Broken{StepEntries, proof.TilePath(t), err.Error()}
		}
		return err
	}
	var err error
	if r.server != nil {
		_, err = r.server.tile(ctx, t, check)
	} else {
		err = r.load(t, check)
	}
	if err != nil {
		return nil, err
	}
	return entries[from%full:], nil
}

func (r *Reader) load(t tlog.Tile, check func([]byte) error) error {
	data, err := r.folder.load(proof.TilePath(t), maxBundle)
	if err == nil && data == nil {
		err = fmt.Errorf("%s/%s is not there", r.folder.name, proof.TilePath(t))
	}
	if err != nil {
		return err
	}
	return check(data)
}
