package audit_test

import (
	"context"
	"os"
	"strconv"
	"testing"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/store/storetest"
)

// BenchmarkAudit audits a database of half a million claims, or of as many as TANPU_AUDIT_CLAIMS says:
//
//	scripts/postgres run go test ./flows/audit -run - -bench Audit -benchtime 1x
func BenchmarkAudit(b *testing.B) {
	claims := 500_000
	if n, err := strconv.Atoi(os.Getenv("TANPU_AUDIT_CLAIMS")); err == nil {
		claims = n
	}
	for engine, url := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(engine, func(b *testing.B) {
			w := newWorld(b, url(b), 16, 10)
			w.crowd(claims / 25)
			w.most = 2000
			for w.recorded() < int64(claims) {
				w.day()
			}
			b.ResetTimer()
			for range b.N {
				r, err := audit.Run(context.Background(), w.db, audit.Options{})
				if err != nil || !r.Clean() {
					b.Fatal(err, r)
				}
				b.ReportMetric(float64(r.Claims)/r.Seconds, "claims/s")
				b.ReportMetric(float64(r.Claims), "claims")
			}
		})
	}
}
