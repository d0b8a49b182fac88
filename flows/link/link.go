// Package link records and ends members' consent. A link lets one partner report one member's acts in
// one programme, under a pseudonym that it alone knows.
package link

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// A Consent is what a member agrees to.
type Consent struct {
	Account   store.AccountID // zero opens an account
	Programme string
	Partner   string
	Scenarios []string  // none for all of the programme's
	Purposes  []string  // of claim.Purposes; ticking none is valid, and then nothing is credited
	Since     time.Time // acts from then on; zero for now
	Objects   []string  // meters, cars that claims may name
	Key       string    // of the request: the same again changes nothing; "" for none
}

// maxObjects bounds what one consent registers.
const maxObjects = 20

// A Granted link is its sub, and the account behind it, which the partner does not learn.
type Granted struct {
	Sub     string
	Account store.AccountID
}

// Grant records a consent. An object that is another account's is a conflict, and then nothing is granted.
//
// What is true if we die on the way: the account is opened, some of its objects are taken, and there is no
// link yet. A request with a key, sent again, goes on with that account; without one it opens another.
func Grant(ctx context.Context, db *store.DB, book *rulebook.Rulebook, c Consent, now time.Time) (Granted, error) {
	request := c.request()
	before, err := c.resume(ctx, db, request, now)
	if err != nil || before.Sub != "" {
		return before, err
	}
	if err := check(book, &c, now); err != nil {
		return Granted{}, err
	}
	if before, err = c.unhindered(ctx, db, request, now); err != nil || before.Sub != "" {
		return before, err
	}
	if c.Account, err = settle(ctx, db, &c, request, now); err != nil {
		return Granted{}, err
	}
	// Each object is registered at its own home first. Taking what one has is no error.
	for _, object := range c.Objects {
		err := db.TakeObject(ctx, object, c.Account, now.UnixMicro())
		if errors.Is(err, store.ErrTaken) {
			return Granted{}, taken(object)
		}
		if err != nil {
			return Granted{}, err
		}
	}
	return grant(ctx, db, &c, request, now)
}

// request is what the consent asks for, under its key. Its text has a version and is kept as it is, because a server
// compares what an older one hashed; it tells apart whatever differs, and not what means the same. %+q writes letters
// that newer Go versions learn to print as older ones do.
func (c *Consent) request() store.Request {
	text := fmt.Sprintf("tanpu consent 1\naccount %s\nprogramme %+q\npartner %+q\nscenarios %+q\npurposes %+q\nsince %d\nobjects %+q\n",
		c.Account, c.Programme, c.Partner, c.Scenarios, c.Purposes, c.Since.UnixMicro(), c.Objects)
	return store.Request{Key: c.Key, Content: sha256.Sum256([]byte(text))}
}

// resume finds what was done for the same request before: it puts the account that was settled into the
// consent, and returns the link if there is one.
func (c *Consent) resume(ctx context.Context, db *store.DB, r store.Request, now time.Time) (g Granted, err error) {
	if c.Key == "" {
		return g, nil
	}
	var found bool
	err = db.Update(ctx, db.HomeOf(r), now.UnixMicro(), func(tx *store.Tx) error {
		var id store.AccountID
		if id, found, err = tx.Settled(ctx, r); found {
			c.Account = id
		}
		return err
	})
	if err != nil || !found {
		return g, err
	}
	err = db.Update(ctx, c.Account.Part, now.UnixMicro(), func(tx *store.Tx) error {
		var sub string
		if sub, found, err = tx.Granted(ctx, r); found {
			g = Granted{sub, c.Account}
		}
		return err
	})
	return g, err
}

// settle says for whose account the consent is, and opens one if it names none. What has a key is noted, in
// the key's home, where an account that is opened lies then.
func settle(ctx context.Context, db *store.DB, c *Consent, r store.Request, now time.Time) (id store.AccountID, err error) {
	home := db.HomeOf(r)
	if c.Key == "" {
		if c.Account != (store.AccountID{}) {
			return c.Account, nil
		}
		home = db.AnyPart()
	}
	err = db.Update(ctx, home, now.UnixMicro(), func(tx *store.Tx) error {
		if c.Key != "" { // another server may have been faster
			before, found, err := tx.Settled(ctx, r)
			if id = before; err != nil || found {
				return err
			}
		}
		if id = c.Account; id == (store.AccountID{}) {
			number, err := tx.OpenAccounts(ctx, 1)
			if id = (store.AccountID{Part: home, Number: number}); err != nil {
				return err
			}
		}
		if c.Key == "" {
			return nil
		}
		return tx.NoteSettled(ctx, r, id)
	})
	return id, err
}

// grant records the link.
func grant(ctx context.Context, db *store.DB, c *Consent, r store.Request, now time.Time) (g Granted, err error) {
	err = db.Update(ctx, c.Account.Part, now.UnixMicro(), func(tx *store.Tx) error {
		if c.Key != "" {
			sub, found, err := tx.Granted(ctx, r)
			if g = (Granted{sub, c.Account}); err != nil || found {
				return err
			}
		}
		for _, object := range c.Objects {
			if err := tx.AddObject(ctx, c.Account.Number, object); err != nil {
				return err
			}
		}
		links := []claim.Link{{
			Account: c.Account.Number, Programme: c.Programme, Partner: c.Partner,
			Scenarios: c.Scenarios, Purposes: c.Purposes, Since: c.Since.UnixMicro(),
		}}
		if err := tx.Grant(ctx, links); err != nil {
			return err
		}
		g = Granted{links[0].Sub, c.Account}
		if c.Key == "" {
			return nil
		}
		return tx.NoteGranted(ctx, r, &links[0])
	})
	return g, err
}

