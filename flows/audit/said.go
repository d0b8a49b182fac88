package audit

import (
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"sort"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/signature"
	"github.com/tanpu/tanpu/store"
)

// A saying is what a partner signed about one claim, as a testimony has it.
type saying struct {
	batch   int64
	ord     uint32
	partner string
	salt    [32]byte
	leaf    ledger.Hash
}

// readSayings holds the signatures that have their home in the partition against the keys that are registered, and
// keeps what was signed about the partition's own claims: 100 bytes for each.
func (p *partition) readSayings(ctx context.Context) error {
	err := p.Snapshot.EachTestimony(ctx, func(t *store.Testimony) {
		if wrong := p.audit.unsigned(t); wrong != "" {
			p.foundSaid(t.Root, "%s", wrong)
		}
	})
	if err != nil {
		return err
	}
	err = p.Snapshot.EachSaid(ctx, func(batch int64, root ledger.Hash, places []byte, t *store.Testimony) {
		p.readPlaces(batch, root, places, t)
	})
	slices.SortFunc(p.sayings, func(a, b saying) int { return cmp.Or(cmp.Compare(a.batch, b.batch), cmp.Compare(a.ord, b.ord)) })
	return err
}

// readPartnerKeys reads the keys of partners, revoked or not.
func (a *audit) readPartnerKeys(ctx context.Context) error {
	list, err := a.db.PartnerKeys(ctx)
	a.partnerKeys = make(map[string]store.PartnerKey, len(list))
	for _, k := range list {
		a.partnerKeys[k.ID] = k
	}
	return err
}

// unsigned says why a testimony is not one that its partner signed; "" when it is.
func (a *audit) unsigned(t *store.Testimony) string {
	key, ok := a.partnerKeys[t.KeyID]
	switch {
	case !ok:
		return sprintf("it names key %s, which is not registered", t.KeyID)
	case key.Partner != t.Partner:
		return sprintf("it is recorded as said by %s, and signed with a key of %s", t.Partner, key.Partner)
	case ledger.Root(t.Leaves) != t.Root:
		return "its root is not that of its leaves"
	}
	root, _, err := signature.OpenBase(key.Public, t.Base, t.Signature)
	if err != nil {
		return err.Error()
	}
	if root != t.Root {
		return "another root was signed"
	}
	return ""
}

// readPlaces reads which claims of a request a batch holds. t is nil where there is no such request.
func (p *partition) readPlaces(number int64, root ledger.Hash, places []byte, t *store.Testimony) {
	b := p.batch(number)
	switch {
	case t == nil:
		p.foundSaid(root, "claims of batch %d.%d are recorded as said in it, and it is not there", p.Part, number)
		return
	case b == nil:
		p.foundSaid(root, "it names claims of batch %d.%d, which is not there", p.Part, number)
		return
	case len(places)%store.PlaceSize != 0:
		p.foundSaid(root, "what it says of batch %d.%d is cut off", p.Part, number)
	}
	for ; len(places) >= store.PlaceSize; places = places[store.PlaceSize:] {
		ord, i := binary.BigEndian.Uint32(places), binary.BigEndian.Uint32(places[4:])
		if int64(ord) >= int64(b.n) || int64(i) >= int64(len(t.Leaves)) {
			p.foundSaid(root, "its claim %d of %d is recorded as claim %d of the %d in batch %d.%d", i, len(t.Leaves), ord, b.n, p.Part, number)
			continue
		}
		p.sayings = append(p.sayings, saying{number, ord, t.Partner, t.SaltOf(int(i)), t.Leaves[i]})
	}
}

// said holds a claim against what its partner signed about it.
func (p *partition) said(r *store.ClaimRow, c *claim.Claim) {
	ref := r.Verdict.Ref
	i := sort.Search(len(p.sayings), func(i int) bool {
		s := &p.sayings[i]
		return s.batch > ref.Batch || s.batch == ref.Batch && int64(s.ord) >= int64(ref.Ord)
	})
	for ; i < len(p.sayings) && p.sayings[i].batch == ref.Batch && int64(p.sayings[i].ord) == int64(ref.Ord); i++ {
		s := &p.sayings[i]
		switch {
		case s.salt == [32]byte{} && p.erasures.begun[r.Account]: // what it was signed with is gone already
		case s.partner != c.Partner:
			p.foundClaim(Signatures, r, "it is recorded as said by %s, and %s signed it", c.Partner, s.partner)
		case claim.SaidLeaf(c, s.salt) != s.leaf:
			p.foundClaim(Signatures, r, "its partner signed another claim than this")
		}
	}
}

func (p *partition) foundSaid(root ledger.Hash, format string, args ...any) {
	p.audit.findings.add(Finding{Kind: Signatures, Part: p.Part, Text: sprintf("request %x: ", root) + sprintf(format, args...)})
}
