package claim_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/reason"
)

// Vectors are for other implementers; docs/log.md says what they mean. Hashes, keys and salts are hexadecimal.
type vectors struct {
	Claims []claimVector `json:"claims"`
	Root   string        `json:"root"` // over their leaves
	Links  []linkVector  `json:"links"`
	Totals struct {
		Secret     string `json:"secret"`
		Batch      int64  `json:"batch"`
		Text       string `json:"text"`
		Commitment string `json:"commitment"`
	} `json:"totals"`
}

type claimVector struct {
	Key         string `json:"key"`
	Batch       int64  `json:"batch"`
	Place       int    `json:"place"`
	Salt        string `json:"salt"`
	Private     string `json:"private,omitempty"`
	PrivateSalt string `json:"private_salt,omitempty"`
	PrivateHash string `json:"private_hash,omitempty"`
	Text        string `json:"text"`
	Leaf        string `json:"leaf"`
}

type linkVector struct {
	Key   string `json:"key"`
	Link  int    `json:"link"`
	Ended bool   `json:"ended"`
	Salt  string `json:"salt"`
	Text  string `json:"text"`
	Leaf  string `json:"leaf"`
}

// What is published for other implementers is what we do.
func TestVectors(t *testing.T) {
	key := [32]byte{0: 1, 31: 2}
	const at = 1787270400000000
	var v vectors
	var leaves []ledger.Hash
	for place, row := range []claim.Row{
		{Claim: &claim.Claim{Partner: "bikes", ID: "a1", Sub: "aanosuchsub", Scenario: "bike", Start: at - 3600e6, End: at - 1800e6, Evidence: "system", Region: "CN-420100",
			Quantities: []claim.Quantity{{Name: "distance", Text: "2.1"}}},
			Programme: "city", Method: &methodology.Methodology{Hash: [32]byte{9}}, Holder: ledger.Applicant,
			Used:    []methodology.Use{{What: "usage 2026-08-21", Value: "0"}},
			Verdict: claim.Verdict{Reason: reason.OK, Method: "BIKE@1", Milligrams: 210000, Points: 21000}},
		{Claim: &claim.Claim{Partner: "bikes", ID: "a2\n骑行", Sub: "aanosuchsub", Scenario: "bike", Start: at - 3600e6, End: at - 1700e6, Evidence: "system"},
			Programme: "city", Verdict: claim.Verdict{Reason: reason.Overlap, Operands: reason.Operands{From: "2026-08-20T23:00:00Z", Other: "transit"}}},
		{Claim: &claim.Claim{Partner: "bikes", ID: "a3", Sub: "aanosuchsub", Scenario: "gone", Start: at, End: at},
			Programme: "city", Verdict: claim.Verdict{Reason: reason.ScenarioOff, Operands: reason.Operands{Field: "gone"}}},
	} {
		row.Key, row.Body, row.Verdict.Ref = key, claim.Body(row.Claim), claim.Ref{Part: 3, Batch: 12, Ord: place}
		salt, one := claim.Salt(key, 12, place), claimVector{Key: fmt.Sprintf("%x", key), Batch: 12, Place: place, Private: claim.Private(&row)}
		var private ledger.Hash
		if one.Private != "" {
			under := claim.PrivateSalt(key, 12, place)
			private = claim.PrivateHash(under, one.Private)
			one.PrivateSalt, one.PrivateHash = fmt.Sprintf("%x", under), fmt.Sprintf("%x", private)
		}
		leaf := claim.LeafHash(&row)
		one.Salt, one.Text, one.Leaf = fmt.Sprintf("%x", salt), string(claim.Leaf(nil, &row, private)), fmt.Sprintf("%x", leaf)
		if ledger.LeafHash(salt[:], []byte(one.Text)) != leaf {
			t.Errorf("leaf %d is not the hash of salt and text", place)
		}
		v.Claims, leaves = append(v.Claims, one), append(leaves, leaf)
	}
	v.Root = fmt.Sprintf("%x", ledger.Root(leaves))
	link := claim.Link{Sub: "aanosuchsub", Number: 7, Key: key, Programme: "city", Partner: "bikes", Scenarios: []string{"bike", "walk"}, Purposes: claim.Purposes, Since: at - 86400e6}
	for _, ended := range []bool{false, true} {
		v.Links = append(v.Links, linkVector{Key: fmt.Sprintf("%x", key), Link: link.Number, Ended: ended, Salt: fmt.Sprintf("%x", claim.LinkSalt(key, link.Number, ended)),
			Text: string(claim.LinkLeaf(&link, at, ended)), Leaf: fmt.Sprintf("%x", claim.LinkLeafHash(&link, at, ended))})
	}
	totals := []claim.Total{
		{Programme: "city", Day: "2026-08-21", Reason: reason.ScenarioOff, Claims: 1},
		{Programme: "city", Day: "2026-08-21", Method: "BIKE@1", Vintage: "2026", Reason: reason.OK, Claims: 1, Milligrams: 210000, Points: 21000},
	}
	claim.SortTotals(totals)
	v.Totals.Secret, v.Totals.Batch, v.Totals.Commitment = fmt.Sprintf("%x", key), 12, fmt.Sprintf("%x", claim.Commit(totals, 12, key[:]))
	v.Totals.Text = `{"programme":"city","day":"2026-08-21","reason":"scenario-off","claims":1,"reduction_mg":0,"points_thousandths":0}
{"programme":"city","day":"2026-08-21","method":"BIKE@1","vintage":"2026","reason":"ok","claims":1,"reduction_mg":210000,"points_thousandths":21000}
`
	if got := commit(key[:], 12, v.Totals.Text); got != v.Totals.Commitment {
		t.Errorf("the text of the totals has the commitment %s, want %s", got, v.Totals.Commitment)
	}

	var got strings.Builder
	enc := json.NewEncoder(&got)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	const file = "testdata/vectors.json"
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || got.String() != string(want) {
		t.Errorf("the vectors are %s, want %s (%v)", got.String(), want, err)
	}
}

// commit computes a commitment by the words of docs/log.md: HMAC(HMAC(secret, batch), text).
func commit(secret []byte, batch uint64, text string) string {
	salt := hmac.New(sha256.New, secret)
	salt.Write(binary.BigEndian.AppendUint64(nil, batch))
	mac := hmac.New(sha256.New, salt.Sum(nil))
	mac.Write([]byte(text))
	return fmt.Sprintf("%x", mac.Sum(nil))
}
