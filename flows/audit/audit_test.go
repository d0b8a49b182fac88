package audit_test

import (
	"context"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

func run(t *testing.T, db *store.DB) *audit.Report {
	t.Helper()
	r, err := audit.Run(context.Background(), db, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// What was taken in is clean, whatever became of it.
func TestClean(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := live(t, url, 25, 12)
		r := run(t, w.db)
		for _, f := range r.Findings {
			t.Error(f)
		}
		recorded := w.recorded()
		if r.Claims != recorded || r.Accounts != int64(len(w.members)) || r.Keyless != 0 {
			t.Errorf("read %d claims of %d accounts, %d without a key; want %d, %d, 0", r.Claims, r.Accounts, r.Keyless, recorded, len(w.members))
		}
		t.Logf("%d claims in %d batches: %v", r.Claims, r.Batches, w.seen)
		for _, code := range []reason.Code{reason.OK, reason.NoHistory, reason.Replay, reason.IDReused, reason.Overlap, reason.NoLink, reason.LinkRevoked,
			reason.ScenarioOff, reason.BadTime, reason.InFuture, reason.TooLate, reason.OutOfRegion, reason.BadEvidence, reason.BadQuantity,
			reason.BelowMinimum, reason.ObjectUnknown, reason.Implausible, reason.CapReached} {
			if w.seen[code] == 0 {
				t.Errorf("nothing was %s, so that it was not tried", code)
			}
		}
		for _, why := range []claim.Why{claim.Retracted, claim.Replaced, claim.Rejudged} {
			if w.undone[why] == 0 {
				t.Errorf("nothing was %s, so that it was not tried", why)
			}
		}
		t.Logf("%v, and %d claims in the place of others", w.undone, w.anew)
		if w.trimmed == 0 {
			t.Error("no claim was trimmed, so that it was not tried")
		}
	})
}

// An audit beside a server that goes on writing sees each partition as it stood at one moment.
func TestBesideServer(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url, 3, 25)
		reader, err := store.OpenRead(context.Background(), url)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 6 {
				w.day()
			}
		}()
		audits, last := 0, int64(-1)
		for open := true; open; audits++ {
			select {
			case <-done:
				open = false
			default:
			}
			r := run(t, reader)
			for _, f := range r.Findings {
				t.Error(f)
			}
			if r.Claims < last {
				t.Errorf("%d claims, after %d", r.Claims, last)
			}
			last = r.Claims
		}
		if recorded := w.recorded(); last != recorded {
			t.Errorf("the last of %d audits read %d claims, want %d", audits, last, recorded)
		}
	})
}

// Ids that one partner used for two members are told, and are no fault.
func TestSharedIDs(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url, 3, 3)
		w.now = w.now.AddDate(0, 0, 1)
		var claims []claim.Claim
		for _, m := range w.members {
			c := w.claim(m, "rides", "bike", w.midnight(), 20*time.Minute, "distance", "3")
			c.ID = "one"
			own := w.claim(m, "bank", "walk", w.midnight().Add(time.Hour), 20*time.Minute, "steps", "900")
			claims = append(claims, c, own)
		}
		w.send(w.judge, claims)
		r := run(t, w.db)
		if !r.Clean() || r.Shared.Total != 1 || len(r.Shared.Shown) != 1 {
			t.Fatalf("found %v and shared ids %+v, want nothing and one", r.Findings, r.Shared)
		}
		if id := r.Shared.Shown[0]; id.Partner != "rides" || id.ID != "one" || len(id.Accounts) != 3 {
			t.Errorf("shared is %+v, want rides, one, 3 accounts", id)
		}
	})
}

// A progress that is asked for goes up to all.
func TestProgress(t *testing.T) {
	w := newWorld(t, storetest.SQLite(t), 2, 4)
	w.day()
	var share float64
	var claims int64
	r, err := audit.Run(context.Background(), w.db, audit.Options{Workers: 1, Progress: func(s float64, c int64) {
		if s < share || c < claims {
			t.Errorf("progress went back from %v, %d to %v, %d", share, claims, s, c)
		}
		share, claims = s, c
	}})
	if err != nil || share != 1 || claims != r.Claims {
		t.Errorf("progress ended at %v, %d claims, want 1, %d: %v", share, claims, r.Claims, err)
	}
}