// unhindered makes sure, before anything is opened or taken, that nothing stands in the way. What does may be the
// work of the same request, sent twice at once: then there is an account by now to go on with, or even the link.
func (c *Consent) unhindered(ctx context.Context, db *store.DB, r store.Request, now time.Time) (g Granted, err error) {
	err = free(ctx, db, c)
	if c.Key == "" || fault.KindOf(err) != fault.Conflict {
		return g, err
	}
	if g, err = c.resume(ctx, db, r, now); err != nil || g.Sub != "" {
		return g, err
	}
	return g, free(ctx, db, c)
}

// free looks whether the account is there and the objects are not another's. Two consents at once can both pass; then TakeObject settles who gets what.
func free(ctx context.Context, db *store.DB, c *Consent) error {
	if c.Account != (store.AccountID{}) {
		if _, _, err := db.Account(ctx, c.Account); err != nil {
			return err
		}
	}
	for _, object := range c.Objects {
		owner, found, err := db.OwnerOf(ctx, object)
		if err != nil {
			return err
		}
		if found && owner != c.Account {
			return taken(object)
		}
	}
	return nil
}

func taken(object string) error {
	return fault.New(fault.Conflict, "%q is registered to another account", object)
}

// check holds a consent against what is published, and fills in its beginning.
func check(book *rulebook.Rulebook, c *Consent, now time.Time) error {
	p := book.Programmes[c.Programme]
	if p == nil {
		return fault.New(fault.NotFound, "there is no programme %q", c.Programme)
	}
	if !takesPart(p, c.Partner) {
		return fault.New(fault.Invalid, "%q reports nothing in programme %s", c.Partner, p.ID)
	}
	for _, s := range c.Scenarios {
		if _, ok := p.Scenarios[s]; !ok {
			return fault.New(fault.Invalid, "programme %s has no scenario %q", p.ID, s)
		}
	}
	for _, purpose := range c.Purposes {
		if !slices.Contains(claim.Purposes, purpose) {
			return fault.New(fault.Invalid, "a purpose is one of %v, not %q", claim.Purposes, purpose)
		}
	}
	if len(c.Objects) > maxObjects {
		return fault.New(fault.Invalid, "a consent registers at most %d objects", maxObjects)
	}
	for _, o := range c.Objects {
		if o == "" || len(o) > claim.MaxID || !utf8.ValidString(o) || strings.ContainsFunc(o, unicode.IsControl) {
			return fault.New(fault.Invalid, "an object's name has 1 to %d bytes of printable text", claim.MaxID)
		}
	}
	if c.Since.IsZero() {
		c.Since = now
	}
	return nil
}

func takesPart(p *rulebook.Programme, partner string) bool {
	for _, s := range p.Scenarios {
		if slices.Contains(s.Partners, partner) {
			return true
		}
	}
	return false
}

// Revoke ends a link now. Ending it again changes nothing. A partner (or "" for the operator) can only
// end its own, and does not learn of others'.
func Revoke(ctx context.Context, db *store.DB, sub, partner string, now time.Time) error {
	l, part, err := db.LinkOf(ctx, sub)
	if err != nil {
		return err
	}
	if partner != "" && l.Partner != partner {
		return fault.New(fault.NotFound, "there is no such link")
	}
	return db.Update(ctx, part, now.UnixMicro(), func(tx *store.Tx) error { return tx.Revoke(ctx, sub) })
}

// enrolAtOnce is how many members are enrolled in one transaction.
const enrolAtOnce = 2000

// Enrol opens n accounts, spread over the partitions, each linked to the partner with all scenarios and
// purposes from now on, and returns their subs. It is for an operator who brings members along.
func Enrol(ctx context.Context, db *store.DB, book *rulebook.Rulebook, programme, partner string, n int, now time.Time) ([]string, error) {
	c := Consent{Programme: programme, Partner: partner, Purposes: claim.Purposes}
	if err := check(book, &c, now); err != nil {
		return nil, err
	}
	subs := make([]string, 0, n)
	first := db.AnyPart()
	for i := range db.Parts {
		share := n / db.Parts
		if i < n%db.Parts {
			share++
		}
		part := (first + i) % db.Parts
		for share > 0 {
			k := min(share, enrolAtOnce)
			more, err := enrol(ctx, db, part, k, c)
			if err != nil {
				return nil, err
			}
			subs = append(subs, more...)
			share -= k
		}
	}
	rand.Shuffle(n, func(i, j int) { subs[i], subs[j] = subs[j], subs[i] })
	return subs, nil
}

func enrol(ctx context.Context, db *store.DB, part, n int, c Consent) (subs []string, err error) {
	err = db.Update(ctx, part, c.Since.UnixMicro(), func(tx *store.Tx) error {
		number, err := tx.OpenAccounts(ctx, n)
		if err != nil {
			return err
		}
		links := make([]claim.Link, n)
		for i := range links {
			links[i] = claim.Link{Account: number + int64(i), Programme: c.Programme, Partner: c.Partner, Purposes: c.Purposes, Since: c.Since.UnixMicro()}
		}
		if err := tx.Grant(ctx, links); err != nil {
			return err
		}
		subs = subs[:0]
		for i := range links {
			subs = append(subs, links[i].Sub)
		}
		return nil
	})
	return subs, err
}
