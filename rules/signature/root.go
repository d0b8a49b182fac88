package signature

import (
	"strings"

	"github.com/tanpu/tanpu/rules/ledger"
)

// FormatRoot is the value of RootHeader: like a Content-Digest (RFC 9530), but of what is said and not of how.
func FormatRoot(root ledger.Hash) string { return "sha-256=" + binary(root[:]) }

// ParseRoot reads what FormatRoot wrote.
func ParseRoot(value string) (root ledger.Hash, err error) {
	rest, ok := strings.CutPrefix(value, "sha-256=")
	b, read := parseBinary(rest, len(root))
	if !ok || !read {
		return root, Refuse(Malformed, "%s: want the Merkle root of the claims as sha-256=:…:, its 32 bytes in base64 between colons", RootHeader)
	}
	return ledger.Hash(b), nil
}

// FormatSalt is the value of SaltHeader.
func FormatSalt(salt [32]byte) string { return binary(salt[:]) }

// ParseSalt reads what FormatSalt wrote.
func ParseSalt(value string) (salt [32]byte, err error) {
	b, ok := parseBinary(value, len(salt))
	if !ok {
		return salt, Refuse(Malformed, "%s: want 32 random bytes, others for every request, in base64 between colons", SaltHeader)
	}
	return [32]byte(b), nil
}
