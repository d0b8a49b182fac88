package claim

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strconv"

	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
)

// Body is the canonical text of what a claim says besides who, what and when: one JSON object, keys in
// order, absent ones left out, strings escaped as in RFC 8785. Two claims with the same identity,
// scenario, times and body are the same claim.
func Body(c *Claim) string { return string(appendBody(make([]byte, 0, 96), c)) }

func appendBody(b []byte, c *Claim) []byte {
	b = append(b, '{')
	b = appendField(b, "act", c.Act)
	b = appendField(b, "commitment", c.Commitment)
	b = appendField(b, "evidence", c.Evidence)
	b = appendField(b, "object", c.Object)
	if len(c.Quantities) > 0 {
		b = append(comma(b), `"quantities":{`...)
		for i := range c.Quantities {
			q := &c.Quantities[i] // even one without text: it was reported, and the verdict depends on its name
			b = appendString(append(appendString(comma(b), q.Name), ':'), q.Text)
		}
		b = append(b, '}')
	}
	b = appendField(b, "region", c.Region)
	return append(b, '}')
}

// Leaf is the canonical text of a recorded claim and its outcome, without the salt. What only the member may
// see of it stands there as a hash, private; zero where there is nothing of the kind. See Private.
func Leaf(b []byte, r *Row, private ledger.Hash) []byte {
	c, v := r.Claim, &r.Verdict
	b = append(b, `{"claim":`...)
	b = append(appendSaid(b, c), r.Body...)
	b = append(b, `},"verdict":{`...)
	b = appendField(b, "reason", string(v.Reason))
	b = appendField(b, "programme", r.Programme)
	b = appendField(b, "method", v.Method)
	if r.Method != nil {
		b = append(hex.AppendEncode(append(comma(b), `"method_sha256":"`...), r.Method.Hash[:]), '"')
	}
	b = appendInt(b, "reduction_mg", v.Milligrams)
	b = appendInt(b, "points_thousandths", v.Points)
	b = appendInt(b, "holder", holderCode(r.Holder))
	open := v.Operands
	open.Other = ""
	b = appendOperands(b, &open)
	if private != (ledger.Hash{}) {
		b = append(hex.AppendEncode(append(comma(b), `"private":"`...), private[:]), '"')
	}
	return append(appendAgain(append(b, '}'), r.Again), '}')
}

// Private is the canonical text of what only the member may see of a verdict: who else reported the act, and
// what of the member's other acts it was judged by. "" where there is nothing.
func Private(r *Row) string {
	used, other := Used(r), r.Verdict.Operands.Other
	if used == "" && other == "" {
		return ""
	}
	b := append(make([]byte, 0, 128), '{')
	b = appendField(b, "other", other)
	b = appendField(b, "used", used)
	return string(append(b, '}'))
}

// PrivateHash commits to Private, under a salt of its own: H(salt ‖ text). Zero where there is nothing.
func PrivateHash(salt [sha256.Size]byte, private string) ledger.Hash {
	if private == "" {
		return ledger.Hash{}
	}
	return sha256.Sum256(append(salt[:], private...))
}

// holderCode tells whether nobody (0), the member (1) or the applicant (2) received the reduction,
// without the account's number.
func holderCode(h ledger.Holder) int64 {
	switch {
	case h == ledger.Applicant:
		return 2
	case h > 0:
		return 1
	}
	return 0
}

// Used is the canonical text of the earlier values, factors and usage that a claim was judged by:
// a line each, what=value.
func Used(r *Row) string {
	if len(r.Used) == 0 {
		return ""
	}
	b := make([]byte, 0, 64)
	for i, u := range r.Used {
		if i > 0 {
			b = append(b, '\n')
		}
		b = append(append(append(b, u.What...), '='), u.Value...)
	}
	return string(b)
}

// Operands is the canonical text of a verdict's operands: one JSON object, or "" when there are none.
func Operands(o *reason.Operands) string {
	if *o == (reason.Operands{}) {
		return ""
	}
	b := appendOperands(nil, o)
	return string(b[len(`"operands":`):])
}

