package api

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/tanpu/tanpu/flows/intake"
)

// Metrics is what is counted for Prometheus, in a registry of its own. Give its Written to the intake server.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec // seconds, by route and status
	size     prometheus.Histogram     // claims in a request
	claims   *prometheus.CounterVec   // by reason
	batch    prometheus.Histogram     // claims in a batch
	writing  *prometheus.HistogramVec // seconds of a batch, by outcome
}

// NewMetrics makes metrics in which nothing is counted yet.
func NewMetrics() *Metrics {
	sizes := []float64{1, 10, 50, 100, 250, 500, 1000, 2000, 5000, 10000}
	seconds := []float64{.001, .0025, .005, .01, .025, .05, .1, .15, .25, .5, 1, 2.5, 5, 10, 30}
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tanpu_request_seconds", Help: "Time to answer requests, by route and status.", Buckets: seconds,
		}, []string{"route", "status"}),
		size: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tanpu_request_claims", Help: "Claims in a request.", Buckets: sizes,
		}),
		claims: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tanpu_claims_total", Help: "Claims judged, by reason of the verdict.",
		}, []string{"reason"}),
		batch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "tanpu_batch_claims", Help: "Claims written in one transaction.", Buckets: sizes,
		}),
		writing: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tanpu_batch_seconds", Help: "Time to judge and write a batch, by outcome.", Buckets: seconds,
		}, []string{"outcome"}),
	}
	m.registry.MustRegister(m.requests, m.size, m.claims, m.batch, m.writing,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Written counts a batch; it is for intake.Config.Observe.
func (m *Metrics) Written(w intake.Written) {
	outcome := "written"
	if w.Err != nil {
		outcome = "failed"
	}
	m.writing.WithLabelValues(outcome).Observe(w.Took.Seconds())
	m.batch.Observe(float64(w.Claims))
	byReason := map[string]int{}
	for i := range w.Verdicts {
		byReason[string(w.Verdicts[i].Reason)]++
	}
	for code, n := range byReason {
		m.claims.WithLabelValues(code).Add(float64(n))
	}
}

// load shows how much of the intake's budget is in use.
func (m *Metrics) load(s *intake.Server) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tanpu_intake_claims", Help: "Claims taken and not yet answered."},
			func() float64 { claims, _ := s.Load(); return float64(claims) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tanpu_intake_bytes", Help: "Bytes reserved for requests that are read or answered."},
			func() float64 { _, bytes := s.Load(); return float64(bytes) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tanpu_intake_claims_limit", Help: "Claims taken at most."},
			func() float64 { return float64(s.MaxClaims) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "tanpu_intake_bytes_limit", Help: "Bytes reserved at most."},
			func() float64 { return float64(s.MaxBytes) }),
	)
}

// Handler answers GET /metrics, and belongs at an address that only the operator reaches: while little is reported, what
// is counted from one second to the next is what one person did.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	return mux
}
