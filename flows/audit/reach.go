package audit

import (
	"context"
	"errors"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// A reach is a range of a partition's accounts with all that is recorded of them but their claims, which
// are read account by account. What is judged again takes what it explains out of it; what is left at the
// end is explained by nothing.
type reach struct {
	*partition
	in store.Range

	people   map[claim.Number]*person
	balances map[ledger.Key]int64
	usage    map[claim.Period]string
	slots    map[claim.Slot]claim.Counted
	history  map[claim.Kept]string
	undone   map[claim.Number][]claim.Reversal // in order

	claims int64
	rows   int // how much was read
}

// A person is what deciding about an account's claims needs to know of it.
type person struct {
	key     [32]byte
	keyed   bool
	erased  bool
	links   map[string]*claim.Link
	objects []registered
	partial bool // some of its claims cannot be judged again: what follows from them all is not known
}

type registered struct {
	object string
	at     claim.Micros
}

func newReach(p *partition, in store.Range) *reach {
	return &reach{
		partition: p, in: in,
		people:   map[claim.Number]*person{},
		balances: map[ledger.Key]int64{},
		usage:    map[claim.Period]string{},
		slots:    map[claim.Slot]claim.Counted{},
		history:  map[claim.Kept]string{},
		undone:   map[claim.Number][]claim.Reversal{},
	}
}

func (r *reach) read(ctx context.Context) error {
	for _, read := range []func(context.Context) error{r.readPeople, r.readLinks, r.readObjects, r.readDerived, r.readReversals, r.readClaims} {
		if err := read(ctx); err != nil {
			return err
		}
	}
	r.leftovers()
	return nil
}

func (r *reach) readPeople(ctx context.Context) error {
	return r.Snapshot.Opened(ctx, r.in, func(n claim.Number, key []byte) {
		who := &person{keyed: len(key) == 32}
		copy(who.key[:], key)
		if !who.keyed && r.met(n) {
			who.erased = true
			r.erased++
		}
		r.people[n] = who
		r.rows++
	})
}

func (r *reach) readLinks(ctx context.Context) error {
	return r.Snapshot.Links(ctx, r.in, func(l *claim.Link, granted int64) {
		r.rows++
		who := r.people[l.Account]
		if who == nil {
			r.foundAccount(Accounts, l.Account, "it has a link, and was never opened")
			r.checkLink(l, granted, false)
			return
		}
		if who.erased {
			r.stillThere(l.Account, "a link")
		}
		if who.links == nil {
			who.links = make(map[string]*claim.Link, 2)
		}
		l.Key = who.key
		who.links[l.Sub] = l
		r.checkLink(l, granted, who.keyed)
	})
}

func (r *reach) readObjects(ctx context.Context) error {
	return r.Snapshot.Objects(ctx, r.in, func(n claim.Number, object string, at int64) {
		r.rows++
		if who := r.people[n]; who != nil {
			if who.erased {
				r.stillThere(n, "an object")
			}
			who.objects = append(who.objects, registered{object, at})
		}
	})
}

// readDerived reads what must follow from the claims.
func (r *reach) readDerived(ctx context.Context) error {
	err := r.Snapshot.Usage(ctx, r.in, func(k claim.Period, used string) { r.usage[k] = used })
	if err == nil {
		err = r.Snapshot.Slots(ctx, r.in, func(k claim.Slot, c claim.Counted) { r.slots[k] = c })
	}
	if err == nil {
		err = r.Snapshot.History(ctx, r.in, func(k claim.Kept, value string) { r.history[k] = value })
	}
	if err == nil {
		members := store.Range{From: max(r.in.From, 1), To: r.in.To}
		err = r.Snapshot.Balances(ctx, members, func(k ledger.Key, amount int64) {
			r.balances[k] = amount
			r.sums[k.Asset] += amount
		})
	}
	r.rows += len(r.usage) + len(r.slots) + len(r.history) + len(r.balances)
	return err
}

func (r *reach) readReversals(ctx context.Context) error {
	return r.Snapshot.Reversals(ctx, r.in, func(v claim.Reversal) {
		r.undone[v.Account] = append(r.undone[v.Account], v)
		r.rows++
	})
}

// readClaims judges account by account, with one account's claims in memory.
func (r *reach) readClaims(ctx context.Context) error {
	j := judge{reach: r, book: func(by claim.Basis) (*rulebook.Rulebook, error) {
		book, err := r.audit.books.book(ctx, by.Rulebook, by.Restated, &r.audit.findings)
		if err == nil && book == nil {
			err = errors.New("its rulebook cannot be read")
		}
		return book, err
	}}
	err := r.Snapshot.Claims(ctx, r.in, func(c *store.ClaimRow) {
		r.rows++
		r.claims++
		if len(j.rows) > 0 && j.rows[0].Account != c.Account {
			j.account()
			j.rows = j.rows[:0]
		}
		j.rows = append(j.rows, *c)
	})
	if err == nil && len(j.rows) > 0 {
		j.account()
	}
	return err
}

// leftovers are rows that follow from no claim.
func (r *reach) leftovers() {
	for n, list := range r.undone {
		r.foundAccount(Corrections, n, "%d claims are reversed that are not there", len(list))
	}
	explains := func(n claim.Number) bool { return r.people[n] == nil || !r.people[n].partial }
	for k, amount := range r.balances {
		if explains(int64(k.Holder)) {
			r.foundBalance(k, "%d of %s is recorded, and no entry explains it", amount, k.Asset)
		}
	}
	for k, used := range r.usage {
		if explains(k.Account) {
			r.foundAccount(Usages, k.Account, "usage of %s in %s is recorded as %q, and no claim explains it", k.Method, k.Name, used)
		}
	}
	for k := range r.slots {
		if explains(k.Account) {
			r.foundAccount(Slots, k.Account, "slot %s of group %s is recorded as taken, and no claim explains it", k.Key, k.Group)
		}
	}
	for k, value := range r.history {
		if explains(k.Account) {
			r.foundAccount(Histories, k.Account, "%s of %s in %s is kept as %s, and no claim explains it", k.Input, k.Method, k.Period, value)
		}
	}
}

func instant(us claim.Micros) string { return time.UnixMicro(us).UTC().Format(time.RFC3339Nano) }
