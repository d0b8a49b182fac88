package api

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tanpu/tanpu/rules/fault"
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

// authenticate finds whose key the request carries. The key is looked up by its hash, which the store
// compares in constant time, and is read afresh each time: one that was ended no longer works at once.
func (s *Server) authenticate(ctx context.Context, authorization string) (store.Key, error) {
	scheme, key, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "bearer") {
		return store.Key{}, fault.New(fault.Unauthorized, "send your API key: Authorization: Bearer tp_…")
	}
	if key = strings.TrimSpace(key); !strings.HasPrefix(key, keyPrefix) || len(key) > 100 {
		return store.Key{}, fault.New(fault.Unauthorized, "this is no API key: those begin with %s", keyPrefix)
	}
	k, found, err := s.DB.KeyByHash(ctx, store.HashKey(key), time.Now().UnixMicro())
	if err != nil {
		// The first that a request notices of a database that is down. A partner sends again what got 503.
		p := problem(http.StatusServiceUnavailable, "nothing can be looked up at the moment, and nothing was taken; try again")
		p.cause = fmt.Errorf("looking up a key: %w", err)
		return store.Key{}, p
	}
	if !found {
		return store.Key{}, fault.New(fault.Unauthorized, "this API key is not known or has ended")
	}
	return k, nil
}

// callerKey is where the key of the caller stands in a context.
type callerKey struct{}

// caller returns the key that a request was made with.
func caller(ctx context.Context) store.Key {
	k, _ := ctx.Value(callerKey{}).(store.Key)
	return k
}

// guard lets an operation be carried out only by those who may: its security requirement names the roles.
func (s *Server) guard(ctx huma.Context, next func(huma.Context)) {
	roles := rolesOf(ctx.Operation())
	if len(roles) == 0 {
		next(ctx)
		return
	}
	k, err := s.authenticate(ctx.Context(), ctx.Header("Authorization"))
	if err == nil {
		err = admit(k, roles)
	}
	if err != nil {
		_, w := unwrap(ctx)
		fail(w, err)
		return
	}
	next(huma.WithValue(ctx, callerKey{}, k))
}

func admit(k store.Key, roles []string) error {
	for _, role := range roles {
		if k.Role == role {
			return nil
		}
	}
	return fault.New(fault.Forbidden, "this is for keys of the %s", strings.Join(roles, " or the "))
}

// keyScheme names the one way to authenticate in the OpenAPI document.
const keyScheme = "key"

// by says in an operation who may carry it out.
func by(roles ...string) []map[string][]string {
	return []map[string][]string{{keyScheme: roles}}
}

func rolesOf(op *huma.Operation) []string {
	for _, requirement := range op.Security {
		return requirement[keyScheme]
	}
	return nil
}

// identify is guard for handlers that huma does not serve.
func (s *Server) identify(r *http.Request, roles ...string) (store.Key, error) {
	k, err := s.authenticate(r.Context(), r.Header.Get("Authorization"))
	if err != nil {
		return k, err
	}
	return k, admit(k, roles)
}
