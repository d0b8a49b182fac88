package restore_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/erase"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/record"
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

// Keys are kept in one copy that is replaced, so whoever was erased after the backup has no key in it. To erase them again shows nothing
// of them: what the log says then has no salt that anybody can make.
func TestForgottenKeyless(t *testing.T) {
	w, copied := newWorld(t, storetest.SQLite(t)), t.TempDir()
	w.judge(60)
	w.seal()
	putBack := w.backup()
	l, _, err := w.db.LinkOf(t.Context(), w.subs[1])
	if err != nil {
		t.Fatal(err)
	}
	l.Key = [32]byte{}
	id := w.erase(w.subs[1])
	w.seal()
	w.mirror(copied)
	putBack()
	w.damage(fmt.Sprintf("DROP TRIGGER account_key_no_delete; DELETE FROM account_key WHERE part = %d AND account = %d",
		id.Part, id.Number))
	if r, err := w.restore(w.copyOf(copied)); err != nil || r.Erased != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	w.seal()
	w.clean()
	if _, _, err := w.db.Account(t.Context(), id); fault.KindOf(err) != fault.Gone {
		t.Errorf("account %s: %v", id, err)
	}
	if accounts, keyless, err := w.db.Keyless(t.Context()); err != nil || accounts == 0 || keyless != 0 { // its key is not missing, it was destroyed
		t.Errorf("of %d accounts %d have no key, %v", accounts, keyless, err)
	}
	ends := 0
	texts, err := w.db.LogEntries(t.Context(), 1, 0, int(w.last()))
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range texts {
		if e, ok := parsed(t, text).(*record.Links); ok && e.Part == id.Part {
			ends++
			if ledger.Hash(e.Root) == claim.LinkLeafHash(&l, e.At, true) {
				t.Errorf("consent %d.%d is that of somebody erased, as anybody can find out", e.Part, e.Number)
			}
		}
	}
	if ends != 3 { // one granted, one that holds its number, and one that ended again
		t.Errorf("the log has %d consents of the partition", ends)
	}
}

func parsed(t *testing.T, text []byte) record.Entry {
	t.Helper()
	e, err := record.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
