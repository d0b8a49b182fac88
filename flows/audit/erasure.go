package audit

import (
	"context"
	"math"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
)

// Of an account that was erased there is nothing to judge again. What it leaves are sums, which are held against what
// cannot be changed any more: those of a batch make up, with the claims that are still there, the totals that it committed
// to; and those of all batches together are what the log's last erasure commits to. So a claim that is gone without the log
// saying so is found, and so is an erasure that took more than it said.

// erasures are a partition's, and what they removed.
type erasures struct {
	names    map[ledger.Hash]int64 // of the accounts that were not met yet: their erasures' numbers
	restored map[int64]bool        // erasures whose account need not be there
	begun    map[claim.Number]bool // accounts that are being erased
	last     *store.Erasure
	links    int64 // consents that lost their link
	places   int64 // claims and reversals that lost their account

	sums     map[claim.Removed]claim.Removed // over all batches, by key alone
	issued   map[posted]int64                // what issuance must have given for them
	postings map[posted]int64                // what it gave, by their postings
	balanced map[posted]int64                // all postings of a batch, by asset; under batch 0 of the members erased
}

// posted is an asset in a batch. Points are counted by their programme: when they run out the sums do not say.
type posted struct {
	batch int64
	asset ledger.Asset
}

// readErasures holds the erasures against the log, and takes in what they removed.
func (p *partition) readErasures(ctx context.Context) error {
	e := &p.erasures
	e.names, e.restored = map[ledger.Hash]int64{}, map[int64]bool{}
	var err error
	if e.begun, err = p.Snapshot.Erasing(ctx); err != nil {
		return err
	}
	last := int64(0)
	err = p.Snapshot.EachErasure(ctx, func(r *store.Erasure) {
		if r.Number != last+1 {
			p.foundErasure(r.Number, "it follows erasure %d", last)
		}
		last = r.Number
		p.heardErasure(r)
		e.names[r.Account], e.restored[r.Number], e.last = r.Number, r.Restored, r
	})
	if err != nil {
		return err
	}
	p.unheard(&p.heard.erasures, math.MaxInt64-1, func(n int64) { p.foundErasure(n, "it is in the log, and not recorded") })
	if last != p.Snapshot.Erasures-1 {
		p.found(Erasures, "its next erasure is %d, and the last that is recorded %d", p.Snapshot.Erasures, last)
	}
	if err := p.readRemoved(ctx); err != nil {
		return err
	}
	return p.readRemovedPostings(ctx)
}

func (p *partition) foundErasure(number int64, format string, args ...any) {
	p.found(Erasures, sprintf("erasure %d.%d: ", p.Part, number)+format, args...)
}

// heardErasure holds a row against the log.
func (p *partition) heardErasure(e *store.Erasure) {
	p.unheard(&p.heard.erasures, e.Number, func(n int64) { p.foundErasure(n, "it is in the log, and not recorded") })
	said := p.heard.erasures.of(e.Number)
	if said == nil {
		p.unsealed.erasures++
		return
	}
	hash := ledger.TextHash(record.Text(&record.Erasure{Part: p.Part, Number: e.Number, At: e.At, Account: record.Hash(e.Account), Removed: record.Hash(e.Removed)}))
	if string(said) != string(hash[:]) {
		p.foundErasure(e.Number, "the log has it otherwise than it is recorded")
	}
}

// readRemoved adds what is removed of each batch to what is there of it.
func (p *partition) readRemoved(ctx context.Context) error {
	e := &p.erasures
	e.sums, e.issued = map[claim.Removed]claim.Removed{}, map[posted]int64{}
	var together []claim.Removed
	err := p.Snapshot.Removed(ctx, func(r claim.Removed) {
		if r.Batch == 0 {
			together = append(together, r)
			return
		}
		b := p.batch(r.Batch)
		if b == nil {
			p.foundBatch(Erasures, r.Batch, "claims are removed from it, and it is not there")
			return
		}
		b.removed += r.Places
		if r.Claims != 0 {
			p.tallied.add(b, tallyKey{r.Programme, r.Method, r.Vintage, r.Reason}, r.Claims, r.Milligrams, r.Points)
		}
		e.issued[posted{r.Batch, ledger.Series(r.Programme, r.Method, r.Vintage)}] += r.Milligrams
		e.issued[posted{r.Batch, ledger.Points(r.Programme, "")}] += r.Points
		key := keyOf(r)
		sum := e.sums[key]
		sum.Places, sum.Claims, sum.Milligrams, sum.Points = sum.Places+r.Places, sum.Claims+r.Claims, sum.Milligrams+r.Milligrams, sum.Points+r.Points
		e.sums[key] = sum
	})
	p.checkTogether(together)
	return err
}

// keyOf is what sums are sums of.
func keyOf(r claim.Removed) claim.Removed {
	return claim.Removed{Programme: r.Programme, Method: r.Method, Vintage: r.Vintage, Reason: r.Reason}
}

