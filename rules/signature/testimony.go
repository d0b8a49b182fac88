package signature

import (
	"crypto/ed25519"
	"fmt"
	"strings"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
)

// A Testimony shows that a partner said one claim, to whoever knows that the key is the partner's. Of the other
// claims of the request it shows salted hashes, and how many there were.
type Testimony struct {
	Public    ed25519.PublicKey
	Base      string // the text that was signed
	Signature []byte
	Salt      [32]byte // of this claim: claim.SaidSalt
	Index     int      // its place in the request, from 0
	Claims    int      // how many there were
	Path      []ledger.Hash
}

// Check proves that the holder of the key said c. All of it may come from a stranger.
func (t *Testimony) Check(c *claim.Claim) error {
	root, _, err := OpenBase(t.Public, t.Base, t.Signature)
	if err != nil {
		return err
	}
	if got, ok := ledger.RootOf(claim.SaidLeaf(c, t.Salt), t.Index, t.Claims, t.Path); !ok || got != root {
		return fmt.Errorf("the claim is not claim %d of the %d that were signed", t.Index, t.Claims)
	}
	return nil
}

// OpenBase checks the signature of a request that reported claims, and returns the root over them and what else
// was signed. All of it may come from a stranger.
func OpenBase(public ed25519.PublicKey, base string, signature []byte) (root ledger.Hash, in *Input, err error) {
	r, in, err := parseBase(base)
	if err != nil {
		return root, nil, err
	}
	if len(public) != ed25519.PublicKeySize || in.KeyID != KeyID(public) {
		return root, nil, fmt.Errorf("what was signed names another key, %s", shown(in.KeyID))
	}
	s := Signed{Input: *in, Base: []byte(base), Signature: signature}
	if err := s.Verify(public); err != nil {
		return root, nil, err
	}
	if r.Method != "POST" {
		return root, nil, fmt.Errorf("what was signed reports no claims")
	}
	root, err = ParseRoot(r.Root)
	return root, in, err
}

// parseBase reads a signature base of this profile.
func parseBase(base string) (*Request, *Input, error) {
	bad := func(what string) (*Request, *Input, error) {
		return nil, nil, fmt.Errorf("what was signed cannot be read: %s", what)
	}
	if len(base) > maxBase {
		return bad("it is too long")
	}
	lines := strings.Split(base, "\n")
	last := len(lines) - 1
	params, ok := strings.CutPrefix(lines[last], `"@signature-params": `)
	if !ok {
		return bad("it does not end with its parameters")
	}
	in, err := parseParams(params)
	if err != nil {
		return nil, nil, err
	}
	if len(in.Covered) != last {
		return bad("its lines are not those that its parameters name")
	}
	r := new(Request)
	for i, c := range in.Covered {
		value, ok := strings.CutPrefix(lines[i], `"`+c+`": `)
		if !ok || !r.set(c, value) {
			return bad("its lines are not those that its parameters name")
		}
	}
	if err := in.covers(r); err != nil {
		return nil, nil, err
	}
	if again, _ := in.base(r.value); string(again) != base {
		return bad("it is not in its one form")
	}
	return r, in, nil
}

// set is the reverse of value.
func (r *Request) set(component, value string) bool {
	switch component {
	case Method:
		r.Method = value
	case Authority:
		r.Authority = value
	case Path:
		r.Path = value
	case Query:
		query, ok := strings.CutPrefix(value, "?")
		r.Query = query
		return ok
	case Root:
		r.Root = value
	default:
		return false
	}
	return true
}
