// Package testimony keeps what partners signed, so that a recorded claim can be shown to have been said by its partner.
//
// A request is a row with its signature, its salt and the hashes of its claims, and for every batch that holds some of
// them a row that says which. They are written before the partner is answered.
//
// What is true if we die: after the claims' commit and before this one, they are recorded and their partner has no
// answer. It sends them again, they are replays, no testimony of them is found, and the one of that request is kept.
package testimony

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/signature"
	"github.com/tanpu/tanpu/store"
)

// A Keeper writes testimonies for any number of callers: those that come while it writes go together into its next
// transaction, so that a busy server waits for the disk once for all of them.
type Keeper struct {
	DB    *store.DB
	Clock func() time.Time // nil for the system's

	mu      sync.Mutex
	waiting []*kept // guarded by mu
	busy    bool    // somebody writes; guarded by mu
}

// A kept testimony is one that somebody waits for.
type kept struct {
	*store.Testimony
	done chan error
}

// A Request is one that its partner signed, and what its claims came to.
type Request struct {
	Partner  string
	Signed   *signature.Signed
	Salt     [32]byte
	Claims   []claim.Claim
	Leaves   []ledger.Hash // of the claims
	Verdicts []claim.Verdict
}

// within is when a database that does not answer is given up.
const within = time.Minute

// Keep makes the testimony of a request durable. Of claims that were recorded before, and that a testimony is kept of,
// there is nothing to add: whoever sends them a hundred times leaves one.
func (k *Keeper) Keep(ctx context.Context, r *Request) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	places, err := k.places(ctx, r)
	if err != nil || len(places) == 0 {
		return err
	}
	return k.write(ctx, &store.Testimony{
		Root: ledger.Root(r.Leaves), Partner: r.Partner, KeyID: r.Signed.KeyID, At: k.now().UnixMicro(), Base: string(r.Signed.Base),
		Signature: r.Signed.Signature, Salt: r.Salt, Leaves: r.Leaves, Places: places,
	})
}

// places lists where claims are recorded that no testimony is kept of.
func (k *Keeper) places(ctx context.Context, r *Request) ([]store.Said, error) {
	verdicts := r.Verdicts
	var again []claim.Ref
	for i := range verdicts {
		if v := &verdicts[i]; v.Reason == reason.Replay {
			again = append(again, v.Ref)
		}
	}
	testified, err := k.DB.Testified(ctx, again)
	if err != nil {
		return nil, err
	}
	untold := func(v claim.Verdict) bool {
		return v.Ref != (claim.Ref{}) && (v.Reason != reason.Replay || !testified[v.Ref])
	}
	if !slices.ContainsFunc(verdicts, untold) {
		return nil, nil // as of a request sent again: its claims need not be looked at one by one
	}
	places, fresh := make([]store.Said, 0, len(verdicts)), false
	for i := range verdicts {
		v := &verdicts[i]
		if v.Ref == (claim.Ref{}) {
			continue
		}
		if v.Reason == reason.Replay { // a member can have had two subs; the claim that is recorded names the first
			same, err := k.DB.RecordedFor(ctx, v.Ref, r.Claims[i].Sub)
			if err != nil {
				return nil, err
			}
			if !same {
				continue
			}
		}
		places = append(places, store.Said{Ref: v.Ref, Index: i})
		fresh = fresh || untold(*v)
	}
	if !fresh {
		return nil, nil
	}
	return places, nil // of replays as well: whoever erases their member must find this salt, too
}

func (k *Keeper) now() time.Time {
	if k.Clock != nil {
		return k.Clock()
	}
	return time.Now()
}

// most bounds the claims of one transaction, beyond its first request.
const most = 20_000

// write waits until the testimony is durable. The first that comes begins to write; it and those that come meanwhile
// wait for their own.
func (k *Keeper) write(ctx context.Context, t *store.Testimony) error {
	own := &kept{t, make(chan error, 1)}
	k.mu.Lock()
	k.waiting = append(k.waiting, own)
	if !k.busy {
		k.busy = true
		go k.run()
	}
	k.mu.Unlock()
	select {
	case err := <-own.done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run writes until nobody waits.
func (k *Keeper) run() {
	for group := k.next(); len(group) > 0; group = k.next() {
		list := make([]*store.Testimony, len(group))
		for i, t := range group {
			list[i] = t.Testimony
		}
		err := k.add(list)
		for _, t := range group {
			t.done <- err
		}
	}
}

// next takes those that wait, in order of arrival.
func (k *Keeper) next() []*kept {
	k.mu.Lock()
	defer k.mu.Unlock()
	n, claims := 0, 0
	for n < len(k.waiting) && (n == 0 || claims+len(k.waiting[n].Leaves) <= most) {
		claims += len(k.waiting[n].Leaves)
		n++
	}
	group := k.waiting[:n:n]
	if k.waiting = k.waiting[n:]; len(k.waiting) == 0 {
		k.waiting = nil
	}
	k.busy = n > 0
	return group
}

func (k *Keeper) add(list []*store.Testimony) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	return k.DB.AddTestimonies(ctx, list)
}

// Of shows that the partner of a recorded claim said it; false where nobody signed it, as an import.
func Of(ctx context.Context, db *store.DB, row *store.ClaimRow) (*signature.Testimony, bool, error) {
	kept, i, found, err := db.TestimonyOf(ctx, row.Verdict.Ref)
	if err != nil || !found {
		return nil, false, err
	}
	if i >= len(kept.Leaves) {
		return nil, false, fmt.Errorf("claim %s is said to be claim %d of %d that were signed", row.Verdict.Ref, i, len(kept.Leaves))
	}
	key, found, err := db.PartnerKey(ctx, kept.KeyID)
	if err != nil {
		return nil, false, err
	}
	if !found {
		return nil, false, fmt.Errorf("claim %s was signed with key %s, which is not registered", row.Verdict.Ref, kept.KeyID)
	}
	t := &signature.Testimony{
		Public: key.Public, Base: kept.Base, Signature: kept.Signature,
		Salt: kept.SaltOf(i), Index: i, Claims: len(kept.Leaves), Path: ledger.Path(kept.Leaves, i),
	}
	c := row.Claim
	if !claim.ParseBody(&c, row.Body) {
		return nil, false, fmt.Errorf("what claim %s says cannot be read", row.Verdict.Ref)
	}
	if err := t.Check(&c); err != nil {
		return nil, false, fmt.Errorf("the signature kept of claim %s does not show it: %w", row.Verdict.Ref, err)
	}
	return t, true, nil
}
