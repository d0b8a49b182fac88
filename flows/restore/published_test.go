package restore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/tanpu/tanpu/flows/restore"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/store/storetest"
)

// Who dies with all entries written and before the signed head is published goes on with that: no receipt could be given, and no key
// retired, before a server had sealed something new.
func TestKilledBeforePublishing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, copied := newWorld(t, url), t.TempDir()
		w.judge(3)
		w.seal()
		older := w.backup()
		w.judge(3)
		w.seal()
		w.mirror(copied)
		older()
		ctx, die := context.WithCancel(t.Context())
		c := restore.Config{DB: w.db, Signer: w.signer(), Source: w.copyOf(copied), Documents: [][]byte{revised.Text}}
		c.Progress = func(share float64, _ int64) {
			if share == 1 {
				die()
			}
		}
		if _, err := restore.Run(ctx, c, w.now); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if _, err := w.restore(w.copyOf(copied)); err != nil {
			t.Fatal(err)
		}
		l, _, err := w.db.Log(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		head, _, err := proof.OpenCheckpoint([]byte(l.Checkpoint), l.Origin, w.signer().Verifiers()...)
		if want := w.signer().Last(); err != nil || head.Size != want.Size || head.Root != want.Root {
			t.Errorf("a head of %d entries is published, and one of %d was signed: %v", head.Size, want.Size, err)
		}
		w.clean()
	})
}
