package proof

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// PublicKey is the vkey of a signing key in the text form of signed-note, PRIVATE+KEY+name+hash+….
func PublicKey(skey string) (string, error) {
	bad := errors.New("this is no PRIVATE+KEY+… of signed-note")
	if _, err := note.NewSigner(skey); err != nil {
		return "", bad
	}
	fields := strings.SplitN(skey, "+", 5)
	data, err := base64.StdEncoding.DecodeString(fields[len(fields)-1])
	if err != nil || len(data) != 1+ed25519.SeedSize {
		return "", bad
	}
	public := ed25519.NewKeyFromSeed(data[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(fields[2], public)
}
