package simulate

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A Summary is what came of many seeds.
type Summary struct {
	Seeds    int
	Took     time.Duration
	Coverage *Coverage
	Findings []*Finding
}

// mostFindings is after how many findings no more seeds are tried.
const mostFindings = 3

// Seeds runs a script for each of the seeds, in so many worlds at once, until there are no more, ctx ends, or enough
// was found.
func Seeds(ctx context.Context, next func() (seed uint64, more bool), steps, workers int, mutant *Mutant) (*Summary, error) {
	began := time.Now()
	s := &Summary{Coverage: NewCoverage()}
	var mu sync.Mutex
	var failed error
	take := func() (uint64, bool) {
		mu.Lock()
		defer mu.Unlock()
		if failed != nil || len(s.Findings) >= mostFindings || ctx.Err() != nil {
			return 0, false
		}
		return next()
	}
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			y, err := newYard()
			if err != nil {
				mu.Lock()
				failed = err
				mu.Unlock()
				return
			}
			defer y.close()
			for seed, more := take(); more; seed, more = take() {
				r, err := y.run(seed, Draw(seed, steps), mutant)
				var found *Finding
				if err == nil && r.Failure != nil {
					found, err = Shrink(seed, steps, mutant, r.Failure)
				}
				mu.Lock()
				if err != nil {
					failed = fmt.Errorf("seed %d: %w", seed, err)
				} else {
					s.Seeds++
					s.Coverage.Add(r.Coverage)
				}
				if found != nil {
					s.Findings = append(s.Findings, found)
				}
				mu.Unlock()
			}
		})
	}
	wait.Wait()
	s.Took = time.Since(began)
	return s, failed
}

// Range are the seeds from one to another.
func Range(from, to uint64) func() (uint64, bool) {
	next := from
	return func() (uint64, bool) {
		seed := next
		next++
		return seed, seed <= to
	}
}
