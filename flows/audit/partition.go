package audit

import (
	"context"
	"encoding/binary"
	"hash/maphash"
	"maps"
	"math"
	"slices"
	"sort"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// A partition is one partition being audited: first its batches, then its accounts, range by range, then
// what all of them add up to.
type partition struct {
	*store.Snapshot
	audit *audit
	ids   *sorter

	batches []batch // in order of number
	leaves  []byte  // of all batches: 32 bytes a claim
	owners  []byte  // their accounts: 8 bytes a claim
	seen    []bool  // whose claim was met
	tallied tallied

	heard                  *heard
	nextErasure            int64
	nextBatch, nextConsent int64 // up to there the log has been held against what is recorded
	consents               []consented
	sayings                []saying // in order of batch and place
	unsealed               unsealed
	lost                   map[string][]record.Lost // by the type of what was lost
	held                   Held
	erasures               erasures
	recalled               []recalled

	sums     map[ledger.Asset]int64 // of all balances; wrapping, which keeps zero apart from everything else that is near it
	counters map[ledger.Key]int64   // what the entries leave on the counter-accounts

	claims, accounts, keyless, erased int64
}

// A batch is what judging its claims again needs of its record.
type batch struct {
	number, at int64
	book       *rulebook.Rulebook // nil where it cannot be made
	backfill   bool
	correction bool
	held       bool // its claims were lost
	totals     ledger.Hash
	first, n   int   // its claims' places in leaves, owners and seen
	removed    int64 // of them by erasures
	tallies    []tally
}

func newPartition(a *audit, s *store.Snapshot, ids *sorter) *partition {
	return &partition{Snapshot: s, audit: a, ids: ids, heard: &a.testimony.parts[s.Part], sums: map[ledger.Asset]int64{}, counters: map[ledger.Key]int64{}}
}

// readBatches follows the chain of batches up to the partition's own hash.
func (p *partition) readBatches(ctx context.Context) error {
	var last ledger.Batch
	var hash ledger.Hash // of the last
	var failed error
	err := p.Snapshot.Batches(ctx, func(b *store.BatchRow) {
		if failed == nil {
			failed = p.readBatch(ctx, b, &last, &hash)
		}
	})
	if err != nil || failed != nil {
		return orFirst(failed, err)
	}
	p.unheard(&p.heard.batches, math.MaxInt64-1, func(n int64) { p.foundBatch(Log, n, "it is in the log, and not recorded") })
	if last.Number != p.Next-1 {
		p.found(Numbering, "its next batch is %d, and the last that is recorded %d", p.Next, last.Number)
	}
	if string(p.Hash) != string(hash[:]) {
		p.found(Chain, "its hash is not that of its last batch, %d", last.Number)
	}
	if p.At != last.At {
		p.found(Instants, "it stands at %s, and its last batch at %s", instant(p.At), instant(last.At))
	}
	p.seen = make([]bool, len(p.leaves)/len(hash))
	return nil
}

func orFirst(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// readBatch holds one batch against the one before, and keeps what its claims are held against.
func (p *partition) readBatch(ctx context.Context, b *store.BatchRow, last *ledger.Batch, prev *ledger.Hash) error {
	if b.Number != last.Number+1 {
		p.foundBatch(Numbering, b.Number, "it follows batch %d", last.Number)
	}
	if b.At < last.At {
		p.foundBatch(Instants, b.Number, "it was judged at %s, before the batch before it, at %s", instant(b.At), instant(last.At))
	}
	if b.Rulebook < last.Rulebook {
		p.foundBatch(Documents, b.Number, "it was judged by rulebook %d, and the batch before it by %d", b.Rulebook, last.Rulebook)
	}
	if b.Prev != *prev {
		p.foundBatch(Chain, b.Number, "the hash that it gives for the batch before it is another")
	}
	hash := b.Batch.Hash()
	if b.Hash != hash {
		p.foundBatch(Chain, b.Number, "its hash is not that of its record")
	}
	p.heardBatch(b.Number, hash)
	*last, *prev = b.Batch, hash
	return p.readLeaves(ctx, b)
}

func (p *partition) readLeaves(ctx context.Context, b *store.BatchRow) error {
	const leaf, owner = len(ledger.Hash{}), 8
	if b.Held {
		p.heldBatch(b.Number, b.Claims, b.Leaves, b.Accounts, b.Counts)
		p.batches = append(p.batches, batch{number: b.Number, at: b.At, held: true, first: len(p.leaves) / leaf})
		return nil
	}
	n := min(len(b.Leaves)/leaf, len(b.Accounts)/owner)
	if len(b.Leaves) != n*leaf || len(b.Accounts) != n*owner || b.Claims != int64(n) {
		p.foundBatch(Leaves, b.Number, "it has %d claims, %d bytes of leaves and %d bytes of accounts, which do not go together",
			b.Claims, len(b.Leaves), len(b.Accounts))
	}
	hashes := make([]ledger.Hash, n)
	for i := range hashes {
		copy(hashes[i][:], b.Leaves[i*leaf:])
	}
	if ledger.Root(hashes) != b.Root {
		p.foundBatch(Chain, b.Number, "its root is not that of its leaves")
	}
	book, err := p.audit.books.book(ctx, b.Rulebook, 0, &p.audit.findings)
	if err != nil {
		return err
	}
	kept := batch{number: b.Number, at: b.At, book: book, backfill: b.Backfill, correction: b.Correction, totals: b.Batch.Totals, first: len(p.leaves) / leaf, n: n}
	p.leaves = append(p.leaves, b.Leaves[:n*leaf]...)
	p.owners = append(p.owners, b.Accounts[:n*owner]...)
	p.readCounts(&kept, b.Counts)
	p.batches = append(p.batches, kept)
	return nil
}

// readCounts takes in the verdicts of a batch that left no rows.
func (p *partition) readCounts(b *batch, text string) {
	counts, ok := claim.ParseCounts(text)
	if !ok {
		p.foundBatch(Totals, b.number, "its counts cannot be read: %q", text)
	}
	for c, n := range counts {
		if n <= 0 || !c.Reason.Known() || c.Reason.Recorded() {
			p.foundBatch(Totals, b.number, "it counts %d claims that were %q, which it cannot", n, c.Reason)
		}
		p.tallied.add(b, tallyKey{programme: c.Programme, reason: c.Reason}, n, 0, 0)
	}
}

// batch finds a batch by its number.
func (p *partition) batch(number int64) *batch {
	if i := number - 1; i >= 0 && i < int64(len(p.batches)) && p.batches[i].number == number {
		return &p.batches[i]
	}
	i := sort.Search(len(p.batches), func(i int) bool { return p.batches[i].number >= number })
	if i < len(p.batches) && p.batches[i].number == number {
		return &p.batches[i]
	}
	return nil
}

// Accounts are read in ranges of about so many rows.
const (
	fewRows  = 4_000
	manyRows = 16_000
	maxRange = 1 << 14
)

// readAccounts goes through all accounts in ranges, and through whatever claims to be one.
func (p *partition) readAccounts(ctx context.Context) error {
	size := int64(64)
	from := int64(math.MinInt64)
	for next := int64(1); ; {
		in := store.Range{From: from, To: next + size - 1}
		last := in.To >= p.Accounts
		if last {
			in.To = math.MaxInt64
		}
		r := newReach(p, in)
		if err := r.read(ctx); err != nil {
			return err
		}
		p.claims, p.accounts = p.claims+r.claims, p.accounts+int64(len(r.people))
		p.audit.gauge.add(int64(len(r.people)), r.claims)
		if last {
			return nil
		}
		from = in.To + 1
		next = from
		switch {
		case r.rows < fewRows:
			size = min(size*2, maxRange)
		case r.rows > manyRows:
			size = max(size/2, 1)
		}
	}
}

// close holds what all accounts add up to against what is recorded.
func (p *partition) close(ctx context.Context) error {
	p.closePlaces()
	p.closeErasures()
	if err := p.closeForgotten(ctx); err != nil {
		return err
	}
	p.closeConsents()
	if err := p.closeBalances(ctx); err != nil {
		return err
	}
	return p.closeTotals(ctx)
}

// closePlaces looks for claims that batches recorded and that are not there.
func (p *partition) closePlaces() {
	for i := range p.batches {
		b := &p.batches[i]
		for ord := range b.n {
			if !p.seen[b.first+ord] && p.owner(b.first+ord) != 0 {
				p.foundBatch(Places, b.number, "its claim %d, of account %s, is not there", ord,
					store.AccountID{Part: p.Part, Number: p.owner(b.first + ord)})
			}
		}
	}
}

func (p *partition) owner(place int) claim.Number {
	return int64(binary.BigEndian.Uint64(p.owners[place*8:]))
}

// closeBalances holds the counter-accounts against the entries, and every asset's sum against zero.
func (p *partition) closeBalances(ctx context.Context) error {
	recorded := map[ledger.Key]int64{}
	err := p.Snapshot.Balances(ctx, store.Range{From: math.MinInt64, To: 0}, func(k ledger.Key, amount int64) {
		recorded[k] = amount
		p.sums[k.Asset] += amount
	})
	if err != nil {
		return err
	}
	p.compareBalances(p.counters, recorded)
	for k, amount := range recorded {
		if amount != 0 { // the signed results of a year leave nothing when their member is erased
			p.foundBalance(k, "%d of %s is recorded, and no entry explains it", amount, k.Asset)
		}
	}
	for _, asset := range slices.Sorted(maps.Keys(p.sums)) {
		if sum := p.sums[asset]; sum != 0 {
			p.found(Sums, "the balances of %s sum to %d", asset, sum)
		}
	}
	return nil
}

// compareBalances holds balances made anew against those recorded, and takes those it has met from them.
func (p *partition) compareBalances(made, recorded map[ledger.Key]int64) {
	for k, amount := range made {
		has, ok := recorded[k]
		if has != amount {
			p.foundBalance(k, "%d of %s is recorded, and the entries sum to %d", has, k.Asset, amount)
		}
		if ok {
			delete(recorded, k)
		}
	}
}

var counterNames = map[ledger.Holder]string{ledger.Issuance: "issuance", ledger.Applicant: "applicant", ledger.Liability: "liability", ledger.Expiry: "expiry"}

func (p *partition) foundBalance(k ledger.Key, format string, args ...any) {
	if k.Holder > 0 {
		p.foundAccount(Balances, int64(k.Holder), format, args...)
		return
	}
	name := counterNames[k.Holder]
	if name == "" {
		name = sprintf("holder %d", k.Holder)
	}
	p.found(Balances, name+": "+format, args...)
}

// closeTotals holds each batch's totals against what it committed to, and their sums against the days'.
func (p *partition) closeTotals(ctx context.Context) error {
	days := map[claim.Total]claim.Total{}
	for i := range p.batches {
		b := &p.batches[i]
		if b.book == nil {
			continue // lost, or a finding already: without its programmes it is not known whose day it was
		}
		totals := p.tallied.totals(b)
		if claim.Commit(totals, b.number, p.Secret) != b.totals {
			p.foundBatch(Totals, b.number, "its claims and counts do not sum to the totals that it committed to")
		}
		for _, t := range totals {
			k := t
			k.Claims, k.Milligrams, k.Points = 0, 0, 0
			sum := days[k]
			sum.Claims, sum.Milligrams, sum.Points = sum.Claims+t.Claims, sum.Milligrams+t.Milligrams, sum.Points+t.Points
			days[k] = sum
		}
	}
	err := p.Snapshot.DayTotals(ctx, func(t claim.Total) {
		p.audit.opened.day(t)
		k := t
		k.Claims, k.Milligrams, k.Points = 0, 0, 0
		sum := days[k]
		delete(days, k)
		if t.Claims != sum.Claims || t.Milligrams != sum.Milligrams || t.Points != sum.Points {
			p.foundDay(k, "%d claims, %d mg and %d thousandths of a point are recorded, and its claims sum to %d, %d and %d",
				t.Claims, t.Milligrams, t.Points, sum.Claims, sum.Milligrams, sum.Points)
		}
	})
	for k, sum := range days {
		p.foundDay(k, "nothing is recorded, and its claims sum to %d, %d mg and %d thousandths of a point", sum.Claims, sum.Milligrams, sum.Points)
	}
	return err
}

func (p *partition) foundDay(k claim.Total, format string, args ...any) {
	p.found(DayTotals, "the day %s of %q, method %q, vintage %q, %s: "+format, append([]any{k.Day, k.Programme, k.Method, k.Vintage, k.Reason}, args...)...)
}

// Batches keep what they sum to in a compact form, for there can be as many batches as claims.
type (
	tallied struct {
		keys   []tallyKey
		number map[tallyKey]int32
	}
	tallyKey struct {
		programme, method, vintage string
		reason                     reason.Code
	}
	tally struct {
		key                int32
		claims, mg, points int64
	}
)

func (t *tallied) add(b *batch, k tallyKey, claims, mg, points int64) {
	n, ok := t.number[k]
	if !ok {
		if t.number == nil {
			t.number = map[tallyKey]int32{}
		}
		n = int32(len(t.keys))
		t.keys, t.number[k] = append(t.keys, k), n
	}
	for i := range b.tallies {
		if x := &b.tallies[i]; x.key == n {
			x.claims, x.mg, x.points = x.claims+claims, x.mg+mg, x.points+points
			return
		}
	}
	b.tallies = append(b.tallies, tally{n, claims, mg, points})
}

// totals puts a batch's tallies into the order and words in which it committed to them.
func (t *tallied) totals(b *batch) []claim.Total {
	list := make([]claim.Total, len(b.tallies))
	for i, x := range b.tallies {
		k := t.keys[x.key]
		list[i] = claim.Total{Programme: k.programme, Method: k.method, Vintage: k.vintage, Reason: k.reason,
			Claims: x.claims, Milligrams: x.mg, Points: x.points}
		if p := b.book.Programmes[k.programme]; p != nil {
			list[i].Day = p.Day(b.at)
		}
	}
	claim.SortTotals(list)
	return list
}

var seed = maphash.MakeSeed()

// idHash stands for a partner's id of a claim; who looks at a match compares the ids themselves.
func idHash(partner, id string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	h.WriteString(partner)
	h.WriteByte(0)
	h.WriteString(id)
	return h.Sum64()
}
