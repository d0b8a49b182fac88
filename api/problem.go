package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/signature"
)

// statuses is the one table from whose move it is to the HTTP status. An error without a kind is ours: 500.
var statuses = map[fault.Kind]int{
	fault.Invalid:      http.StatusBadRequest,
	fault.Unfit:        http.StatusUnprocessableEntity,
	fault.Unauthorized: http.StatusUnauthorized,
	fault.Forbidden:    http.StatusForbidden,
	fault.NotFound:     http.StatusNotFound,
	fault.Gone:         http.StatusGone,
	fault.Conflict:     http.StatusConflict,
	fault.TooLarge:     http.StatusRequestEntityTooLarge,
	fault.Busy:         http.StatusTooManyRequests,
	fault.Unavailable:  http.StatusServiceUnavailable,
}

// retryAfter is what those are told who came when nothing could be done: the budget empties within a second.
const retryAfter = "1"

// A Problem is how every error is answered (RFC 9457, application/problem+json).
type Problem struct {
	Title     string   `json:"title" doc:"The status in words"`
	Status    int      `json:"status" doc:"The HTTP status"`
	Detail    string   `json:"detail,omitempty" doc:"What is wrong, for a person"`
	Reason    string   `json:"reason,omitempty" doc:"For 401: why the signature does not stand, one of a closed list"`
	Event     *int     `json:"event,omitempty" doc:"Which event of the request is meant, from 0"`
	Pointer   string   `json:"pointer,omitempty" doc:"Where in that event (JSON Pointer, RFC 6901)"`
	Errors    []Detail `json:"errors,omitempty" doc:"Each thing that is wrong with the parameters or the body"`
	Reference string   `json:"reference,omitempty" doc:"Names this request to the operator, who finds it in the logs"`

	cause error
}

// A Detail says what is wrong with one part of a request.
type Detail struct {
	Detail   string `json:"detail"`
	Location string `json:"location,omitempty" doc:"Such as query.limit or body.purposes[0]"`
}

func (p *Problem) Error() string             { return p.Detail }
func (p *Problem) GetStatus() int            { return p.Status }
func (p *Problem) ContentType(string) string { return "application/problem+json" }
func (p *Problem) Unwrap() error             { return p.cause }

// GetHeaders is how huma learns of headers that belong to an error.
func (p *Problem) GetHeaders() http.Header {
	h := http.Header{}
	switch p.Status {
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", retryAfter)
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="tanpu"`)
	}
	return h
}

// problem puts a status that HTTP itself gives rise to into words.
func problem(status int, format string, args ...any) *Problem {
	return &Problem{Title: http.StatusText(status), Status: status, Detail: fmt.Sprintf(format, args...)}
}

// problemOf answers an error. One that is not marked tells nobody outside what went wrong within.
func problemOf(err error) *Problem {
	var p *Problem
	if errors.As(err, &p) {
		return p
	}
	status, known := statuses[fault.KindOf(err)]
	if !known {
		p = problem(http.StatusInternalServerError, "internal error")
		p.cause = err
		return p
	}
	p = problem(status, "%s", err)
	var refusal *signature.Refusal
	if errors.As(err, &refusal) {
		p.Reason = string(refusal.Reason)
	}
	var e *EventError
	if errors.As(err, &e) {
		p.Detail, p.Event, p.Pointer = e.Err.Error(), &e.Event, e.Pointer
	}
	return p
}

// ours turns huma's own errors, which are about parameters and bodies, into problems of our form.
// What was sent is not echoed.
func ours(_ huma.Context, _ string, v any) (any, error) {
	m, ok := v.(*huma.ErrorModel)
	if !ok {
		return v, nil
	}
	p := problem(m.Status, "%s", shorten(m.Detail, 300))
	for _, e := range m.Errors {
		if len(p.Errors) == 20 {
			break
		}
		p.Errors = append(p.Errors, Detail{shorten(e.Message, 300), shorten(e.Location, 300)})
	}
	return p, nil
}

// fail answers a request with a problem.
func fail(w http.ResponseWriter, err error) {
	p := problemOf(err)
	if rec, ok := w.(*record); ok {
		rec.keep(p)
	}
	for name, values := range p.GetHeaders() {
		w.Header()[name] = values
	}
	w.Header().Set("Content-Type", p.ContentType(""))
	w.WriteHeader(p.Status)
	json.NewEncoder(w).Encode(p)
}

// unrouted answers what no route takes as the multiplexer would, but with a problem.
func unrouted(w http.ResponseWriter, r *http.Request, mux http.Handler) {
	var probe probe
	mux.ServeHTTP(&probe, r)
	switch probe.status {
	case http.StatusMethodNotAllowed:
		w.Header().Set("Allow", probe.header.Get("Allow"))
		fail(w, problem(probe.status, "%s is not possible here: try %s", shorten(r.Method, 20), strings.ReplaceAll(probe.header.Get("Allow"), ", HEAD", "")))
	case http.StatusNotFound:
		fail(w, problem(probe.status, "there is nothing at this address; /docs lists what there is"))
	default: // a path that is not in its clean form is redirected to that
		w.Header().Set("Location", probe.header.Get("Location"))
		w.WriteHeader(probe.status)
	}
}

// A probe takes a response's status and header and drops the rest.
type probe struct {
	header http.Header
	status int
}

func (p *probe) Header() http.Header {
	if p.header == nil {
		p.header = http.Header{}
	}
	return p.header
}

func (p *probe) Write(b []byte) (int, error) { return len(b), nil }
func (p *probe) WriteHeader(status int)      { p.status = status }
