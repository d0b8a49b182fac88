package restore_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/erase"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

func (w *world) erase(sub string) store.AccountID {
	w.t.Helper()
	l, part, err := w.db.LinkOf(w.t.Context(), sub)
	if err != nil {
		w.t.Fatal(err)
	}
	id := store.AccountID{Part: part, Number: l.Account}
	w.gone[sub] = true
	w.now = w.now.Add(time.Second)
	if _, err := erase.New(w.db).Account(w.t.Context(), id, w.now); err != nil {
		w.t.Fatal(err)
	}
	return id
}

// TestForgotten: an old backup and the log together do not bring back whom the log has forgotten, nor does an old copy of the keys.
func TestForgotten(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, copied := newWorld(t, url), t.TempDir()
		w.judge(60)
		keys := filepath.Join(t.TempDir(), "old.keys") // from before anybody was erased
		if w.db.Engine() == "sqlite" {
			if err := store.Backup(t.Context(), url, filepath.Join(t.TempDir(), "old.db"), keys); err != nil {
				t.Fatal(err)
			}
		}
		gone := []store.AccountID{w.erase(w.subs[0])}
		w.seal()
		putBack := w.backup()
		w.judge(40)
		gone = append(gone, w.erase(w.subs[1]), w.erase(w.subs[2]))
		w.enrol(3)
		late := w.erase(w.subs[len(w.subs)-1]) // whom the backup never knew
		w.seal()
		w.mirror(copied)
		putBack()
		r, err := w.restore(w.copyOf(copied))
		if err != nil {
			t.Fatal(err)
		}
		if r.Erased != 3 {
			t.Errorf("%d accounts were erased again, want 3: %+v", r.Erased, r)
		}
		if w.db.Engine() == "sqlite" {
			if n, err := w.db.AddKeys(t.Context(), keys); err != nil || n != 0 {
				t.Errorf("%d keys came back, %v", n, err)
			}
		}
		for i, id := range gone {
			if _, _, err := w.db.Account(t.Context(), id); fault.KindOf(err) != fault.Gone {
				t.Errorf("account %s: %v", id, err)
			}
			c := w.all[0]
			c.ID, c.Sub = "back-"+w.subs[i], w.subs[i]
			if v := w.report(c); v.Reason != reason.NoLink {
				t.Errorf("a claim of somebody erased is %s", v.Reason)
			}
		}
		if _, _, err := w.db.Account(t.Context(), late); fault.KindOf(err) != fault.NotFound {
			t.Errorf("account %s, which was opened after the backup: %v", late, err)
		}
		w.seal()
		if a := w.clean(); a.Erased != 3 || !strings.Contains(strings.Join(a.Notes, "\n"), "3 accounts were erased") {
			t.Errorf("the audit says %d erased, %q", a.Erased, a.Notes)
		}
		w.erase(w.subs[5]) // goes on with its numbers
		w.seal()
		if a := w.clean(); a.Erased != 4 {
			t.Errorf("the audit says %d erased", a.Erased)
		}
		w.mirror(copied)
	})
}
