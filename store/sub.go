package store

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"hash/fnv"

	"github.com/tanpu/tanpu/rules/claim"
)

// A sub is the pseudonym by which one partner knows one member. It is the number of the member's account
// and that of the link, encrypted: so the database finds them where everything else of the account lies,
// and to whoever has not the partition's secret it is 128 random bits, two of one member included. It
// says openly which partition it belongs to, because routing needs that.
type seat struct {
	account claim.Number
	link    int // see linkNumber
}

// letters writes subs: lower case, without those that are easily confused.
var letters = base32.NewEncoding("abcdefghijkmnpqrstuvwxyz23456789").WithPadding(base32.NoPadding)

// subLength is that of two letters for the partition and of one block of AES.
const subLength = 2 + (aes.BlockSize*8+4)/5

// subCipher makes a partition's cipher for subs from its secret.
func subCipher(secret []byte) cipher.Block {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("sub"))
	block, err := aes.NewCipher(mac.Sum(nil))
	if err != nil {
		panic(err) // a key of 32 bytes is one of AES
	}
	return block
}

// sub writes the sub of a link.
func (db *DB) sub(part int, s seat) string {
	var block [aes.BlockSize]byte
	binary.BigEndian.PutUint64(block[0:], uint64(s.account))
	binary.BigEndian.PutUint32(block[8:], uint32(s.link))
	db.subs[part].Encrypt(block[:], block[:])
	text := make([]byte, 0, subLength+6)
	text = letters.AppendEncode(text, []byte{byte(part >> 2), byte(part << 6)})[:2]
	return string(letters.AppendEncode(text, block[:]))
}

// seat reads what sub wrote. Whatever else somebody makes up is no sub, or that of a link that is not there.
func (db *DB) seat(sub string) (part int, s seat, ok bool) {
	part, ok = db.PartOf(sub)
	if !ok {
		return part, s, false
	}
	var block [aes.BlockSize + 1]byte
	if n, err := letters.Decode(block[:], []byte(sub[2:])); err != nil || n != aes.BlockSize {
		return part, s, false
	}
	db.subs[part].Decrypt(block[:aes.BlockSize], block[:aes.BlockSize])
	s = seat{int64(binary.BigEndian.Uint64(block[0:])), int(binary.BigEndian.Uint32(block[8:]))}
	return part, s, s.account > 0 && s.link > 0 && db.sub(part, s) == sub
}

// PartOf is the partition that a sub carries; false for what cannot be a sub of this database.
func (db *DB) PartOf(sub string) (int, bool) {
	if len(sub) != subLength {
		return 0, false
	}
	b, err := letters.DecodeString(sub[:2] + "aa")
	if err != nil || len(b) < 2 {
		return 0, false
	}
	part := int(b[0])<<2 | int(b[1])>>6
	return part, part < db.Parts
}

// Route is the partition that a claim goes to: that of its sub, or for what is no sub some partition,
// which will not find it.
func (db *DB) Route(sub string) int {
	if part, ok := db.PartOf(sub); ok {
		return part
	}
	return db.home(sub)
}

// home is the partition in which a thing that belongs to no account has its row.
func (db *DB) home(name string) int {
	h := fnv.New32a()
	h.Write([]byte(name))
	return int(h.Sum32() % uint32(db.Parts))
}

// loadSubs reads what subs are made with.
func (db *DB) loadSubs(ctx context.Context) error {
	rows, err := db.read.QueryContext(ctx, "SELECT part, secret FROM partition ORDER BY part")
	if err != nil {
		return err
	}
	defer rows.Close()
	db.subs = make([]cipher.Block, 0, db.Parts)
	for rows.Next() {
		var part int
		var secret []byte
		if err := rows.Scan(&part, &secret); err != nil {
			return err
		}
		if part != len(db.subs) {
			return fmt.Errorf("the row of partition %d is missing", len(db.subs))
		}
		if part == 0 { // one key for all partitions: who comes back may come to any
			db.marks = markKey(secret)
		}
		db.subs = append(db.subs, subCipher(secret))
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(db.subs) != db.Parts {
		return fmt.Errorf("there are rows of %d partitions, and the database has %d", len(db.subs), db.Parts)
	}
	return nil
}
