package proof

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// newWitness makes a witness's key out of one byte.
func newWitness(t *testing.T, name string, seed byte) *Cosigner {
	t.Helper()
	skey, vkey, err := GenerateWitnessKey(bytes.NewReader(bytes.Repeat([]byte{seed}, ed25519.SeedSize)), name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCosigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	if c.VerifierKey() != vkey || c.Name() != name {
		t.Errorf("%s has the key %s, was made with %s", c.Name(), c.VerifierKey(), vkey)
	}
	return c
}

// What is signed stays as tlog-cosignature has it, byte by byte.
func TestCosign(t *testing.T) {
	witness := newWitness(t, "witness.example/w1", 7)
	line, err := witness.Cosign(example, 1679315147)
	if err != nil {
		t.Fatal(err)
	}
	prefix := "— witness.example/w1 "
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(strings.TrimPrefix(line, prefix), "\n"))
	if err != nil || !strings.HasPrefix(line, prefix) || len(raw) != 4+8+64 {
		t.Fatalf("Cosign = %q, want a signature line", line)
	}
	if at := binary.BigEndian.Uint64(raw[4:]); at != 1679315147 {
		t.Errorf("signed at %d", at)
	}
	message := "cosignature/v1\ntime 1679315147\n" + example
	public := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32)).Public().(ed25519.PublicKey)
	if !ed25519.Verify(public, []byte(message), raw[12:]) {
		t.Error("what was signed is not what tlog-cosignature says")
	}

	signed, err := note.Open([]byte(example+"\n"+line), note.VerifierList(witness.Verifier()))
	if err != nil {
		t.Fatal(err)
	}
	if at, err := CosignatureTime(signed.Sigs[0]); at != 1679315147 || err != nil {
		t.Errorf("CosignatureTime = %d, %v", at, err)
	}
}

func TestCosignRefuses(t *testing.T) {
	witness := newWitness(t, "witness.example", 1)
	if line, err := witness.Cosign("log\n01\n", 1); err == nil {
		t.Errorf("cosigned what is no checkpoint: %s", line)
	}
	if line, err := witness.Cosign(example, -1); err == nil {
		t.Errorf("cosigned before 1970: %s", line)
	}
}

func TestCosignatureVerifier(t *testing.T) {
	witness := newWitness(t, "witness.example", 1)
	verifier, err := NewCosignatureVerifier(witness.VerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	line, err := witness.Cosign(example, 1679315147)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.StdEncoding.DecodeString(strings.Fields(line)[2])
	if err != nil {
		t.Fatal(err)
	}
	sig := raw[4:]
	if !verifier.Verify([]byte(example), sig) {
		t.Error("a cosignature does not verify")
	}
	for i := range sig {
		changed := bytes.Clone(sig)
		changed[i] ^= 1
		if verifier.Verify([]byte(example), changed) {
			t.Errorf("with another byte %d it still verifies", i)
		}
	}
	for name, text := range map[string]string{
		"another size": strings.Replace(example, "20852163", "20852164", 1),
		"an extension": example + "extension\n",
	} {
		if verifier.Verify([]byte(text), sig) {
			t.Errorf("with %s it still verifies", name)
		}
	}
	for _, n := range []int{0, 8, 71, 73} {
		if verifier.Verify([]byte(example), make([]byte, n)) {
			t.Errorf("%d bytes verify", n)
		}
	}
}

// A signature of a text that is no checkpoint, or from no time, says nothing, even if the key made it.
func TestVerifierWantsCheckpoints(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, 32))
	verifier := &cosignatureVerifier{"w", 0, key.Public().(ed25519.PublicKey)}
	made := func(text string, at uint64) []byte {
		message := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text)
		return append(binary.BigEndian.AppendUint64(nil, at), ed25519.Sign(key, message)...)
	}
	if !verifier.Verify([]byte(example), made(example, 5)) {
		t.Error("a cosignature does not verify")
	}
	if verifier.Verify([]byte("some\ntext\nof ours\n"), made("some\ntext\nof ours\n", 5)) {
		t.Error("a cosignature of no checkpoint verifies")
	}
	if verifier.Verify([]byte(example), made(example, math.MaxInt64+1)) {
		t.Error("a cosignature from beyond 2^63 verifies")
	}
}

func TestCosignatureTime(t *testing.T) {
	for name, raw := range map[string][]byte{
		"an ordinary signature": make([]byte, 4+64),
		"nothing":               {},
		"beyond 2^63":           bytes.Repeat([]byte{0xff}, 4+8+64),
	} {
		if at, err := CosignatureTime(note.Signature{Base64: base64.StdEncoding.EncodeToString(raw)}); err == nil {
			t.Errorf("%s is from %d", name, at)
		}
	}
	if at, err := CosignatureTime(note.Signature{Base64: "?"}); err == nil {
		t.Errorf("what is no base64 is from %d", at)
	}
}

func TestKeys(t *testing.T) {
	// As a public witness publishes its key.
	v, err := NewCosignatureVerifier("remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2")
	if err != nil {
		t.Fatal(err)
	}
	if v.Name() != "remora.n621.de" || v.KeyHash() != 0xda77ade7 {
		t.Errorf("the key is that of %s+%08x", v.Name(), v.KeyHash())
	}
	_, ordinary, err := note.GenerateKey(rand.Reader, "log.example")
	if err != nil {
		t.Fatal(err)
	}
	for name, vkey := range map[string]string{
		"nothing":           "",
		"a log's key":       ordinary,
		"another hash":      "remora.n621.de+da77ade8+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
		"another name":      "remora.example+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
		"no name":           "+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
		"a short key":       "remora.n621.de+da77ade7+BOvN",
		"a newline after":   "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2\n",
		"a hash with signs": "remora.n621.de++da77ade+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
	} {
		if _, err := NewCosignatureVerifier(vkey); err == nil {
			t.Errorf("%s: the key %q was accepted", name, vkey)
		}
	}
}

func TestSecretKeys(t *testing.T) {
	skey, vkey, err := GenerateWitnessKey(rand.Reader, "witness.example")
	if err != nil {
		t.Fatal(err)
	}
	ordinary, _, err := note.GenerateKey(rand.Reader, "witness.example")
	if err != nil {
		t.Fatal(err)
	}
	for name, key := range map[string]string{
		"nothing":      "",
		"a public key": vkey,
		"a log's key":  ordinary,
		"another name": strings.Replace(skey, "witness", "fitness", 1),
		"cut off":      skey[:len(skey)-4],
	} {
		_, err := NewCosigner(key)
		if err == nil {
			t.Errorf("%s was accepted", name)
		} else if key != "" && strings.Contains(err.Error(), key) {
			t.Errorf("%s: the error tells the key", name)
		}
	}
	for _, name := range []string{"", "a b", "a+b", "a\nb", "a\x01b", "a\u3000b", "a\xff", strings.Repeat("a", 256)} {
		if _, _, err := GenerateWitnessKey(rand.Reader, name); err == nil {
			t.Errorf("%q names a key", name)
		}
	}
	if _, _, err := GenerateWitnessKey(strings.NewReader("too little"), "witness.example"); err == nil {
		t.Error("a key was made of too little")
	}
}
