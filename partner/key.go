package partner

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"

	"github.com/tanpu/tanpu/rules/fault"
)

// CreateKey makes a key pair and writes the private key to a new file that only its owner can read, as openssl would:
// PKCS #8 in PEM. A file that is there is left alone.
func CreateKey(file string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	if err = pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		os.Remove(file) // half a key is none
		return nil, fmt.Errorf("writing the key: %w", err)
	}
	return key, nil
}

// LoadKey reads a private key.
func LoadKey(file string) (ed25519.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block != nil && block.Type == "PRIVATE KEY" {
		parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
		if key, ok := parsed.(ed25519.PrivateKey); ok && err == nil {
			return key, nil
		}
	}
	return nil, fault.New(fault.Invalid, "%s holds no Ed25519 private key: want what tanpu partner-key new makes, or openssl genpkey -algorithm ed25519", file)
}
