package restore_test

import (
	"testing"

	"github.com/tanpu/tanpu/flows/restore"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store/storetest"
)

// Where no copy of the log has all that was signed, a database is brought forward as far as one goes, if somebody says so. No
// server starts on it then; and if a longer copy is found after all, it is brought forward to the end.
func TestBehind(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, behind, whole := newWorld(t, url), t.TempDir(), t.TempDir()
		w.judge(10)
		w.seal()
		older := w.backup()
		w.judge(10)
		w.seal()
		size := w.mirror(behind).Entries
		w.judge(5)
		w.seal()
		all := w.mirror(whole).Entries
		older()
		anyway := func(c *restore.Config) { c.Behind = true }
		if _, err := w.restore(w.copyOf(whole), anyway); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a copy that has all was taken for one that is behind: %v", err)
		}
		if _, err := w.restore(w.copyOf(behind)); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a copy that is behind was enough: %v", err)
		}
		signed := w.signer().Last()
		for i := range 2 {
			r, err := w.restore(w.copyOf(behind), anyway)
			if err != nil || r.To != size || r.Beyond != all-size || i == 0 && r.Batches != 10 {
				t.Fatalf("restored %+v, %v", r, err)
			}
			if got := w.signer().Last(); got.Size != signed.Size || got.Root != signed.Root {
				t.Error("something was signed")
			}
			w.clean()
			if _, err := seal.New(t.Context(), seal.Config{DB: w.db, Signer: w.signer()}); err == nil {
				t.Error("a sealer starts on it")
			}
		}
		r, err := w.restore(w.copyOf(whole))
		if err != nil || r.To != all || r.Batches != 5 {
			t.Fatalf("restored %+v, %v", r, err)
		}
		for _, c := range w.all {
			w.report(c)
		}
		w.seal()
		var want int64
		for _, mg := range w.mg {
			want += mg
		}
		if a, got := w.clean(), w.credited(); a.Held.Batches != 15 || got != want {
			t.Errorf("%d batches are held, and members hold %d mg, want %d", a.Held.Batches, got, want)
		}
		w.mirror(whole)
	})
}
