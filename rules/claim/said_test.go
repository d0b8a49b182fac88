package claim_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
)

// What a partner said stands in the leaf of the recorded claim, byte for byte.
func TestSaidIsInTheLeaf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := anyClaim(t)
		r := claim.Row{Claim: &c, Body: claim.Body(&c)}
		said := string(claim.Said(nil, &c))
		if leaf := string(claim.Leaf(nil, &r, ledger.Hash{})); !strings.HasPrefix(leaf, `{"claim":`+said+`,"verdict":{`) {
			t.Errorf("the leaf\n%s\ndoes not begin with\n%s", leaf, said)
		}
		if !json.Valid([]byte(said)) {
			t.Errorf("no JSON: %s", said)
		}
	})
}

// A leaf is H(0 ‖ HMAC(request's salt, place) ‖ text), as anybody's library computes it.
func TestSaidLeaf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		claims := rapid.SliceOfN(rapid.Custom(anyClaim), 1, 5).Draw(t, "claims")
		request := [32]byte(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "salt"))
		for i, got := range claim.SaidLeaves(claims, request) {
			mac := hmac.New(sha256.New, request[:])
			mac.Write(binary.BigEndian.AppendUint32(nil, uint32(i)))
			want := sha256.Sum256(append(mac.Sum([]byte{0}), claim.Said(nil, &claims[i])...))
			if got != want || claim.SaidLeaf(&claims[i], claim.SaidSalt(request, i)) != want {
				t.Errorf("leaf %d is %x, want %x", i, got, want)
			}
		}
	})
}

// Whoever changes anything of a claim changes what was said.
func TestSaidSaysEverything(t *testing.T) {
	base := claim.Claim{Partner: "p", ID: "i", Sub: "s", Scenario: "c", Start: 1, End: 2, Evidence: "e", Region: "r", Act: "a", Object: "o", Commitment: "m",
		Quantities: []claim.Quantity{{Name: "q", Text: "1"}}}
	want := string(claim.Said(nil, &base))
	for i := range reflect.TypeFor[claim.Claim]().NumField() {
		c := base
		switch f := reflect.ValueOf(&c).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString(f.String() + "x")
		case reflect.Int64:
			f.SetInt(f.Int() + 1)
		default:
			f.Set(reflect.ValueOf([]claim.Quantity{{Name: "q", Text: "2"}}))
		}
		if got := string(claim.Said(nil, &c)); got == want {
			t.Errorf("changing %s changes nothing: %s", reflect.TypeFor[claim.Claim]().Field(i).Name, got)
		}
	}
}

func anyClaim(t *rapid.T) claim.Claim {
	text := rapid.StringN(0, 12, -1)
	c := claim.Claim{
		Partner: text.Draw(t, "partner"), ID: text.Draw(t, "id"), Sub: text.Draw(t, "sub"), Scenario: text.Draw(t, "scenario"),
		Start: rapid.Int64().Draw(t, "start"), End: rapid.Int64().Draw(t, "end"),
		Evidence: text.Draw(t, "evidence"), Region: text.Draw(t, "region"), Act: text.Draw(t, "act"), Object: text.Draw(t, "object"),
	}
	for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching("[a-z]{1,4}"), 0, 3, rapid.ID).Draw(t, "quantities") {
		c.Quantities = append(c.Quantities, claim.Quantity{Name: name, Text: text.Draw(t, "text")})
	}
	return c
}

func BenchmarkSaidLeaves(b *testing.B) {
	c := claim.Claim{Partner: "valleybike", ID: "ride-1000002a", Sub: "abqkf4x2m7hd93nzwt5c6uabcdaa", Scenario: "shared-bike", Start: 1787271303000000, End: 1787272061000000,
		Evidence: "system", Quantities: []claim.Quantity{{Name: "distance", Text: "2100 m"}}}
	claims := make([]claim.Claim, 1000)
	for i := range claims {
		claims[i] = c
	}
	for b.Loop() {
		claim.SaidLeaves(claims, [32]byte{1})
	}
}
