package audit

import (
	"context"
	"time"

	"github.com/tanpu/tanpu/flows/past"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
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

	claims int64
	rows   int // how much was read
}

// A person is one of the range's.
type person struct {
	*past.Person
	partial bool // some of its claims cannot be judged again: what follows from them all is not known
}

func newReach(p *partition, in store.Range) *reach {
	return &reach{
		partition: p, in: in,
		people:   map[claim.Number]*person{},
		balances: map[ledger.Key]int64{},
		usage:    map[claim.Period]string{},
		slots:    map[claim.Slot]claim.Counted{},
		history:  map[claim.Kept]string{},
	}
}

func (r *reach) read(ctx context.Context) error {
	for _, read := range []func(context.Context) error{r.readPeople, r.readDerived, r.readClaims} {
		if err := read(ctx); err != nil {
			return err
		}
	}
	r.leftovers()
	return nil
}

func (r *reach) readPeople(ctx context.Context) error {
	people, err := past.ReadPeople(ctx, r.Snapshot, r.in)
	for n, who := range people.All {
		r.people[n] = &person{Person: who}
	}
	for _, n := range people.Strays {
		r.foundAccount(Accounts, n, "it has a link, and was never opened")
	}
	r.rows += people.Rows
	return err
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

// readClaims judges account by account, with one account's claims in memory.
func (r *reach) readClaims(ctx context.Context) error {
	j := judge{reach: r}
	return past.Claims(ctx, r.Snapshot, r.in, func(rows []store.ClaimRow) {
		r.rows += len(rows)
		r.claims += int64(len(rows))
		j.rows = rows
		j.account()
	})
}

// leftovers are rows that follow from no claim.
func (r *reach) leftovers() {
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
