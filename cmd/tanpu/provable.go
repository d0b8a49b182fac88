package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/store"
)

// A watcher notes when the log's heads are published, as anybody sees them.
type watcher struct {
	url  string
	stop func()

	mu    sync.Mutex
	heads []seenHead // guarded by mu
}

// A seenHead is a head of the log, and when it was seen first.
type seenHead struct{ size, at int64 }

// watch asks for the log's head every 20 ms until it is stopped.
func watch(ctx context.Context, base string) *watcher {
	ctx, cancel := context.WithCancel(ctx)
	w := &watcher{url: base + "/log/checkpoint"}
	var done sync.WaitGroup
	w.stop = func() { cancel(); done.Wait() }
	done.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			w.look(ctx)
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
		}
	})
	return w
}

func (w *watcher) look(ctx context.Context) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url, nil)
	if err != nil {
		return
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil || resp.StatusCode != http.StatusOK {
		return
	}
	body, _, _ := strings.Cut(string(text), "\n\n")
	c, err := proof.ParseCheckpoint(body + "\n")
	if err != nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.heads); n == 0 || w.heads[n-1].size < c.Size {
		w.heads = append(w.heads, seenHead{c.Size, time.Now().UnixMicro()})
	}
}

// provable is how long, at the 50th and 95th percentile of all batches, it took from a batch's instant until a head over
// it was published, in ms. Batches that no head was seen over, because the server ended first, are left out.
func (w *watcher) provable(ctx context.Context, db *store.DB) (p50, p95 float64, err error) {
	l, found, err := db.Log(ctx)
	if err != nil || !found {
		return 0, 0, err
	}
	var waits []int64
	head := 0
	for from := int64(0); from < l.Size; from += 10_000 {
		entries, err := db.LogEntries(ctx, l.Number, from, 10_000)
		if err != nil {
			return 0, 0, err
		}
		for i, text := range entries {
			for head < len(w.heads) && w.heads[head].size <= from+int64(i) {
				head++
			}
			if head == len(w.heads) {
				break
			}
			var e struct {
				Type string
				At   int64
			}
			if json.Unmarshal(text, &e) == nil && e.Type == "batch" && head > 0 {
				waits = append(waits, w.heads[head].at-e.At)
			}
		}
	}
	if len(waits) == 0 {
		return 0, 0, nil
	}
	slices.Sort(waits)
	at := func(p int) float64 { return float64(waits[(len(waits)-1)*p/100]) / 1000 }
	return at(50), at(95), nil
}
