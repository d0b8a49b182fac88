// Package signature is the small part of HTTP Message Signatures (RFC 9421) by which partners sign their requests.
//
// What is signed is a text of a few lines, the signature base: method, host and path of the request, and, where it
// reports claims, the Merkle root over what it says of them (claim.SaidLeaves), which a header carries. So the server
// can check who sends before it reads the body, nobody need keep a body to show later who said what, and one claim
// can be shown to have been signed without showing another.
//
//	"@method": POST
//	"@authority": tanpu.example.org
//	"@path": /v1/claims
//	"tanpu-claims-root": sha-256=:bUFZ…dA0=:
//	"@signature-params": ("@method" "@authority" "@path" "tanpu-claims-root");created=1787270400;keyid="kPrK…";alg="ed25519"
//
// Everything outside this profile is refused, though the RFC may allow it: other components, parameters of components,
// several signatures, other algorithms. The path and not @target-uri is signed because a server behind a proxy that
// ends TLS cannot know the scheme; the host, because a request to one server must not be good at another.
package signature

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"strconv"
	"strings"
	"time"
)

// The headers of the profile, by their canonical names.
const (
	InputHeader     = "Signature-Input"
	SignatureHeader = "Signature"
	RootHeader      = "Tanpu-Claims-Root" // the signed root of the claims
	SaltHeader      = "Tanpu-Claims-Salt" // what salts their leaves; the root binds it
)

// The components that can be covered.
const (
	Method    = "@method"
	Authority = "@authority"
	Path      = "@path"
	Query     = "@query"
	Root      = "tanpu-claims-root"
)

// A Request is what of a request can be covered.
type Request struct {
	Method    string
	Authority string // as Host normalises it
	Path      string // as it was sent, with its escapes
	Query     string // what stands after the question mark
	Root      string // the value of RootHeader; "" for a request without claims
}

// value is that of a component in the signature base (RFC 9421 §2.2).
func (r *Request) value(component string) (string, bool) {
	switch component {
	case Method:
		return r.Method, true
	case Authority:
		return r.Authority, true
	case Path:
		if r.Path == "" {
			return "/", true
		}
		return r.Path, true
	case Query:
		return "?" + r.Query, true
	case Root:
		return r.Root, r.Root != ""
	}
	return "", false
}

// needed lists what must be covered: nothing of the request that decides what is done may be left open.
func (r *Request) needed() []string {
	list := []string{Method, Authority, Path}
	if r.Query != "" {
		list = append(list, Query)
	}
	if r.Root != "" {
		list = append(list, Root)
	}
	return list
}

// Host normalises the host that a request names (RFC 9421 §2.2.3): in lower case, and without the port that goes
// without saying. Both such ports are left out, because a server behind a proxy does not know which it is.
func Host(host string) string {
	host = strings.ToLower(host)
	if h, ok := strings.CutSuffix(host, ":443"); ok {
		return h
	}
	return strings.TrimSuffix(host, ":80")
}

// An Input says what a signature covers, and how it was made (RFC 9421 §2.3).
type Input struct {
	Covered []string // components, in the order of the signature base
	Created int64    // seconds since 1970-01-01 UTC
	Expires int64    // the same; 0 for never
	KeyID   string
	Alg     string // "" or ed25519
	Nonce   string

	text string // the inner list with its parameters, as it is signed
}

// String is the input as it stands in a header, without the label.
func (in *Input) String() string { return in.text }

// base is the text that is signed (RFC 9421 §2.5). It reports the first component that has no value, or one that
// could be taken for several lines or is not ASCII, which JSON or a database would not keep as it was signed.
func (in *Input) base(value func(component string) (string, bool)) (base []byte, missing string) {
	for _, c := range in.Covered {
		v, ok := value(c)
		if !ok || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, c
		}
		base = append(append(append(append(base, '"'), c...), `": `...), v...)
		base = append(base, '\n')
	}
	return append(append(base, `"@signature-params": `...), in.text...), ""
}

