package api

import "github.com/tanpu/tanpu/rules/claim"

// ReadEvents reads CloudEvents that stand one after another, as POST /v1/claims would, and at most limit of them. It is
// for those who must know what a server will understand before they sign it.
func ReadEvents(text []byte, limit int) ([]claim.Claim, error) {
	return decodeClaims(text, lines, limit)
}
