package claim

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
)

// Removed is what erasing accounts took out of one batch: sums, without a word of whose they were. With what is left of
// the batch they come to the totals that it committed to when it was judged, so nobody can make them up afterwards.
type Removed struct {
	Batch                      int64 // 0 for all batches of the partition together
	Programme, Method, Vintage string
	Reason                     reason.Code // Reversed for reversals
	Places                     int64       // leaves that can no longer be opened: of claims, and of reversals
	Claims, Milligrams, Points int64       // as in a Total
}

// RemovedLinks stands, in all batches together, for links whose leaves can no longer be opened.
const RemovedLinks reason.Code = "links"

// A RemovedPosting is what removed claims and reversals of one batch had posted to a balance. Holder 0 is the members
// that were erased. Under batch 0 stands how their balances were settled: with that, theirs sum to zero.
type RemovedPosting struct {
	Batch  int64
	Holder ledger.Holder
	Asset  ledger.Asset
	Amount int64
}

// Erased is all that follows from erasing one account.
type Erased struct {
	Removed  []Removed        // by batch
	Postings []RemovedPosting // by batch
	Settled  []ledger.Posting // what the counter-accounts receive of the account's balances
	Places   map[int64][]int  // by batch, the ordinals of what is removed
}

// Erase settles an account's balances by its programmes' rules, and sums what is removed with it, batch by batch. It refuses
// an account whose balances do not follow from its claims: sums of it would hide that for good.
func Erase(f *File, now Basis) (*Erased, error) {
	if _, err := f.arrange(); err != nil {
		return nil, err
	}
	posted, err := f.posted()
	if err != nil {
		return nil, err
	}
	if err := f.balanced(posted); err != nil {
		return nil, err
	}
	book, err := f.Book(now)
	if err != nil {
		return nil, err
	}
	settled, err := settle(f.Account, f.Balances, book)
	if err != nil {
		return nil, err
	}
	posted[0] = settled
	e := &Erased{Removed: f.removed(), Postings: f.anonymous(posted), Places: map[int64][]int{}}
	for _, p := range settled.Postings() {
		if p.Holder != ledger.Holder(f.Account) {
			e.Settled = append(e.Settled, p)
		}
	}
	for i := range f.Claims {
		r := f.Claims[i].Verdict.Ref
		e.Places[r.Batch] = append(e.Places[r.Batch], r.Ord)
	}
	for i := range f.Reversals {
		r := f.Reversals[i].Ref
		e.Places[r.Batch] = append(e.Places[r.Batch], r.Ord)
	}
	return e, nil
}

// posted are the postings that follow from the account's claims and reversals, by batch.
func (f *File) posted() (map[int64]*ledger.Entry, error) {
	entries := map[int64]*ledger.Entry{}
	of := func(r Ref) *ledger.Entry {
		if entries[r.Batch] == nil {
			entries[r.Batch] = &ledger.Entry{}
		}
		return entries[r.Batch]
	}
	places := map[Ref]*Past{}
	credits := map[Ref]map[ledger.Asset]int64{}
	for i := range f.Claims {
		p := &f.Claims[i]
		places[p.Verdict.Ref] = p
		if p.Verdict.Reason.Kind() != reason.Accepted {
			continue
		}
		// What is in a lot stays, restricted and without its tie to the person, for the time that the programme states: that
		// is asked here, and nowhere else.
		if f.Pooled != nil && f.Pooled(p.Verdict.Ref, p.series()) {
			return nil, fault.New(fault.Conflict, "claim %s is in a lot, and must lose its tie to the account before that is erased", p.Verdict.Ref)
		}
		s, err := f.session(p.Basis)
		if err != nil {
			return nil, err
		}
		c, err := Credits(s, &p.Row)
		if err != nil {
			return nil, err
		}
		credits[p.Verdict.Ref] = c
		f.credit(of(p.Verdict.Ref), p, c, 1)
	}
	for i := range f.Reversals {
		r := &f.Reversals[i]
		p, e := places[r.Of], of(r.Ref)
		f.credit(e, p, credits[r.Of], -1)
		e.Move(ledger.Liability, p.Holder, p.series(), r.OwedMilligrams)
		if r.OwedPoints == 0 {
			continue
		}
		points, err := p.points(f)
		if err != nil {
			return nil, err
		}
		e.Move(ledger.Liability, ledger.Holder(f.Account), points, r.OwedPoints)
	}
	return entries, nil
}

// credit posts what a claim left, or takes it back.
func (f *File) credit(e *ledger.Entry, p *Past, credits map[ledger.Asset]int64, sign int64) {
	for asset, amount := range credits {
		if net(asset) {
			continue
		}
		e.Move(ledger.Issuance, ledger.Holder(f.Account), asset, sign*amount)
	}
	if p.Holder == ledger.Applicant && credits != nil {
		e.Move(ledger.Issuance, ledger.Applicant, p.series(), sign*p.Verdict.Milligrams)
	}
}

// net reports whether an asset sums the signed results of a year. They go from issuance to the member and back, so that nothing
// is left of them.
func net(a ledger.Asset) bool { return a.Kind() == "NET" }

