// Package api is the way in for programs: partners report what members did and operators link members, read
// accounts and see totals, all as JSON over HTTP. The OpenAPI document is generated from this code and served at
// /openapi.json, with a page to read it at /docs.
//
// Whatever comes in is hostile until it was read: bodies are bounded in size, time and the server's budget of
// memory before they are read, and every error is a problem document (RFC 9457) that says what to mend.
package api

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/flows/erase"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/testimony"
	"github.com/tanpu/tanpu/store"
)

// A Config is what a server needs and how much it lets in. Zero values of the limits are good defaults.
type Config struct {
	DB      *store.DB
	Intake  *intake.Server
	Log     *slog.Logger
	Metrics *Metrics

	Sandbox bool          // take partners' API keys as well; otherwise partners must sign. Zero is for production
	Hosts   []string      // what partners call this server, as they sign it; none: whatever a request says
	Window  time.Duration // how far the time of a signature may be from ours; 0 is 5 minutes

	Unfit     func() error // why nothing may be written to the database now; nil for never
	Witnesses []string     // public keys of those that cosign the log's heads, for receipts

	MaxBody     int64         // bytes of a request with claims, as sent and unpacked; 0 is 8 MiB
	MaxClaims   int           // claims in a request; 0 is 10,000
	BodyTimeout time.Duration // for a request to come whole, and for a response to be taken; 0 is 30 s
}

// A Server answers requests.
type Server struct {
	Config
	desk        *correct.Desk // of corrections
	erasures    *erase.Flow
	draining    atomic.Bool
	testimonies testimony.Keeper
}

// New makes an HTTP server that is ready to serve a listener. Shutdown lets it answer what it took; from then on
// /readyz says that it takes no more.
func New(c Config) *http.Server {
	if c.MaxBody == 0 {
		c.MaxBody = 8 << 20
	}
	if c.MaxClaims == 0 {
		c.MaxClaims = 10_000
	}
	if c.BodyTimeout == 0 {
		c.BodyTimeout = 30 * time.Second
	}
	if c.Window == 0 {
		c.Window = 5 * time.Minute
	}
	if c.Metrics == nil {
		c.Metrics = NewMetrics()
	}
	c.Metrics.load(c.Intake)
	s := &Server{Config: c, desk: correct.New(c.DB), erasures: erase.New(c.DB), testimonies: testimony.Keeper{DB: c.DB}}
	h := &http.Server{
		Handler:           s.observe(s.routes()),
		ReadHeaderTimeout: min(10*time.Second, c.BodyTimeout),
		ReadTimeout:       c.BodyTimeout,
		WriteTimeout:      2 * c.BodyTimeout, // of claims: from when there is something to write
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(c.Log.Handler(), slog.LevelDebug),
	}
	h.RegisterOnShutdown(func() { s.draining.Store(true) })
	return h
}

// routes is the table of all addresses.
func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	var operations []*huma.Operation
	api := humago.New(mux, openAPI(&operations))
	api.UseMiddleware(s.guard)
	schema := func(v any) *huma.Schema { return schemaOf(api, v) }

	mux.HandleFunc("POST /v1/claims", s.takeClaims)
	api.OpenAPI().AddOperation(s.claimsOperation(schema))
	route(api, "POST /v1/corrections", "Retract a claim, or replace it", by(Partner, Operator), s.correctClaim)
	route(api, "POST /v1/rejudgements", "Have refusals judged again that have proved curable", by(Operator), s.rejudge)
	route(api, "POST /v1/erasures", "Erase an account: settle it, destroy its key, and forget all but sums", by(Operator), s.erase)
	route(api, "POST /v1/links", "Link a member to a partner", by(Operator), s.grantLink)
	route(api, "DELETE /v1/links/{sub}", "End a link", by(Operator, Partner), s.revokeLink)
	route(api, "GET /v1/accounts/{id}", "An account's balances", by(Operator), s.account)
	route(api, "GET /v1/accounts/{id}/claims", "An account's claims, the latest first", by(Operator), s.accountClaims)
	route(api, "GET /v1/claims/{ref}/receipt", "The receipt of a claim, to be checked by anybody", by(Operator, Partner), s.receipt)
	route(api, "GET /v1/totals", "Claims and reductions by day", by(Operator), s.totals)
	route(api, "GET /v1/programmes", "The programmes in force", nil, s.programmes)
	route(api, "GET /v1/methodologies", "The methodologies, all versions", nil, s.methodologies)

	mux.HandleFunc("GET /log/checkpoint", s.checkpoint)
	mux.HandleFunc("GET /log/tile/{tile...}", s.tile)
	mux.HandleFunc("GET /logs/{log}/checkpoint", s.checkpoint)
	mux.HandleFunc("GET /logs/{log}/tile/{tile...}", s.tile)

	mux.HandleFunc("GET /healthz", s.healthy)
	mux.HandleFunc("GET /readyz", s.ready)
	document, page := describe(api, operations)
	mux.Handle("GET /openapi.json", document)
	mux.Handle("GET /docs", page)
	mux.HandleFunc("GET /docs.css", style)
	mux.Handle("GET /{$}", http.RedirectHandler("/docs", http.StatusFound))

	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			unrouted(w, r, mux)
			return
		}
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			if err := s.fit(); err != nil {
				fail(w, err)
				return
			}
		}
		mux.ServeHTTP(w, r)
	})
}

// fit returns an error while nothing may be written to the database. Who sealed says in its log what an operator has to do.
func (s *Server) fit() error {
	if s.Unfit == nil || s.Unfit() == nil {
		return nil
	}
	return problem(http.StatusServiceUnavailable, "the database is not the one whose log was signed: nothing is taken until an operator has looked")
}

// healthy says that the process runs.
func (s *Server) healthy(w http.ResponseWriter, r *http.Request) {
	w.Write([]byte("ok\n"))
}

// ready says whether requests should be sent here.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.draining.Load() {
		fail(w, problem(http.StatusServiceUnavailable, "this server is shutting down"))
		return
	}
	if err := s.fit(); err != nil {
		fail(w, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	if err := s.DB.Ping(ctx); err != nil {
		s.Log.Warn("the database does not answer", "error", err)
		fail(w, problem(http.StatusServiceUnavailable, "the database does not answer"))
		return
	}
	w.Write([]byte("ok\n"))
}
