package seal

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/store"
)

// patience is how long one round of asking witnesses may take.
const patience = time.Second

// maxPause bounds how long a witness that failed is left alone.
const maxPause = time.Minute

// remind asks the witnesses whose signatures the published head has not, and adds those that come. On a busy log the next
// head asks them; on a quiet one this head stays the last for hours.
func (s *Sealer) remind(ctx context.Context, l store.Log, now time.Time) error {
	var missing []Witness
	for _, w := range s.Witnesses {
		if !strings.Contains(l.Checkpoint, "\n— "+w.Name()+" ") {
			missing = append(missing, w)
		}
	}
	if len(missing) == 0 || ledger.Hash(s.Signer.Last().Root) != l.Root {
		return nil
	}
	lines := s.cosign(ctx, l, now, missing)
	if len(lines) == 0 {
		return nil
	}
	return s.DB.PublishCheckpoint(ctx, l.Number, l.Size, l.Checkpoint+string(lines))
}

// cosign asks witnesses at once and returns the lines of those that signed. A witness that fails is left
// alone for a while, longer each time: the log goes on without it.
func (s *Sealer) cosign(ctx context.Context, l store.Log, now time.Time, witnesses []Witness) []byte {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	answers := make([]answer, len(witnesses))
	var wg sync.WaitGroup
	for i, w := range witnesses {
		if now.Before(s.resume[w.Name()]) {
			continue
		}
		old := s.seen[w.Name()]
		wg.Go(func() { answers[i] = s.ask(ctx, w, l, old) })
	}
	wg.Wait()
	var lines []byte
	for i, w := range witnesses {
		switch a := answers[i]; {
		case a.err != nil:
			s.failed[w.Name()]++
			s.resume[w.Name()] = now.Add(min(maxPause, s.Every<<min(s.failed[w.Name()], 6)))
			s.Log.Warn("witness", "name", w.Name(), "error", a.err.Error())
		case a.lines != nil:
			s.failed[w.Name()], s.seen[w.Name()] = 0, l.Size
			lines = append(lines, a.lines...)
		}
	}
	return lines
}

type answer struct {
	lines []byte
	err   error
}

// ask asks one witness, and once more if it knows the log at another size than we thought.
func (s *Sealer) ask(ctx context.Context, w Witness, l store.Log, old int64) answer {
	for attempt := 0; ; attempt++ {
		var path []tlog.Hash
		if old > 0 {
			var err error
			if path, err = tlog.ProveTree(l.Size, old, Reader(ctx, s.DB, l)); err != nil {
				return answer{err: err}
			}
		}
		lines, err := w.Cosign(ctx, old, path, s.Signer.Checkpoint())
		var stale *Stale
		if errors.As(err, &stale) && attempt == 0 {
			if old = stale.Size; old > l.Size {
				return answer{err: errors.New("it has seen a longer log than ours: ours is older, or another server's is published already")}
			}
			continue
		}
		return answer{lines, err}
	}
}
