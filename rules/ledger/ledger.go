// Package ledger keeps the books: assets, postings that sum to zero, and the record by which a batch
// of judged claims is known for good. Everything countable is a balance.
package ledger

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
)

// A Holder is whose balance it is: a member's account number within its partition (positive), or one of
// the striped counter-accounts below, which have a row in every partition and whose balance is the sum.
type Holder int64

const (
	Issuance  Holder = -1 // gives whatever is credited; its balance is minus all there is
	Applicant Holder = -2 // receives the reductions whose title passed to the programme's applicant
	Liability Holder = -3 // carries what a partner owes for reversals after pooling
	Expiry    Holder = -4 // receives points that ran out, or whose member was erased
	Retired   Holder = -5 // receives reductions whose member was erased: nobody's any more, and never to be sold
)

// An Asset is what a balance counts.
type Asset string

// Series names the reductions of one programme, methodology version and vintage, in milligrams of CO2e.
func Series(programme, method, vintage string) Asset {
	return Asset("CO2E/" + programme + "/" + method + "/" + vintage)
}

// Net names the signed results of a net: year series, of which only what is above zero is credited.
func Net(programme, method, year string) Asset {
	return Asset("NET/" + programme + "/" + method + "/" + year)
}

// Points names a programme's points that expire at the end of the month, in thousandths of a point.
func Points(programme, expiryMonth string) Asset {
	return Asset("POINT/" + programme + "/" + expiryMonth)
}

// Kind is the asset's first word: CO2E, NET, POINT.
func (a Asset) Kind() string {
	kind, _, _ := strings.Cut(string(a), "/")
	return kind
}

// Programme is the asset's second word: the programme that it is of.
func (a Asset) Programme() string {
	_, rest, _ := strings.Cut(string(a), "/")
	programme, _, _ := strings.Cut(rest, "/")
	return programme
}

// A Key names one balance within a partition.
type Key struct {
	Holder Holder
	Asset  Asset
}

// An Entry collects postings. It can only move amounts from one holder to another,
// so for each asset it sums to zero whatever is posted.
type Entry struct {
	assets map[Asset]map[Holder]int64
	last   Asset // most postings are of the asset that the one before was of
	book   map[Holder]int64
	spare  []map[Holder]int64
}

// Move posts amount of the asset from one holder to another; a negative amount moves it back.
// It panics when a sum leaves int64, which no real programme's milligrams can do (9.2 million tonnes
// to one account in one batch) and which bounded inputs rule out.
func (e *Entry) Move(from, to Holder, asset Asset, amount int64) {
	if amount == 0 {
		return
	}
	book := e.of(asset)
	book[from] = mustAdd(book[from], -amount)
	book[to] = mustAdd(book[to], amount)
}

// of finds the amounts of an asset.
func (e *Entry) of(asset Asset) map[Holder]int64 {
	if e.book != nil && e.last == asset {
		return e.book
	}
	if e.assets == nil {
		e.assets = map[Asset]map[Holder]int64{}
	}
	book := e.assets[asset]
	if book == nil {
		book = e.blank()
		e.assets[asset] = book
	}
	e.last, e.book = asset, book
	return book
}

func (e *Entry) blank() map[Holder]int64 {
	if n := len(e.spare); n > 0 {
		book := e.spare[n-1]
		e.spare = e.spare[:n-1]
		return book
	}
	return map[Holder]int64{}
}

// Reset empties the entry and keeps its memory.
func (e *Entry) Reset() {
	for _, book := range e.assets {
		clear(book)
		e.spare = append(e.spare, book)
	}
	clear(e.assets)
	e.last, e.book = "", nil
}

func mustAdd(a, b int64) int64 {
	if s, ok := Add(a, b); ok {
		return s
	}
	panic("ledger: amount out of range")
}

// Add adds two amounts and reports whether the sum fits.
func Add(a, b int64) (int64, bool) {
	s := a + b
	return s, (s > a) == (b > 0) && s != math.MinInt64
}

// A Posting is what an entry adds to one balance.
type Posting struct {
	Key
	Amount int64
}

// All runs through what the entry adds to each balance, in no order.
func (e *Entry) All() iter.Seq2[Key, int64] {
	return func(yield func(Key, int64) bool) {
		for asset, book := range e.assets {
			for holder, n := range book {
				if n != 0 && !yield(Key{holder, asset}, n) {
					return
				}
			}
		}
	}
}

// Postings lists what the entry adds to each balance, in order of holder and asset.
func (e *Entry) Postings() []Posting {
	var out []Posting
	for k, n := range e.All() {
		out = append(out, Posting{k, n})
	}
	slices.SortFunc(out, func(a, b Posting) int {
		return cmp.Or(cmp.Compare(a.Holder, b.Holder), strings.Compare(string(a.Asset), string(b.Asset)))
	})
	return out
}

// Balanced returns an error naming the first asset whose postings do not sum to zero.
func Balanced(postings []Posting) error {
	sums := map[Asset]int64{}
	for _, p := range postings {
		sums[p.Asset] += p.Amount
	}
	for asset, sum := range sums {
		if sum != 0 {
			return fmt.Errorf("postings of %s sum to %d, not to zero", asset, sum)
		}
	}
	return nil
}
