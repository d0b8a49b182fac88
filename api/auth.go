package api

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/signature"
	"github.com/tanpu/tanpu/store"
)

// keyPrefix lets people, and the scanners that look for secrets in source code, see what a key is.
const keyPrefix = "tp_"

// NewKey makes an API key of 256 random bits. It is shown once; what is kept is store.HashKey of it.
func NewKey() string {
	b := make([]byte, 32)
	rand.Read(b)
	return keyPrefix + base64.RawURLEncoding.EncodeToString(b)
}

// Roles that a key can have.
const (
	Operator = "operator"
	Partner  = "partner"
)

// A sender is who made a request.
type sender struct {
	Role    string
	Partner string            // for role partner
	signed  *signature.Signed // nil where an API key was shown
}

// authenticate finds who made the request: by its signature, or else by its API key. Keys of both kinds are read afresh
// each time: one that was ended no longer works at once.
func (s *Server) authenticate(r *http.Request) (sender, error) {
	if r.Header[signature.InputHeader] != nil || r.Header[signature.SignatureHeader] != nil {
		return s.signer(r)
	}
	k, err := s.bearer(r.Context(), r.Header.Get("Authorization"))
	if err != nil {
		return sender{}, err
	}
	if k.Role == Partner && !s.Sandbox {
		return sender{}, signature.Refuse(signature.Unsigned, "partners sign their requests here, with %s and %s; a partner's API key is for sandboxes",
			signature.InputHeader, signature.SignatureHeader)
	}
	return sender{Role: k.Role, Partner: k.Partner}, nil
}

// bearer finds whose API key the request carries. It is looked up by its hash, which the store compares in constant time.
func (s *Server) bearer(ctx context.Context, authorization string) (store.Key, error) {
	scheme, key, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "bearer") {
		return store.Key{}, s.unauthenticated()
	}
	if key = strings.TrimSpace(key); !strings.HasPrefix(key, keyPrefix) || len(key) > 100 {
		return store.Key{}, fault.New(fault.Unauthorized, "this is no API key: those begin with %s", keyPrefix)
	}
	k, found, err := s.DB.KeyByHash(ctx, store.HashKey(key), time.Now().UnixMicro())
	if err != nil {
		return store.Key{}, lookupProblem(err)
	}
	if !found {
		return store.Key{}, fault.New(fault.Unauthorized, "this API key is not known or has ended")
	}
	return k, nil
}

func (s *Server) unauthenticated() error {
	if s.Sandbox {
		return fault.New(fault.Unauthorized, "send your API key: Authorization: Bearer tp_…")
	}
	return signature.Refuse(signature.Unsigned, "partners sign their requests, with %s and %s (docs/partners.md); operators send their API key: Authorization: Bearer tp_…",
		signature.InputHeader, signature.SignatureHeader)
}

// lookupProblem is the first that a request notices of a database that is down. A partner sends again what got 503.
func lookupProblem(err error) error {
	p := problem(http.StatusServiceUnavailable, "nothing can be looked up at the moment, and nothing was taken; try again")
	p.cause = fmt.Errorf("looking up a key: %w", err)
	return p
}

// callerKey is where the sender of a request stands in a context.
type callerKey struct{}

// caller returns who made a request.
func caller(ctx context.Context) sender {
	from, _ := ctx.Value(callerKey{}).(sender)
	return from
}

// guard lets an operation be carried out only by those who may: its security requirement names the roles.
func (s *Server) guard(ctx huma.Context, next func(huma.Context)) {
	roles := rolesOf(ctx.Operation())
	if len(roles) == 0 {
		next(ctx)
		return
	}
	r, w := unwrap(ctx)
	from, err := s.identify(r, roles...)
	if err == nil && from.signed != nil && r.ContentLength != 0 {
		err = signedBody(w, r)
	}
	if err != nil {
		fail(w, err)
		return
	}
	next(huma.WithValue(ctx, callerKey{}, from))
}

// The ways to authenticate, as the OpenAPI document names them.
const (
	keyScheme       = "key"
	signatureScheme = "signature"
)

// by says in an operation who may carry it out.
func by(roles ...string) []map[string][]string {
	who := []map[string][]string{{keyScheme: roles}}
	if slices.Contains(roles, Partner) {
		who = append(who, map[string][]string{signatureScheme: {Partner}})
	}
	return who
}

func rolesOf(op *huma.Operation) []string {
	for _, requirement := range op.Security {
		return requirement[keyScheme]
	}
	return nil
}

// identify finds who made a request, if that role may make it.
func (s *Server) identify(r *http.Request, roles ...string) (sender, error) {
	from, err := s.authenticate(r)
	if err == nil && !slices.Contains(roles, from.Role) {
		err = fault.New(fault.Forbidden, "this is for keys of the %s", strings.Join(roles, " or the "))
	}
	return from, err
}