// A Signed request carries a signature that can be read and covers what it must. Whether it is that of the key it
// names is for Verify to say.
type Signed struct {
	Input
	Base      []byte // the text that was signed
	Signature []byte
}

// Sign signs a request at an instant, in seconds since 1970-01-01 UTC, and returns the values of the two headers.
func Sign(key ed25519.PrivateKey, r *Request, created int64) (input, signature string) {
	in := Input{Covered: r.needed(), Created: created, KeyID: KeyID(key.Public().(ed25519.PublicKey)), Alg: algorithm}
	in.text = in.write()
	base, _ := in.base(r.value) // which has what it needs
	return label + "=" + in.text, label + "=" + binary(ed25519.Sign(key, base))
}

const (
	label     = "tanpu"
	algorithm = "ed25519"
)

// write is the one form of an input that we send.
func (in *Input) write() string {
	b := []byte{'('}
	for i, c := range in.Covered {
		if i > 0 {
			b = append(b, ' ')
		}
		b = append(append(append(b, '"'), c...), '"')
	}
	b = strconv.AppendInt(append(b, ");created="...), in.Created, 10)
	b = append(append(append(b, `;keyid="`...), in.KeyID...), '"')
	return string(append(append(append(b, `;alg="`...), in.Alg...), '"'))
}

// binary writes a byte sequence of RFC 8941.
func binary(b []byte) string { return ":" + base64.StdEncoding.EncodeToString(b) + ":" }

// Read reads the two headers of a request and holds them against what it must cover.
func Read(r *Request, input, signature string) (*Signed, error) {
	name, in, err := parseInput(input)
	if err != nil {
		return nil, err
	}
	s := &Signed{Input: *in}
	if s.Signature, err = parseSignature(signature, name); err != nil {
		return nil, err
	}
	if err := in.covers(r); err != nil {
		return nil, err
	}
	base, missing := in.base(r.value)
	if missing != "" {
		return nil, Refuse(Malformed, "what the request has for %q cannot be signed", missing)
	}
	if len(base) > maxBase {
		return nil, Refuse(Malformed, "what was signed has %d bytes, more than %d", len(base), maxBase)
	}
	s.Base = base
	return s, nil
}

// covers holds the covered components against those that must and may be.
func (in *Input) covers(r *Request) error {
	has := map[string]bool{}
	for _, c := range in.Covered {
		if _, known := r.value(c); !known && c == Root {
			return Refuse(NotCovered, "the signature covers %s, and the request has no header %s", Root, RootHeader)
		} else if !known {
			return Refuse(NotCovered, "the signature covers %q, which is not checked here: cover %s", c, quoted(r.needed()))
		}
		has[c] = true
	}
	for _, c := range r.needed() {
		if !has[c] {
			return Refuse(NotCovered, "the signature does not cover %q: cover %s", c, quoted(r.needed()))
		}
	}
	return nil
}

func quoted(list []string) string { return `"` + strings.Join(list, `" "`) + `"` }

// Timely holds the instant of a signature against the server's clock: a captured request is of use to nobody for
// long, and what it reports it cannot report twice.
func (in *Input) Timely(now time.Time, window time.Duration) error {
	created := time.Unix(in.Created, 0)
	if off := now.Sub(created); off.Abs() > window {
		return Refuse(OutsideWindow, "the signature was created at %s, and it is %s here: sign again, with a clock that is right to %s",
			created.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339), window)
	}
	if in.Expires != 0 && now.Unix() >= in.Expires {
		return Refuse(OutsideWindow, "the signature has expired: sign again")
	}
	return nil
}

// Verify checks that the holder of the key signed the base.
func (s *Signed) Verify(public ed25519.PublicKey) error {
	if len(public) != ed25519.PublicKeySize || !ed25519.Verify(public, s.Base, s.Signature) {
		return Refuse(BadSignature, "the signature is not that of key %s over these lines: %s", s.KeyID, bytes.ReplaceAll(s.Base, []byte("\n"), []byte(" ⏎ ")))
	}
	return nil
}
