package claim

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/tanpu/tanpu/rules/ledger"
)

// Said is the canonical text of what a partner said of an act: one JSON object, its keys in this order, absent
// texts left out. The leaf of a recorded claim holds the same text.
func Said(b []byte, c *Claim) []byte {
	return append(appendBody(appendSaid(b, c), c), '}')
}

// appendSaid writes all of it but the body and what closes it.
func appendSaid(b []byte, c *Claim) []byte {
	b = append(b, '{')
	b = appendField(b, "partner", c.Partner)
	b = appendField(b, "id", c.ID)
	b = appendField(b, "sub", c.Sub)
	b = appendField(b, "scenario", c.Scenario)
	b = appendInt(b, "start", c.Start)
	b = appendInt(b, "end", c.End)
	return appendName(b, "body")
}

// SaidSalt salts what was said in the i-th claim of a request, counted from 0: HMAC-SHA-256 of i, as four bytes,
// under the request's own salt. A receipt shows the salt of one claim only, so that nobody can try out what the
// others were, whose hashes stand on its path.
func SaidSalt(request [32]byte, i int) [sha256.Size]byte {
	var message [4]byte
	binary.BigEndian.PutUint32(message[:], uint32(i))
	return mac(&request, message[:])
}

// SaidLeaf is the Merkle leaf over what a partner said: H(0 ‖ salt ‖ text).
func SaidLeaf(c *Claim, salt [32]byte) ledger.Hash {
	h, _ := saidLeaf(nil, c, salt)
	return h
}

// SaidLeaves are the leaves of a request's claims, in their order; the partner signs their root.
func SaidLeaves(claims []Claim, request [32]byte) []ledger.Hash {
	leaves := make([]ledger.Hash, len(claims))
	b := make([]byte, 0, 1024)
	for i := range claims {
		leaves[i], b = saidLeaf(b[:0], &claims[i], SaidSalt(request, i))
	}
	return leaves
}

func saidLeaf(b []byte, c *Claim, salt [32]byte) (ledger.Hash, []byte) {
	b = Said(append(append(b, 0), salt[:]...), c)
	return sha256.Sum256(b), b
}
