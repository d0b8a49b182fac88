// Package statement tells what an account held at any time, and by which entries: from the claims and reversals that are
// recorded, not from the balances that are kept.
package statement

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/store"
)

// A Statement is what an account held after the last batch that was not later than an instant.
type Statement struct {
	Balances   []store.Balance
	Reductions []store.Reduction // of the claims that counted
	Entries    []Entry           // in order of time
}

// An Entry is what a claim, or a reversal of one, added to a balance.
type Entry struct {
	Ref    claim.Ref
	At     claim.Micros
	Asset  ledger.Asset
	Amount int64
}

// Of makes the statement of an account as of an instant.
func Of(ctx context.Context, books *publish.Books, id store.AccountID, at claim.Micros) (*Statement, error) {
	posted, err := books.DB.Posted(ctx, id, at)
	if err != nil {
		return nil, err
	}
	m := &maker{ctx: ctx, books: books, basis: map[claim.Ref]claim.Basis{}, credits: map[claim.Ref]map[ledger.Asset]int64{}}
	slices.SortFunc(posted, func(a, b store.Posted) int {
		x, y := refOf(a), refOf(b)
		return cmp.Or(cmp.Compare(x.Batch, y.Batch), cmp.Compare(x.Ord, y.Ord)) // a batch's reversals come before its claims
	})
	for _, p := range posted {
		if err := m.post(p); err != nil {
			return nil, err
		}
	}
	sums := map[ledger.Asset]int64{}
	for _, e := range m.entries {
		sums[e.Asset] += e.Amount
	}
	s := &Statement{Entries: m.entries, Reductions: reductions(posted)}
	for _, asset := range slices.Sorted(maps.Keys(sums)) {
		s.Balances = append(s.Balances, store.Balance{Asset: asset, Amount: sums[asset]})
	}
	return s, nil
}

// reductions sums by series the claims that counted in the end.
func reductions(posted []store.Posted) []store.Reduction {
	type series struct{ programme, method, vintage string }
	sums := map[series]*store.Reduction{}
	undone := map[claim.Ref]bool{}
	for _, p := range posted {
		if p.Reversal != nil {
			undone[p.Reversal.Of] = true
		}
	}
	for _, p := range posted {
		if p.Claim == nil || undone[p.Claim.Verdict.Ref] {
			continue
		}
		k := series{p.Claim.Programme, p.Claim.Verdict.Method, p.Claim.Vintage}
		if sums[k] == nil {
			sums[k] = &store.Reduction{Programme: k.programme, Method: k.method, Vintage: k.vintage}
		}
		sums[k].Claims, sums[k].Milligrams = sums[k].Claims+1, sums[k].Milligrams+p.Claim.Verdict.Milligrams
	}
	list := make([]store.Reduction, 0, len(sums))
	for _, r := range sums {
		list = append(list, *r)
	}
	slices.SortFunc(list, func(a, b store.Reduction) int {
		return cmp.Or(cmp.Compare(a.Programme, b.Programme), cmp.Compare(a.Method, b.Method), cmp.Compare(a.Vintage, b.Vintage))
	})
	return list
}

func refOf(p store.Posted) claim.Ref {
	if p.Claim != nil {
		return p.Claim.Verdict.Ref
	}
	return p.Reversal.Ref
}

// A maker goes through what was posted, in order.
type maker struct {
	ctx     context.Context
	books   *publish.Books
	basis   map[claim.Ref]claim.Basis            // of claims in the place of others
	credits map[claim.Ref]map[ledger.Asset]int64 // what each claim left
	entries []Entry
}

func (m *maker) post(p store.Posted) error {
	if p.Claim == nil {
		return m.reverse(p)
	}
	ref := p.Claim.Verdict.Ref
	basis := claim.Basis{At: p.Batch.At, Rulebook: p.Batch.Rulebook, Backfill: p.Batch.Backfill}
	if p.Batch.Correction {
		basis = m.basis[ref]
	}
	book, err := m.books.Of(m.ctx, basis)
	if err != nil {
		return err
	}
	row, err := p.Claim.Row()
	if err != nil {
		return err
	}
	credits, err := claim.Credits(claim.Session{Book: book, At: basis.At, Backfill: basis.Backfill}, row)
	if err != nil {
		return fmt.Errorf("a statement of account: %w", err)
	}
	m.credits[ref] = credits
	for _, asset := range slices.Sorted(maps.Keys(credits)) {
		m.entries = append(m.entries, Entry{ref, p.Batch.At, asset, credits[asset]})
	}
	return nil
}

// reverse posts a reversal: the other way round what its claim left, but for what was charged to the partner.
func (m *maker) reverse(p store.Posted) error {
	r := p.Reversal
	if r.Next >= 0 {
		m.basis[claim.Ref{Part: r.Ref.Part, Batch: r.Ref.Batch, Ord: r.Next}] = r.Basis
	}
	credits := m.credits[r.Of]
	for _, asset := range slices.Sorted(maps.Keys(credits)) {
		amount := -credits[asset]
		switch asset.Kind() {
		case "CO2E":
			amount += r.OwedMilligrams
		case "POINT":
			amount += r.OwedPoints
		}
		if amount != 0 {
			m.entries = append(m.entries, Entry{r.Ref, p.Batch.At, asset, amount})
		}
	}
	return nil
}
