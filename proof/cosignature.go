package proof

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"
)

// cosignatureV1 is the byte by which signed-note tells timestamped Ed25519 cosignatures from other signatures.
const cosignatureV1 = 0x04

// privateKey begins a key that signs, as in package note.
const privateKey = "PRIVATE+KEY+"

// cosignatureSize is that of the time and the signature, without the key's hash.
const cosignatureSize = 8 + ed25519.SignatureSize

// A Cosigner is the key with which a witness says: at this time, this was the largest consistent head that I had seen of the log.
type Cosigner struct {
	name string
	key  ed25519.PrivateKey
}

// GenerateWitnessKey makes a key for a witness: the secret one, which NewCosigner takes, and the public one for everybody else.
// Use one key for one witness only, for a cosignature does not say the witness's name to Ed25519.
func GenerateWitnessKey(rand io.Reader, name string) (skey, vkey string, err error) {
	if !isKeyName(name) {
		return "", "", fmt.Errorf("%q cannot name a key: it takes a text without spaces, plus and control characters", name)
	}
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(rand, seed); err != nil {
		return "", "", fmt.Errorf("making a key: %w", err)
	}
	c := &Cosigner{name, ed25519.NewKeyFromSeed(seed)}
	secret := base64.StdEncoding.EncodeToString(append([]byte{cosignatureV1}, seed...))
	return fmt.Sprintf("%s%s+%08x+%s", privateKey, name, c.hash(), secret), c.VerifierKey(), nil
}

// NewCosigner reads a secret key: PRIVATE+KEY+name+hash+base64(0x04 ‖ seed), where the hash is that of the public key.
func NewCosigner(skey string) (*Cosigner, error) {
	rest, private := strings.CutPrefix(skey, privateKey)
	name, hash, seed, err := splitKey(rest)
	if !private || err != nil {
		return nil, errors.New("this is no secret key of a witness") // and we do not repeat it
	}
	c := &Cosigner{name, ed25519.NewKeyFromSeed(seed)}
	if c.hash() != hash {
		return nil, errors.New("the secret key of a witness does not have the hash that it should have")
	}
	return c, nil
}

// Name is the witness's name.
func (c *Cosigner) Name() string { return c.name }

// VerifierKey is the public key as text: name+hash+base64(0x04 ‖ public key).
func (c *Cosigner) VerifierKey() string {
	return fmt.Sprintf("%s+%08x+%s", c.name, c.hash(), base64.StdEncoding.EncodeToString(typed(c.public())))
}

// Verifier verifies this key's cosignatures.
func (c *Cosigner) Verifier() note.Verifier {
	return &cosignatureVerifier{c.name, c.hash(), c.public()}
}

// Cosign returns the line that, after the text of a checkpoint and an empty line, says that we saw it at this time, in
// seconds since 1970. It signs whatever head it is given: whether that is consistent with earlier ones is the caller's to know.
func (c *Cosigner) Cosign(checkpointText string, unix int64) (line string, err error) {
	if _, err := ParseCheckpoint(checkpointText); err != nil {
		return "", fmt.Errorf("cosigning: %w", err)
	}
	if unix < 0 {
		return "", fmt.Errorf("cosigning at %d seconds before 1970", -unix)
	}
	raw := binary.BigEndian.AppendUint32(nil, c.hash())
	raw = binary.BigEndian.AppendUint64(raw, uint64(unix))
	raw = append(raw, ed25519.Sign(c.key, cosigned([]byte(checkpointText), unix))...)
	return fmt.Sprintf("— %s %s\n", c.name, base64.StdEncoding.EncodeToString(raw)), nil
}

func (c *Cosigner) public() ed25519.PublicKey { return c.key.Public().(ed25519.PublicKey) }

func (c *Cosigner) hash() uint32 { return keyHash(c.name, typed(c.public())) }

