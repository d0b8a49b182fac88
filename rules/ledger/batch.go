package ledger

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
)

// A Hash is SHA-256.
type Hash = [sha256.Size]byte

// A Batch is what is known for good of the claims of one partition that were judged in one transaction.
// It gives away neither counts nor totals: on a quiet server a batch is one person.
type Batch struct {
	Part       int
	Number     int64 // dense within the partition, from 1
	At         int64 // its instant, µs UTC; never before that of the batch before it
	Rulebook   int64 // the documents it was judged by
	Backfill   bool  // judged without lateness and without the time from which a link is in force
	Correction bool  // of one account's claims that were recorded before; its leaves begin with its reversals
	Root       Hash  // Merkle root over the leaves of its recorded claims, in their order (RFC 6962)
	Totals     Hash  // salted commitment to its totals
	Prev       Hash  // hash of the batch before it in its partition; zero for the first
}

// Record is the batch's canonical text: one line of JSON with its keys in this order.
func (b *Batch) Record() []byte {
	r := make([]byte, 0, 384)
	r = append(r, `{"type":"batch","part":`...)
	r = strconv.AppendInt(r, int64(b.Part), 10)
	r = append(r, `,"number":`...)
	r = strconv.AppendInt(r, b.Number, 10)
	r = append(r, `,"at":`...)
	r = strconv.AppendInt(r, b.At, 10)
	r = append(r, `,"rulebook":`...)
	r = strconv.AppendInt(r, b.Rulebook, 10)
	if b.Backfill {
		r = append(r, `,"backfill":true`...)
	}
	if b.Correction {
		r = append(r, `,"correction":true`...)
	}
	r = appendHash(append(r, `,"root":"`...), b.Root)
	r = appendHash(append(r, `","totals":"`...), b.Totals)
	r = appendHash(append(r, `","prev":"`...), b.Prev)
	return append(r, `"}`...)
}

// Hash identifies the batch and, through Prev, all before it in its partition.
func (b *Batch) Hash() Hash { return TextHash(b.Record()) }

// TextHash is the hash of a batch with this record.
func TextHash(record []byte) Hash { return sha256.Sum256(record) }

func appendHash(dst []byte, h Hash) []byte { return hex.AppendEncode(dst, h[:]) }

// LeafHash is the Merkle leaf over data (RFC 6962 §2.1).
func LeafHash(data ...[]byte) Hash {
	d := sha256.New()
	d.Write([]byte{0})
	for _, part := range data {
		d.Write(part)
	}
	var h Hash
	d.Sum(h[:0])
	return h
}

// Root is the Merkle tree hash over the leaves (RFC 6962 §2.1); of none it is the hash of nothing.
func Root(leaves []Hash) Hash {
	switch n := len(leaves); n {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return leaves[0]
	default:
		k := 1
		for k*2 < n {
			k *= 2
		}
		return nodeHash(Root(leaves[:k]), Root(leaves[k:]))
	}
}

// Path leads from the i-th of the leaves to their root (RFC 6962 §2.1.1): the hashes beside the way up, the lowest first.
func Path(leaves []Hash, i int) []Hash {
	n := len(leaves)
	if n <= 1 {
		return nil
	}
	k := 1
	for k*2 < n {
		k *= 2
	}
	if i < k {
		return append(Path(leaves[:k], i), Root(leaves[k:]))
	}
	return append(Path(leaves[k:], i-k), Root(leaves[:k]))
}

// RootOf is the root that a path leads to from the i-th of n leaves (RFC 9162 §2.1.3.2); false when no such path
// leads there. All of it may come from a stranger.
func RootOf(leaf Hash, i, n int, path []Hash) (Hash, bool) {
	if i < 0 || i >= n {
		return Hash{}, false
	}
	h, last := leaf, n-1 // i and last go up level by level
	for _, beside := range path {
		if last == 0 {
			return Hash{}, false
		}
		if i&1 == 1 || i == last {
			h = nodeHash(beside, h)
			for i&1 == 0 && i != 0 { // a last leaf without a neighbour is lifted to where it has one
				i, last = i>>1, last>>1
			}
		} else {
			h = nodeHash(h, beside)
		}
		i, last = i>>1, last>>1
	}
	return h, last == 0
}

func nodeHash(left, right Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}
