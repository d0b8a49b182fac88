package claim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"strings"

	"github.com/tanpu/tanpu/rules/ledger"
)

// LinkLeaf is the canonical text of a link that was granted or ended at an instant, without the salt.
func LinkLeaf(l *Link, at Micros, ended bool) []byte {
	b := append(make([]byte, 0, 256), `{"link":{`...)
	b = appendField(b, "sub", l.Sub)
	b = appendField(b, "programme", l.Programme)
	b = appendField(b, "partner", l.Partner)
	b = appendField(b, "scenarios", strings.Join(l.Scenarios, " "))
	b = appendField(b, "purposes", strings.Join(l.Purposes, " "))
	b = appendInt(b, "since", l.Since)
	b = append(b, '}')
	event := "granted"
	if ended {
		event = "ended"
	}
	b = appendInt(b, event, at)
	return append(b, '}')
}

// LinkSalt keeps a link's leaf from being guessed; it is made as Salt is, and never the same.
func LinkSalt(key [32]byte, link int, ended bool) (salt [sha256.Size]byte) {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte("link"))
	mac.Write(binary.BigEndian.AppendUint32(nil, uint32(link)))
	if ended {
		mac.Write([]byte("ended"))
	}
	mac.Sum(salt[:0])
	return salt
}

// LinkLeafHash is the Merkle leaf of a link that was granted or ended: H(0 ‖ salt ‖ leaf).
func LinkLeafHash(l *Link, at Micros, ended bool) ledger.Hash {
	salt := LinkSalt(l.Key, l.Number, ended)
	return ledger.LeafHash(salt[:], LinkLeaf(l, at, ended))
}
