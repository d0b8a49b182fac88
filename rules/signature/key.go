package signature

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"strings"

	"github.com/tanpu/tanpu/rules/fault"
)

// KeyID names a public key: its JWK thumbprint (RFC 7638, RFC 8037 appendix A.3). It follows from the key alone, so
// that one key can never go by two names, or one name by two keys, and libraries of other languages make the same.
func KeyID(public ed25519.PublicKey) string {
	x := base64.RawURLEncoding.EncodeToString(public)
	sum := sha256.Sum256([]byte(`{"crv":"Ed25519","kty":"OKP","x":"` + x + `"}`))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// maxKey bounds the text of a key: PEM may bring lines of its own.
const maxKey = 4096

// ParsePublic reads a public key as openssl writes it: PEM, or only what stands between its lines.
func ParsePublic(text string) (ed25519.PublicKey, error) {
	text = strings.TrimSpace(text)
	if len(text) > maxKey {
		return nil, fault.New(fault.Invalid, "this is too long for a public key")
	}
	var der []byte
	if block, rest := pem.Decode([]byte(text)); block != nil && block.Type == "PUBLIC KEY" && len(rest) == 0 {
		der = block.Bytes
	} else if b, err := base64.StdEncoding.Strict().DecodeString(text); err == nil {
		der = b
	}
	parsed, err := x509.ParsePKIXPublicKey(der)
	public, ok := parsed.(ed25519.PublicKey)
	if err != nil || !ok {
		return nil, fault.New(fault.Invalid, "this is no Ed25519 public key: want what openssl pkey -pubout writes, or its one line that begins with MCowBQYDK2VwAyEA")
	}
	if weak(public) {
		return nil, fault.New(fault.Invalid, "with this public key anybody can sign: make another")
	}
	return public, nil
}

// FormatPublic is the one line that ParsePublic reads.
func FormatPublic(public ed25519.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		panic(err) // a key of this type can be written
	}
	return base64.StdEncoding.EncodeToString(der)
}

// weak finds the few public keys for which signatures can be made without a private one, so that a partner could
// later say that anybody else had signed: points of small order (RFC 8032 §8 leaves them to the caller). For such a
// key the signature of identity and zero fits one message in eight, and for any other key none.
func weak(public ed25519.PublicKey) bool {
	identity := make([]byte, ed25519.SignatureSize)
	identity[0] = 1
	for i := range 256 {
		if ed25519.Verify(public, []byte{byte(i)}, identity) {
			return true
		}
	}
	return false
}
