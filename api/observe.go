package api

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"
)

// observe answers requests with next and notes for each one log line and its time. Neither says whom it was
// about: the route is that of the table, not the path.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begin := time.Now()
		rec := &record{ResponseWriter: w, reference: newReference()}
		r = r.WithContext(context.WithValue(r.Context(), recordKey{}, rec))
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		defer func() {
			if p := recover(); p != nil {
				s.recovered(rec, p)
			}
			s.note(rec, r, time.Since(begin))
		}()
		next.ServeHTTP(rec, r)
	})
}

// recovered answers a request whose handler broke.
func (s *Server) recovered(rec *record, p any) {
	if p == http.ErrAbortHandler {
		panic(p)
	}
	s.Log.Error("handler panicked", "reference", rec.reference, "panic", p, "stack", string(debug.Stack()))
	if rec.status == 0 {
		fail(rec, errors.New("the handler panicked"))
	}
}

func (s *Server) note(rec *record, r *http.Request, took time.Duration) {
	route := r.Pattern
	if route == "" {
		route = "none"
	}
	status := max(rec.status, http.StatusOK)
	s.Metrics.requests.WithLabelValues(route, strconv.Itoa(status)).Observe(took.Seconds())
	level := slog.LevelInfo
	attributes := []slog.Attr{
		slog.String("route", route), slog.Int("status", status), slog.Duration("took", took), slog.String("reference", rec.reference),
	}
	if rec.claims > 0 {
		attributes = append(attributes, slog.Int("claims", rec.claims))
	}
	if rec.partner != "" {
		attributes = append(attributes, slog.String("partner", rec.partner))
	}
	if rec.cause != nil {
		level = slog.LevelError
		attributes = append(attributes, slog.Any("error", rec.cause))
	}
	s.Log.LogAttrs(r.Context(), level, "request", attributes...)
}

func newReference() string {
	var b [8]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// A record is the response to one request and what is to be noted about it.
type record struct {
	http.ResponseWriter
	reference string
	status    int
	cause     error // of an internal error
	claims    int
	partner   string
}

type recordKey struct{}

func recordOf(ctx context.Context) *record {
	if rec, ok := ctx.Value(recordKey{}).(*record); ok {
		return rec
	}
	return &record{}
}

func (r *record) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *record) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	return r.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (r *record) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// keep notes why a request failed, and gives the problem the reference under which it is found.
func (r *record) keep(p *Problem) {
	if p.cause != nil {
		r.cause = p.cause
		p.Reference = r.reference
	}
}
