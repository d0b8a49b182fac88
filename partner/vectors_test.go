package partner_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/tanpu/tanpu/api"
	"github.com/tanpu/tanpu/partner"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/signature"
)

var update = flag.Bool("update", false, "write testdata/vectors.json from what it says was sent")

// Vectors is what others try their own code with. What is sent stands there first; the rest follows from it.
type vectors struct {
	About     string            `json:"about"`
	Seed      string            `json:"private_key_seed_hex"`
	Public    string            `json:"public_key"`
	KeyID     string            `json:"keyid"`
	Salt      string            `json:"request_salt_hex"`
	Claims    []vector          `json:"claims"`
	Root      string            `json:"root_hex"`
	URL       string            `json:"url"`
	Created   int64             `json:"created"`
	Base      string            `json:"signature_base"`
	Headers   map[string]string `json:"headers"`
	Receipts  [][]string        `json:"paths_hex"`
	Canonical [][2]string       `json:"quantities_sent_and_canonical"`
}

type vector struct {
	Event json.RawMessage `json:"event"`
	Text  string          `json:"canonical"`
	Salt  string          `json:"salt_hex"`
	Leaf  string          `json:"leaf_hex"`
}

const file = "testdata/vectors.json"

// TestVectors works the vectors out from what they say was sent.
func TestVectors(t *testing.T) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var want vectors
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	got := work(t, want)
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(got); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, b.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(b.Bytes(), text) {
		t.Errorf("got\n%s\nwant\n%s", b.Bytes(), text)
	}
}

func work(t *testing.T, sent vectors) vectors {
	t.Helper()
	seed, err := hex.DecodeString(sent.Seed)
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	public := key.Public().(ed25519.PublicKey)
	salt, err := hex.DecodeString(sent.Salt)
	if err != nil {
		t.Fatal(err)
	}
	v := vectors{About: sent.About, Seed: sent.Seed, Public: signature.FormatPublic(public), KeyID: signature.KeyID(public),
		Salt: sent.Salt, URL: sent.URL, Created: sent.Created, Headers: map[string]string{}}
	var claims []claim.Claim
	for i, c := range sent.Claims {
		read, err := api.ReadEvents(c.Event, 1)
		if err != nil {
			t.Fatalf("claim %d: %v", i, err)
		}
		claims = append(claims, read...)
		own := claim.SaidSalt([32]byte(salt), i)
		leaf := claim.SaidLeaf(&read[0], own)
		v.Claims = append(v.Claims, vector{c.Event, string(claim.Said(nil, &read[0])), hex.EncodeToString(own[:]), hex.EncodeToString(leaf[:])})
	}
	leaves := claim.SaidLeaves(claims, [32]byte(salt))
	root := ledger.Root(leaves)
	v.Root = hex.EncodeToString(root[:])
	r, err := http.NewRequest("POST", sent.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	partner.SignClaims(r, key, claims, [32]byte(salt), time.Unix(sent.Created, 0))
	for _, name := range []string{signature.RootHeader, signature.SaltHeader, signature.InputHeader, signature.SignatureHeader} {
		v.Headers[name] = r.Header.Get(name)
	}
	what := signature.Request{Method: "POST", Authority: signature.Host(r.URL.Host), Path: r.URL.Path, Root: v.Headers[signature.RootHeader]}
	signed, err := signature.Read(&what, v.Headers[signature.InputHeader], v.Headers[signature.SignatureHeader])
	if err != nil {
		t.Fatal(err)
	}
	if err := signed.Verify(public); err != nil {
		t.Fatal(err)
	}
	v.Base = string(signed.Base)
	for i := range leaves {
		path := []string{}
		for _, h := range ledger.Path(leaves, i) {
			path = append(path, hex.EncodeToString(h[:]))
		}
		v.Receipts = append(v.Receipts, path)
	}
	for _, q := range sent.Canonical {
		text, _ := claim.Canonical(q[0])
		v.Canonical = append(v.Canonical, [2]string{q[0], text})
	}
	return v
}