// balanced holds the account's balances against what its claims posted.
func (f *File) balanced(posted map[int64]*ledger.Entry) error {
	left := maps.Clone(f.Balances)
	for _, e := range posted {
		for key, amount := range e.All() {
			if key.Holder == ledger.Holder(f.Account) {
				left[key] -= amount
			}
		}
	}
	for key, amount := range left {
		if amount != 0 && !net(key.Asset) {
			return fmt.Errorf("the balance of %s does not follow from the account's claims, by %d: see tanpu audit --db", key.Asset, amount)
		}
	}
	return nil
}

// settle moves all that an account holds to where its programmes say.
func settle(n Number, balances map[ledger.Key]int64, book *rulebook.Rulebook) (*ledger.Entry, error) {
	e := &ledger.Entry{}
	for key, amount := range balances {
		var rule rulebook.Erasure
		if p := book.Programmes[key.Asset.Programme()]; p != nil {
			rule = p.Erasure
		}
		to := ledger.Issuance
		switch kind := key.Asset.Kind(); {
		case net(key.Asset):
		case kind == "POINT" && rule.VoidPoints, kind == "CO2E" && rule.VoidReductions:
		case kind == "POINT":
			to = ledger.Expiry
		case kind == "CO2E":
			to = ledger.Retired
		default:
			return nil, fmt.Errorf("no rule says what becomes of %s when its holder is erased", key.Asset)
		}
		e.Move(ledger.Holder(n), to, key.Asset, amount)
	}
	return e, nil
}

// removed sums the account's claims and reversals by batch.
func (f *File) removed() []Removed {
	sums := map[Removed]*Removed{}
	add := func(key Removed, claims, mg, points int64) {
		s := sums[key]
		if s == nil {
			s = &Removed{}
			*s, sums[key] = key, s
		}
		s.Places, s.Claims, s.Milligrams, s.Points = s.Places+1, s.Claims+claims, s.Milligrams+mg, s.Points+points
	}
	places := map[Ref]*Past{}
	for i := range f.Claims {
		p := &f.Claims[i]
		places[p.Verdict.Ref] = p
		add(Removed{Batch: p.Verdict.Ref.Batch, Programme: p.Programme, Method: p.Verdict.Method, Vintage: p.Vintage, Reason: p.Verdict.Reason},
			1, p.Verdict.Milligrams, p.Verdict.Points)
	}
	for i := range f.Reversals {
		r := &f.Reversals[i]
		p := places[r.Of]
		key := Removed{Batch: r.Ref.Batch, Programme: p.Programme, Method: p.Verdict.Method, Vintage: p.Vintage, Reason: reason.Reversed}
		if p.Verdict.Reason.Kind() == reason.Accepted {
			add(key, 1, -r.Milligrams, -r.Points)
		} else {
			add(key, 0, 0, 0) // took nothing from anybody, and is in no total
		}
	}
	list := make([]Removed, 0, len(sums))
	for _, s := range sums {
		list = append(list, *s)
	}
	SortRemoved(list)
	return list
}

// anonymous lists postings without the account's number.
func (f *File) anonymous(posted map[int64]*ledger.Entry) (list []RemovedPosting) {
	for _, batch := range slices.Sorted(maps.Keys(posted)) {
		for _, p := range posted[batch].Postings() {
			if net(p.Asset) {
				continue
			}
			if p.Holder == ledger.Holder(f.Account) {
				p.Holder = 0
			}
			list = append(list, RemovedPosting{batch, p.Holder, p.Asset, p.Amount})
		}
	}
	return list
}

// SortRemoved puts sums in the order in which an erasure commits to them.
func SortRemoved(list []Removed) {
	slices.SortFunc(list, func(a, b Removed) int {
		return cmp.Or(cmp.Compare(a.Batch, b.Batch), strings.Compare(a.Programme, b.Programme), strings.Compare(a.Method, b.Method),
			strings.Compare(a.Vintage, b.Vintage), cmp.Compare(a.Reason, b.Reason))
	})
}

// CommitRemoved is an erasure's salted commitment to all that erasures have removed from a partition so far: to the sums
// of all batches together, in their order.
func CommitRemoved(list []Removed, number int64, secret []byte) (h ledger.Hash) {
	salt := hmac.New(sha256.New, secret)
	salt.Write(binary.BigEndian.AppendUint64([]byte("removed"), uint64(number)))
	mac := hmac.New(sha256.New, salt.Sum(nil))
	for i := range list {
		r := &list[i]
		line := []byte{'{'}
		for _, f := range [...][2]string{{"programme", r.Programme}, {"method", r.Method}, {"vintage", r.Vintage}, {"reason", string(r.Reason)}} {
			line = appendField(line, f[0], f[1])
		}
		line = appendInt(line, "places", r.Places)
		line = appendInt(line, "claims", r.Claims)
		line = appendInt(line, "reduction_mg", r.Milligrams)
		line = appendInt(line, "points_thousandths", r.Points)
		mac.Write(append(line, '}', '\n'))
	}
	mac.Sum(h[:0])
	return h
}

// ErasedName names an account that was erased to whoever has its partition's secret: so an older backup can be told whom
// to forget, and nobody else can tell who that is.
func ErasedName(n Number, secret []byte) (h ledger.Hash) {
	mac := hmac.New(sha256.New, secret)
	mac.Write(binary.BigEndian.AppendUint64([]byte("erased"), uint64(n)))
	mac.Sum(h[:0])
	return h
}
