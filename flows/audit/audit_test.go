package audit_test

import (
	"context"
	"testing"

	"github.com/tanpu/tanpu/flows/audit"
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
		recorded := 0
		for code, n := range w.seen {
			if code.Recorded() {
				recorded += n
			}
		}
		if r.Claims != int64(recorded) || r.Accounts != int64(len(w.members)) || r.Keyless != 0 {
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
		if w.trimmed == 0 {
			t.Error("no claim was trimmed, so that it was not tried")
		}
	})
}
