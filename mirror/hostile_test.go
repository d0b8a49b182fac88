package mirror_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/mirror"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
)

// endless writes until nobody listens any more.
func endless(w http.ResponseWriter, _ *http.Request) {
	for junk := bytes.Repeat([]byte{0, 1, 'x'}, 10_000); ; {
		if _, err := w.Write(junk); err != nil {
			return
		}
	}
}

func TestEndlessBody(t *testing.T) {
	for path, step := range map[string]string{"checkpoint": mirror.StepCheckpoint, "tile/0/000": mirror.StepTiles, "tile/0/001.p/46": mirror.StepTiles,
		"tile/entries/000": mirror.StepEntries, "tile/entries/001.p/46": mirror.StepEntries} {
		s := serve(t, newLog(t, "example.org/log", 1).grow(300))
		s.does(path, endless)
		r := s.check(t, mirror.Config{Dir: t.TempDir()})
		finds(t, r, step, path, "it has more than")
		if r.Fetched > 20<<20 {
			t.Errorf("%s: %d bytes were read", path, r.Fetched)
		}
	}
}

// A head of 2^60 entries, over tiles that lead to its root, because in a tree of equal leaves there is one for each level.
func TestHugeSize(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1))
	entry := s.entries[0]
	tiles := [][]byte{}
	hash := tlog.RecordHash(entry)
	for range 8 {
		tile := bytes.Repeat(hash[:], 256)
		tiles = append(tiles, tile)
		hash = proof.TileHash(tile)
	}
	const size = proof.MaxSize // 2^60 is 16 tiles of level 7
	root := tlog.Hash(tiles[7][:32])
	for range 4 {
		root = tlog.NodeHash(root, root)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /log/checkpoint", func(w http.ResponseWriter, r *http.Request) { w.Write(s.head(size, root)) })
	mux.HandleFunc("GET /log/tile/{path...}", func(w http.ResponseWriter, r *http.Request) {
		tile, ok := proof.ParseTilePath(r.PathValue("path"))
		switch {
		case !ok:
			http.NotFound(w, r)
		case tile.L == proof.EntriesLevel:
			w.Write(bundle(repeat(entry, tile.W)))
		default:
			w.Write(tiles[tile.L][:32*tile.W])
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	s.url = server.URL + "/log"
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := s.check(t, mirror.Config{})
	runtime.ReadMemStats(&after)
	if r.Entries != size || r.Checked > 5000 || r.Found[mirror.StepEntries] != 1 || len(r.Findings) > 50 {
		t.Errorf("of %d entries %d were checked, and %v found", r.Entries, r.Checked, r.Found)
	}
	if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > 64<<20 {
		t.Errorf("%d bytes were allocated for it", grown)
	}
	// The same size over the tiles of a small log.
	s = serve(t, newLog(t, "example.org/log", 1).grow(300))
	s.says("checkpoint", s.head(size, tlog.Hash{1}))
	finds(t, s.check(t, mirror.Config{}), mirror.StepTiles, "tile/7/000.p/16", "there is nothing")
	s.says("checkpoint", []byte(strings.Replace(string(s.head(1, tlog.Hash{1})), "\n1\n", "\n1152921504606846977\n", 1)))
	if r := s.check(t, mirror.Config{}); r.Clean() {
		t.Error("a size beyond all was taken")
	}
}

func repeat(entry []byte, n int) (list [][]byte) {
	for range n {
		list = append(list, entry)
	}
	return list
}

// A copy that somebody has changed is found out, and mended from the server.
func TestTamperedCopy(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(600))
	dir := t.TempDir()
	clean(t, s.check(t, mirror.Config{Dir: dir}), 602)
	for _, path := range []string{"tile/0/000", "tile/0/001", "tile/entries/001", "tile/entries/002.p/90"} {
		file := filepath.Join(dir, path)
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for name, change := range map[string]func() []byte{
			"a byte":  func() []byte { b := bytes.Clone(data); b[len(b)/2]++; return b },
			"cut off": func() []byte { return data[:len(data)-1] },
			"empty":   func() []byte { return nil },
			"longer":  func() []byte { return append(bytes.Clone(data), data...) },
		} {
			if err := os.WriteFile(file, change(), 0o666); err != nil {
				t.Fatal(err)
			}
			r := s.check(t, mirror.Config{Dir: dir})
			if finds(t, r, mirror.StepCopy, path, "damaged or changed"); t.Failed() {
				t.Fatal(name)
			}
			clean(t, s.check(t, mirror.Config{Dir: dir}), 602)
		}
	}
	// Tiles and entries changed together, so that they agree with each other.
	other := newLog(t, "example.org/log", 1)
	other.grow(200).batch(1)
	other.grow(400)
	for _, path := range []string{"tile/0/000", "tile/entries/000"} {
		if err := os.WriteFile(filepath.Join(dir, path), other.answer(path), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if r := s.check(t, mirror.Config{Dir: dir}); r.Found[mirror.StepCopy] != 2 || len(r.Found) != 1 {
		t.Errorf("found %v", r.Findings)
	}
	// Its head: what nobody has signed is no memory.
	for file, text := range map[string]string{"checkpoint": strings.Replace(string(s.answer("checkpoint")), "602", "601", 1), "keys": "", "keys ": "nonsense\n"} {
		file := filepath.Join(dir, strings.TrimSpace(file))
		kept, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		if _, err := mirror.Run(t.Context(), mirror.Config{URL: s.url, Dir: dir}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("with another %s: %v", file, err)
		}
		if err := os.WriteFile(file, kept, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	clean(t, s.check(t, mirror.Config{Dir: dir}), 602)
}

// A copy is one log's.
func TestOtherCopy(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(10))
	other := serve(t, newLog(t, "example.org/other", 2).grow(10))
	dir := t.TempDir()
	clean(t, s.check(t, mirror.Config{Dir: dir}), 12)
	_, err := mirror.Run(t.Context(), mirror.Config{URL: other.url, Dir: dir, Keys: []string{other.vkey}})
	if fault.KindOf(err) != fault.Conflict || !strings.Contains(err.Error(), "is a copy of the log example.org/log") {
		t.Errorf("another log was copied over it: %v", err)
	}
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "letter"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := mirror.Run(t.Context(), mirror.Config{URL: s.url, Dir: full}); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a folder with something else in it was taken: %v", err)
	}
	for _, keys := range [][]string{{"nonsense"}, {s.vkey, other.vkey}} {
		if _, err := mirror.Run(t.Context(), mirror.Config{URL: s.url, Keys: keys}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("keys %q were taken: %v", keys, err)
		}
	}
	for _, url := range []string{"", "log.example", "ftp://log.example", "http://", "http://log.example/?x"} {
		if _, err := mirror.Run(t.Context(), mirror.Config{URL: url}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("the address %q was taken: %v", url, err)
		}
	}
}

// A copy is served as well as the log itself.
func TestServeCopy(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(300))
	dir := t.TempDir()
	clean(t, s.check(t, mirror.Config{Dir: dir}), 302)
	s.grow(400)
	clean(t, s.check(t, mirror.Config{Dir: dir}), 702)
	files := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer files.Close()
	s.url = files.URL
	clean(t, s.check(t, mirror.Config{}), 702)
	for _, gone := range []string{"tile/0/001.p", "tile/entries/001.p"} {
		if _, err := os.Stat(filepath.Join(dir, gone)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", gone, err)
		}
	}
}

// A server that is busy is asked again, and one that stays so is no finding but an error.
func TestBusy(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(300))
	var times atomic.Int64
	s.does("tile/0/000", func(w http.ResponseWriter, r *http.Request) {
		switch times.Add(1) {
		case 1:
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.WriteHeader(http.StatusBadGateway)
		case 3: // breaks off
			w.Header().Set("Content-Length", "8192")
			w.Write(make([]byte, 100))
		default:
			w.Write(s.log.answer("tile/0/000"))
		}
	})
	clean(t, s.check(t, mirror.Config{}), 302)
	s.does("tile/0/000", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	_, err := mirror.Run(t.Context(), mirror.Config{URL: s.url, Keys: []string{s.vkey}, Pause: time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "status 503") {
		t.Errorf("a server that does not answer: %v", err)
	}
	s.does("tile/0/000", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	_, err = mirror.Run(t.Context(), mirror.Config{URL: s.url, Keys: []string{s.vkey}, Pause: time.Millisecond, Timeout: 20 * time.Millisecond})
	if err == nil {
		t.Error("a server that never answers was waited for")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err = mirror.Run(ctx, mirror.Config{URL: s.url, Keys: []string{s.vkey}}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("who was told to end: %v", err)
	}
	s.does("tile/0/000", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusForbidden) })
	finds(t, s.check(t, mirror.Config{}), mirror.StepTiles, "tile/0/000", "status 403")
}

// A server sends us to nobody else.
func TestRedirects(t *testing.T) {
	s := serve(t, newLog(t, "example.org/log", 1).grow(300))
	other := serve(t, s.log)
	s.does("tile/0/000", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.url+"/tile/0/000", http.StatusFound)
	})
	finds(t, s.check(t, mirror.Config{}), mirror.StepTiles, "tile/0/000", "redirected elsewhere")
	if len(other.requests()) > 0 {
		t.Error("the other one was asked")
	}
	s.does("tile/0/000", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/log/there", http.StatusFound) })
	s.does("there", func(w http.ResponseWriter, r *http.Request) { w.Write(s.log.answer("tile/0/000")) })
	clean(t, s.check(t, mirror.Config{}), 302)
	s.does("there", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/log/there", http.StatusFound) })
	finds(t, s.check(t, mirror.Config{}), mirror.StepTiles, "tile/0/000", "redirected elsewhere")
}

// evidence fails unless so many signed heads were kept.
func evidence(t *testing.T, dir string, n int) {
	t.Helper()
	kept, err := filepath.Glob(filepath.Join(dir, "evidence.*"))
	if err != nil || len(kept) != n {
		t.Errorf("the evidence is %q, %v, want %d heads", kept, err, n)
	}
}
