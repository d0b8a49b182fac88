package api

import (
	"encoding/binary"
	"io"
	"net/http"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
)

// The log is served as C2SP tlog-tiles says, to anybody: a checkpoint, tiles of hashes, and bundles of entries.

// logOf is the log that goes on, or where the address names one by its number (/logs/1), that one: it has gone before.
func (s *Server) logOf(r *http.Request) (store.Log, bool, error) {
	n := r.PathValue("log")
	if n == "" {
		return s.DB.Log(r.Context())
	}
	number, err := strconv.Atoi(n)
	if err != nil || strconv.Itoa(number) != n || number < 1 || number > maxLogs {
		return store.Log{}, false, nil
	}
	return s.DB.LogNumbered(r.Context(), number)
}

// maxLogs bounds the number of a log that is asked for; PostgreSQL does not even look for more.
const maxLogs = 1 << 30

// checkpoint is GET /log/checkpoint: the last signed head, with what witnesses have added.
func (s *Server) checkpoint(w http.ResponseWriter, r *http.Request) {
	l, found, err := s.logOf(r)
	if err == nil && (!found || l.Checkpoint == "") {
		err = fault.New(fault.NotFound, "nothing of the log was published yet")
	}
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache")
	io.WriteString(w, l.Checkpoint)
}

// tile is GET /log/tile/L/N[.p/W] and GET /log/tile/entries/N[.p/W]. What was given out once never changes.
func (s *Server) tile(w http.ResponseWriter, r *http.Request) {
	data, err := s.readTile(r, r.PathValue("tile"))
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	w.Write(data)
}

func (s *Server) readTile(r *http.Request, path string) ([]byte, error) {
	missing := fault.New(fault.NotFound, "the log has no such tile")
	t, ok := proof.ParseTilePath(path)
	if !ok {
		return nil, missing
	}
	l, found, err := s.logOf(r)
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, missing
	}
	if t.L == proof.EntriesLevel {
		entries, err := s.DB.LogEntries(r.Context(), l.Number, t.N*full, t.W)
		if err == nil && len(entries) < t.W {
			err = missing
		}
		if err != nil {
			return nil, err
		}
		return bundle(entries), nil
	}
	hashes, found, err := s.DB.LogTile(r.Context(), l.Number, t.L, t.N)
	if err == nil && (!found || len(hashes) < t.W*tlog.HashSize) {
		err = missing
	}
	if err != nil {
		return nil, err
	}
	return hashes[:t.W*tlog.HashSize], nil
}

// full is how many hashes or entries a full tile has.
const full = 1 << proof.TileHeight

// bundle writes entries one after the other, each behind its length in two bytes.
func bundle(entries [][]byte) []byte {
	var b []byte
	for _, e := range entries {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(e))), e...)
	}
	return b
}
