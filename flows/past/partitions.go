package past

import (
	"context"
	"sync"
)

// Partitions has workers, numbered from 0, go through all partitions. The first error ends it.
func Partitions(ctx context.Context, parts, workers int, f func(ctx context.Context, worker, part int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	queue := make(chan int, parts)
	for part := range parts {
		queue <- part
	}
	close(queue)
	var wait sync.WaitGroup
	for worker := range workers {
		wait.Go(func() {
			for part := range queue {
				if err := f(ctx, worker, part); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wait.Wait()
	return context.Cause(ctx)
}

// A Gauge tells how far reading all accounts is.
type Gauge struct {
	Tell     func(share float64, claims int64) // nil for nobody
	Accounts int64                             // how many there are

	mu           sync.Mutex
	seen, claims int64 // guarded by mu
}

// Add counts what was read.
func (g *Gauge) Add(accounts, claims int64) {
	if g.Tell == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen, g.claims = g.seen+accounts, g.claims+claims
	g.Tell(min(1, float64(g.seen)/float64(max(1, g.Accounts))), g.claims)
}
