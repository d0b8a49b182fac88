package store_test

import (
	"strings"
	"testing"

	"github.com/tanpu/tanpu/store/storetest"
)

// Intake finds the same ids by the index of ids, which knows of claims judged again as little as it does, and what is near
// in time by the key, each on tables that nobody has counted yet.
func TestPlans(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		db := create(t, url, 1)
		identity, spans := db.Plans(t)
		key := "claim_pkey"
		if db.Engine() == "sqlite" {
			key = "USING PRIMARY KEY (part=? AND account=? AND grp=? AND start>? AND start<?)"
		}
		if !strings.Contains(identity, "claim_identity") || strings.Contains(identity, "Seq Scan") {
			t.Errorf("the same ids:\n%s", identity)
		}
		if !strings.Contains(spans, key) || strings.Contains(spans, "Seq Scan") || strings.Contains(spans, "claim_identity") {
			t.Errorf("what is near in time:\n%s", spans)
		}
		t.Logf("\n%s\n%s", identity, spans)
	})
}
