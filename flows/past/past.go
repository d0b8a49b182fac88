// Package past reads what is recorded of a partition's accounts so that their claims can be judged again:
// range by range, and in a range account by account, with the consents and objects that were known then.
package past

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/store"
)

// Accounts are read in ranges of about so many rows.
const (
	fewRows  = 4_000
	manyRows = 16_000
	maxRange = 1 << 14
)

// Ranges runs f on all of a partition's accounts in ranges, and on whatever claims to be an account. f says
// how many rows it read, by which the next range is made larger or smaller.
func Ranges(s *store.Snapshot, f func(in store.Range) (rows int, err error)) error {
	size := int64(64)
	from := int64(math.MinInt64)
	for next := int64(1); ; {
		in := store.Range{From: from, To: next + size - 1}
		last := in.To >= s.Accounts
		if last {
			in.To = math.MaxInt64
		}
		rows, err := f(in)
		if err != nil || last {
			return err
		}
		from = in.To + 1
		next = from
		switch {
		case rows < fewRows:
			size = min(size*2, maxRange)
		case rows > manyRows:
			size = max(size/2, 1)
		}
	}
}

// A Person is what deciding about an account's claims needs to know of it besides them.
type Person struct {
	Key     [32]byte
	Keyed   bool // false once the key is gone
	Links   map[string]*claim.Link
	Objects []claim.Registered
}

// At gives the person's links the objects that were registered by an instant.
func (p *Person) At(at claim.Micros) {
	if len(p.Objects) == 0 {
		return
	}
	var objects []string
	for _, o := range p.Objects {
		if o.At <= at {
			objects = append(objects, o.Object)
		}
	}
	for _, l := range p.Links {
		l.Objects = objects
	}
}

// People are the accounts of a range by number.
type People struct {
	All    map[claim.Number]*Person
	Undone map[claim.Number][]claim.Reversal // of their claims, in order
	Rows   int                               // how many rows were read
	Strays []claim.Number                    // accounts that have a link, and were never opened; one for each link
}

// ReadPeople reads the accounts of a range.
func ReadPeople(ctx context.Context, s *store.Snapshot, in store.Range) (People, error) {
	p := People{All: map[claim.Number]*Person{}, Undone: map[claim.Number][]claim.Reversal{}}
	err := s.Opened(ctx, in, func(n claim.Number, key []byte) {
		who := &Person{Keyed: len(key) == len(Person{}.Key)}
		copy(who.Key[:], key)
		p.All[n] = who
		p.Rows++
	})
	if err == nil {
		err = s.Links(ctx, in, p.link)
	}
	if err == nil {
		err = s.Objects(ctx, in, func(n claim.Number, object string, at int64) {
			p.Rows++
			if who := p.All[n]; who != nil {
				who.Objects = append(who.Objects, claim.Registered{Object: object, At: at})
			}
		})
	}
	if err == nil {
		err = s.Reversals(ctx, in, func(v claim.Reversal) {
			p.Rows++
			p.Undone[v.Account] = append(p.Undone[v.Account], v)
		})
	}
	return p, err
}

func (p *People) link(l *claim.Link, _ int64) {
	p.Rows++
	who := p.All[l.Account]
	if who == nil {
		p.Strays = append(p.Strays, l.Account)
		return
	}
	if who.Links == nil {
		who.Links = make(map[string]*claim.Link, 2)
	}
	l.Key = who.Key
	who.Links[l.Sub] = l
}

// Claims runs f on the claims of each account in a range, which are good until the next account. It holds one
// account's claims in memory.
func Claims(ctx context.Context, s *store.Snapshot, in store.Range, f func([]store.ClaimRow)) error {
	var rows []store.ClaimRow
	err := s.Claims(ctx, in, func(c *store.ClaimRow) {
		if len(rows) > 0 && rows[0].Account != c.Account {
			f(rows)
			rows = rows[:0]
		}
		rows = append(rows, *c)
	})
	if err == nil && len(rows) > 0 {
		f(rows)
	}
	return err
}

// Arrived puts an account's claims in order of arrival, and runs f on those of each batch.
func Arrived(claims []*store.ClaimRow, f func([]*store.ClaimRow)) {
	slices.SortFunc(claims, func(a, b *store.ClaimRow) int {
		return cmp.Or(cmp.Compare(a.Verdict.Ref.Batch, b.Verdict.Ref.Batch), cmp.Compare(a.Verdict.Ref.Ord, b.Verdict.Ref.Ord))
	})
	for from := 0; from < len(claims); {
		to := from + 1
		for to < len(claims) && claims[to].Verdict.Ref.Batch == claims[from].Verdict.Ref.Batch {
			to++
		}
		f(claims[from:to])
		from = to
	}
}