func appendOperands(b []byte, o *reason.Operands) []byte {
	if *o == (reason.Operands{}) {
		return b
	}
	b = append(comma(b), `"operands":{`...)
	b = appendField(b, "field", o.Field)
	b = appendField(b, "got", o.Got)
	b = appendField(b, "limit", o.Limit)
	b = appendField(b, "want", o.Want)
	b = appendField(b, "need", o.Need)
	b = appendField(b, "from", o.From)
	b = appendField(b, "until", o.Until)
	b = appendField(b, "rule", o.Rule)
	b = appendField(b, "other", o.Other)
	return append(b, '}')
}

// Salt keeps a leaf from being guessed by trying all plausible claims: it needs the account's key,
// and goes when the key is destroyed.
func Salt(key [32]byte, batch int64, ord int) [sha256.Size]byte {
	m := place(batch, ord)
	return mac(&key, m[:12])
}

// PrivateSalt does the same for what only the member may see, and cannot be told from Salt.
func PrivateSalt(key [32]byte, batch int64, ord int) [sha256.Size]byte {
	m := place(batch, ord)
	return mac(&key, m[:])
}

// place is batch and ordinal, and a 1 for what makes a second salt of them.
func place(batch int64, ord int) (m [maxMessage]byte) {
	binary.BigEndian.PutUint64(m[:], uint64(batch))
	binary.BigEndian.PutUint32(m[8:], uint32(ord))
	m[12] = 1
	return m
}

const maxMessage = 13

// mac is HMAC-SHA-256 (RFC 2104) of a short message, written out: it is made for every claim, so without garbage.
func mac(key *[32]byte, message []byte) [sha256.Size]byte {
	var inner [sha256.BlockSize + maxMessage]byte
	var outer [sha256.BlockSize + sha256.Size]byte
	for i := range sha256.BlockSize {
		var k byte
		if i < len(key) {
			k = key[i]
		}
		inner[i], outer[i] = k^0x36, k^0x5c
	}
	n := copy(inner[sha256.BlockSize:], message)
	sum := sha256.Sum256(inner[:sha256.BlockSize+n])
	copy(outer[sha256.BlockSize:], sum[:])
	return sha256.Sum256(outer[:])
}

// LeafHash is the Merkle leaf of a recorded claim: H(0 ‖ salt ‖ leaf).
func LeafHash(r *Row) ledger.Hash {
	ref := r.Verdict.Ref
	var private ledger.Hash
	if text := Private(r); text != "" {
		private = PrivateHash(PrivateSalt(r.Key, ref.Batch, ref.Ord), text)
	}
	return SaltedLeaf(Salt(r.Key, ref.Batch, ref.Ord), r, private)
}

// SaltedLeaf is LeafHash for whoever has the salt and not the key.
func SaltedLeaf(salt [sha256.Size]byte, r *Row, private ledger.Hash) ledger.Hash {
	b := append(make([]byte, 0, 1024), 0)
	return sha256.Sum256(Leaf(append(b, salt[:]...), r, private))
}

func comma(b []byte) []byte {
	if n := len(b); n > 0 && b[n-1] != '{' {
		return append(b, ',')
	}
	return b
}

func appendField(b []byte, name, value string) []byte {
	if value == "" {
		return b
	}
	return appendString(appendName(b, name), value)
}

// appendName writes the name of a member, one of our own words, which need no escape.
func appendName(b []byte, name string) []byte {
	return append(append(append(comma(b), '"'), name...), '"', ':')
}

func appendInt(b []byte, name string, n int64) []byte {
	return strconv.AppendInt(appendName(b, name), n, 10)
}

// appendString quotes s as RFC 8785 §3.2.2.2 says.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	plain := 0
	for i := 0; i < len(s); i++ {
		if s[i] >= ' ' && s[i] != '"' && s[i] != '\\' {
			continue
		}
		b = append(b, s[plain:i]...)
		b = appendEscape(b, s[i])
		plain = i + 1
	}
	return append(append(b, s[plain:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, '\\', 'b')
	case '\f':
		return append(b, '\\', 'f')
	case '\n':
		return append(b, '\\', 'n')
	case '\r':
		return append(b, '\\', 'r')
	case '\t':
		return append(b, '\\', 't')
	}
	const digits = "0123456789abcdef"
	return append(b, '\\', 'u', '0', '0', digits[c>>4], digits[c&15])
}
