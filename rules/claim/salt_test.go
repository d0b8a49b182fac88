package claim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"testing"

	"pgregory.net/rapid"
)

// TestSalt: the salt is HMAC-SHA-256 over batch and ordinal, as anybody's library computes it.
func TestSalt(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var key [32]byte
		copy(key[:], rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "key"))
		batch, ord := rapid.Int64().Draw(t, "batch"), rapid.IntRange(0, 1<<30).Draw(t, "ord")
		mac := hmac.New(sha256.New, key[:])
		mac.Write(binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint64(nil, uint64(batch)), uint32(ord)))
		if got := Salt(key, batch, ord); !hmac.Equal(got[:], mac.Sum(nil)) {
			t.Errorf("Salt(%x, %d, %d) = %x, want %x", key, batch, ord, got, mac.Sum(nil))
		}
		mac.Write([]byte{1})
		if got := PrivateSalt(key, batch, ord); !hmac.Equal(got[:], mac.Sum(nil)) {
			t.Errorf("PrivateSalt(%x, %d, %d) = %x, want %x", key, batch, ord, got, mac.Sum(nil))
		}
	})
}
