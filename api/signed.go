package api

import (
	"bytes"
	"crypto/sha256"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/signature"
)

// signer finds which partner signed a request. What is signed stands in the headers, so a stranger is turned away
// before the body is read; what the body says is held against it later.
func (s *Server) signer(r *http.Request) (sender, error) {
	signed, err := s.readSignature(r)
	if err != nil {
		return sender{}, err
	}
	k, found, err := s.DB.PartnerKey(r.Context(), signed.KeyID)
	if err != nil {
		return sender{}, lookupProblem(err)
	}
	if !found {
		return sender{}, signature.Refuse(signature.UnknownKey, "no key %s is registered", quote(signed.KeyID))
	}
	if k.Revoked != 0 { // by whatever clock: it is at once
		return sender{}, signature.Refuse(signature.RevokedKey, "key %s was revoked at %s", k.ID, instantText(k.Revoked))
	}
	if err := signed.Verify(k.Public); err != nil {
		return sender{}, err
	}
	return sender{Role: Partner, Partner: k.Partner, signed: signed}, nil
}

// readSignature reads what a request says of its signature, and holds it against the request and the clock.
func (s *Server) readSignature(r *http.Request) (*signature.Signed, error) {
	if r.Header.Get("Authorization") != "" {
		return nil, signature.Refuse(signature.Malformed, "send a signature or an API key, not both")
	}
	input, err := oneHeader(r, signature.InputHeader)
	if err != nil {
		return nil, err
	}
	value, err := oneHeader(r, signature.SignatureHeader)
	if err != nil {
		return nil, err
	}
	what, err := s.signable(r)
	if err != nil {
		return nil, err
	}
	signed, err := signature.Read(what, input, value)
	if err != nil {
		return nil, err
	}
	if len(s.Hosts) > 0 && !slices.Contains(s.Hosts, what.Authority) {
		return nil, signature.Refuse(signature.WrongHost, "this request is for %s, and this is %s", quote(what.Authority), strings.Join(s.Hosts, " or "))
	}
	return signed, signed.Timely(time.Now(), s.Window)
}

// signable is what of a request is signed.
func (s *Server) signable(r *http.Request) (*signature.Request, error) {
	what := &signature.Request{Method: r.Method, Authority: signature.Host(r.Host), Path: r.URL.EscapedPath(), Query: r.URL.RawQuery}
	if r.Header[signature.RootHeader] == nil {
		if reportsClaims(r) {
			return nil, signature.Refuse(signature.NotCovered, "%s is missing: the Merkle root of what the claims say", signature.RootHeader)
		}
		return what, nil
	}
	var err error
	if what.Root, err = oneHeader(r, signature.RootHeader); err != nil {
		return nil, err
	}
	_, err = signature.ParseRoot(what.Root)
	return what, err
}

// reportsClaims tells the one route whose body counts.
func reportsClaims(r *http.Request) bool { return r.Pattern == "POST /v1/claims" }

// oneHeader is the value of a header that a request has once.
func oneHeader(r *http.Request, name string) (string, error) {
	values := r.Header[name]
	if len(values) != 1 {
		return "", signature.Refuse(signature.Malformed, "want the header %s once, got it %d times", name, len(values))
	}
	return values[0], nil
}

// signedClaims holds claims against the root that was signed: they are what the partner said, all of it, in its order.
func signedClaims(r *http.Request, claims []claim.Claim) (salt [32]byte, leaves []ledger.Hash, err error) {
	want, err := signature.ParseRoot(r.Header.Get(signature.RootHeader))
	if err != nil {
		return salt, nil, err
	}
	value, err := oneHeader(r, signature.SaltHeader)
	if err != nil {
		return salt, nil, err
	}
	if salt, err = signature.ParseSalt(value); err != nil {
		return salt, nil, err
	}
	leaves = claim.SaidLeaves(claims, salt)
	if got := ledger.Root(leaves); got != want {
		return salt, nil, signature.Refuse(signature.RootDiffers, "the root of these %d claims is %s, and %s was signed: docs/partners.md has vectors to find out where you differ",
			len(claims), signature.FormatRoot(got), signature.FormatRoot(want))
	}
	return salt, leaves, nil
}

// signedBody holds a body that is no claims against the root that was signed, which then is SHA-256 of its bytes,
// and leaves it to be read again.
func signedBody(w http.ResponseWriter, r *http.Request) error {
	if r.Header[signature.RootHeader] == nil {
		return signature.Refuse(signature.NotCovered, "this request has a body, which the signature does not cover: sign %s with SHA-256 of the body", signature.RootHeader)
	}
	want, err := signature.ParseRoot(r.Header.Get(signature.RootHeader))
	if err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDocument))
	if err != nil {
		return fault.New(fault.TooLarge, "the body cannot be read whole, or has more than %d bytes", maxDocument)
	}
	if got := ledger.Hash(sha256.Sum256(body)); got != want {
		return signature.Refuse(signature.RootDiffers, "SHA-256 of the body is %s, and %s was signed", signature.FormatRoot(got), signature.FormatRoot(want))
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

// signedHeaders describes the headers of a signed request with claims.
func signedHeaders() []*huma.Param {
	header := func(name, description, example string) *huma.Param {
		return &huma.Param{Name: name, In: "header", Description: description, Example: example, Schema: &huma.Schema{Type: huma.TypeString}}
	}
	return []*huma.Param{
		header(signature.InputHeader, "What is signed (RFC 9421), once, with created (seconds since 1970, within 5 minutes of the server's clock) and keyid (the thumbprint of the key, RFC 7638)",
			`tanpu=("@method" "@authority" "@path" "tanpu-claims-root");created=1787270400;keyid="kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k";alg="ed25519"`),
		header(signature.SignatureHeader, "The Ed25519 signature over that, in base64 between colons", "tanpu=:…:"),
		header(signature.RootHeader, "The Merkle root (RFC 6962) over the leaves of the claims, in their order: SHA-256 of 0 ‖ salt ‖ canonical text", "sha-256=:…:"),
		header(signature.SaltHeader, "32 random bytes, others for every request, in base64 between colons: the salt of the i-th leaf is the HMAC-SHA-256 of i, in 4 bytes, under it", ":…:"),
	}
}