// checkTogether holds the sums over all batches against those of each, and against what the last erasure commits to.
func (p *partition) checkTogether(together []claim.Removed) {
	e := &p.erasures
	if e.last == nil && (len(together) > 0 || len(e.sums) > 0) {
		p.found(Erasures, "claims are removed from its batches, and no account was erased")
		return
	}
	for _, r := range together {
		if r.Reason == claim.RemovedLinks {
			if r.Places != e.links {
				p.found(Erasures, "%d consents have lost their link, and %d were removed by erasures", e.links, r.Places)
			}
			continue
		}
		key := keyOf(r)
		sum := e.sums[key]
		delete(e.sums, key)
		if r.Places != sum.Places || r.Claims != sum.Claims || r.Milligrams != sum.Milligrams || r.Points != sum.Points {
			p.found(Erasures, "%+v is recorded as removed together, and the batches come to %+v", r, sum)
		}
	}
	for key := range e.sums {
		p.found(Erasures, "what is removed of %+v is not summed", key)
	}
	claim.SortRemoved(together)
	if e.last != nil && !e.last.Restored && claim.CommitRemoved(together, e.last.Number, p.Secret) != e.last.Removed {
		p.foundErasure(e.last.Number, "what is removed by now is not what it commits to")
	}
}

// readRemovedPostings adds what the removed claims had posted to what those that are there did.
func (p *partition) readRemovedPostings(ctx context.Context) error {
	e := &p.erasures
	e.postings, e.balanced = map[posted]int64{}, map[posted]int64{}
	err := p.Snapshot.RemovedPostings(ctx, func(r claim.RemovedPosting) {
		e.balanced[posted{r.Batch, r.Asset}] += r.Amount
		switch {
		case r.Holder > 0:
			p.found(Erasures, "what is removed names account %d", r.Holder)
		case r.Holder == 0:
			e.balanced[posted{-1, r.Asset}] += r.Amount // over all batches
		default:
			p.counters[ledger.Key{Holder: r.Holder, Asset: r.Asset}] += r.Amount
		}
		if r.Holder != ledger.Issuance || r.Batch == 0 {
			return
		}
		switch r.Asset.Kind() {
		case "CO2E":
			e.postings[posted{r.Batch, r.Asset}] -= r.Amount
		case "POINT":
			e.postings[posted{r.Batch, ledger.Points(r.Asset.Programme(), "")}] -= r.Amount
		}
	})
	for k, amount := range e.balanced {
		switch {
		case amount == 0:
		case k.batch < 0:
			p.found(Erasures, "of %s, %d that erased accounts had is not settled", k.asset, amount)
		default:
			p.foundBatch(Erasures, k.batch, "what was removed had posted %d of %s more than it took", amount, k.asset)
		}
	}
	for k, amount := range e.issued {
		if e.postings[k] != amount {
			p.foundBatch(Erasures, k.batch, "what was removed comes to %d of %s, and had posted %d", amount, k.asset, e.postings[k])
		}
		delete(e.postings, k)
	}
	for k, amount := range e.postings {
		if amount != 0 {
			p.foundBatch(Erasures, k.batch, "what was removed had posted %d of %s, and comes to none", amount, k.asset)
		}
	}
	return err
}

// met notes an account whose key is gone, and reports whether it was erased.
func (p *partition) met(n claim.Number) bool {
	if len(p.erasures.names) == 0 {
		return false
	}
	name := claim.ErasedName(n, p.Secret)
	_, ok := p.erasures.names[name]
	delete(p.erasures.names, name)
	return ok
}

// closeErasures holds the places that have lost their account against those that were removed, batch by batch, and looks
// for erasures of accounts that are still there.
func (p *partition) closeErasures() {
	for i := range p.batches {
		b := &p.batches[i]
		gone := int64(0)
		for ord := range b.n {
			if place := b.first + ord; !p.seen[place] && p.owner(place) == 0 {
				gone++
			}
		}
		if gone != b.removed {
			p.foundBatch(Erasures, b.number, "%d of its claims have lost their account, and %d were removed by erasures", gone, b.removed)
		}
		p.erasures.places += gone
	}
	for _, number := range p.erasures.names {
		if !p.erasures.restored[number] {
			p.foundErasure(number, "the account that it names is not there, or has its key")
		}
	}
}

// erasedText says of a report's erasures what a reader should know.
func erasedText(accounts, places int64) string {
	return sprintf("%d accounts were erased: %d of their claims and reversals can no longer be computed again, and are in the sums that they left", accounts, places)
}

// stillThere notes what is recorded of an account that was erased.
func (p *partition) stillThere(n claim.Number, what string) {
	p.foundAccount(Erasures, n, "it was erased, and has %s", what)
}