// NewCosignatureVerifier reads a witness's public key, name+hash+base64(0x04 ‖ public key), for use with note.Open.
func NewCosignatureVerifier(vkey string) (note.Verifier, error) {
	name, hash, public, err := splitKey(vkey)
	if err != nil {
		return nil, fmt.Errorf("%.200q is no key of a witness: %w", vkey, err)
	}
	if keyHash(name, typed(public)) != hash {
		return nil, fmt.Errorf("the key of witness %q does not have the hash that it should have", name)
	}
	return &cosignatureVerifier{name, hash, public}, nil
}

// CosignatureTime tells when a witness says that it signed, in seconds since 1970. It trusts the signature: note.Open verifies.
func CosignatureTime(sig note.Signature) (int64, error) {
	raw, err := base64.StdEncoding.DecodeString(sig.Base64)
	if err != nil || len(raw) != 4+cosignatureSize {
		return 0, fmt.Errorf("the signature of %q is no cosignature", sig.Name)
	}
	unix, _, ok := splitCosignature(raw[4:])
	if !ok {
		return 0, fmt.Errorf("the cosignature of %q is from no time", sig.Name)
	}
	return unix, nil
}

// cosignatureVerifier verifies cosignatures of one key.
type cosignatureVerifier struct {
	name   string
	hash   uint32
	public ed25519.PublicKey
}

func (v *cosignatureVerifier) Name() string    { return v.name }
func (v *cosignatureVerifier) KeyHash() uint32 { return v.hash }

// Verify accepts cosignatures of checkpoints only, because of another note they would say nothing.
func (v *cosignatureVerifier) Verify(msg, sig []byte) bool {
	unix, signature, ok := splitCosignature(sig)
	if !ok {
		return false
	}
	if _, err := ParseCheckpoint(string(msg)); err != nil {
		return false
	}
	return ed25519.Verify(v.public, cosigned(msg, unix), signature)
}

// splitCosignature splits the time from the signature. A time beyond an int64 is none (tlog-cosignature, Format).
func splitCosignature(sig []byte) (unix int64, signature []byte, ok bool) {
	if len(sig) != cosignatureSize {
		return 0, nil, false
	}
	at := binary.BigEndian.Uint64(sig)
	return int64(at), sig[8:], at <= math.MaxInt64
}

// cosigned is what Ed25519 signs (tlog-cosignature, Ed25519 signed message).
func cosigned(text []byte, unix int64) []byte {
	return append(fmt.Appendf(nil, "cosignature/v1\ntime %d\n", unix), text...)
}

// splitKey reads name+hash+base64(0x04 ‖ 32 bytes), in the one way to write it.
func splitKey(text string) (name string, hash uint32, key []byte, err error) {
	parts := strings.Split(text, "+")
	if len(parts) < 3 || !isKeyName(parts[0]) {
		return "", 0, nil, errors.New("a key is a name, a hash and base64, with plus between them")
	}
	number, err := strconv.ParseUint(parts[1], 16, 32)
	if err != nil || fmt.Sprintf("%08x", number) != parts[1] {
		return "", 0, nil, errors.New("the hash of a key is eight hexadecimal digits")
	}
	encoded := strings.Join(parts[2:], "+") // base64 has plus, too
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil || base64.StdEncoding.EncodeToString(raw) != encoded || len(raw) != 33 {
		return "", 0, nil, errors.New("an Ed25519 key is 33 bytes in base64")
	}
	if !bytes.HasPrefix(raw, []byte{cosignatureV1}) {
		return "", 0, nil, fmt.Errorf("it is for signatures of type %d, and cosignatures are of type %d", raw[0], cosignatureV1)
	}
	return parts[0], uint32(number), raw[1:], nil
}

// keyHash tells keys of one name apart; signed-note prescribes it.
func keyHash(name string, key []byte) uint32 {
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	return binary.BigEndian.Uint32(sum[:])
}

// typed is a public key behind the byte of its kind of signature.
func typed(public []byte) []byte { return append([]byte{cosignatureV1}, public...) }

// isKeyName tells names that can stand in a signature line.
func isKeyName(name string) bool {
	return name != "" && len(name) <= 255 && utf8.ValidString(name) && !hasControl(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return unicode.IsSpace(r) || r == '+' })
}
