package importing

import (
	"context"
	"time"

	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// A platform is what an import asks of the other side.
type platform struct {
	database string         // its id
	zone     *time.Location // the programme's
	// submit judges claims in their order and returns a verdict for each; its Reason is reason.Retry where
	// a claim was not judged. Errors of kind fault.Busy and fault.Unavailable say that none was, for now.
	submit func(context.Context, []claim.Claim) ([]claim.Verdict, error)
	// enrol opens n accounts, linked to the partner for all the programme's purposes, and returns their subs.
	enrol func(ctx context.Context, n int) ([]string, error)
	// heads returns the number of the last batch of each partition.
	heads func(context.Context) (map[int]int64, error)
	// pause waits before the next try.
	pause func(context.Context, time.Duration) error
	close func()
}

// attach starts taking claims in for one import.
func attach(ctx context.Context, db *store.DB, c *Config) (*platform, error) {
	number, err := db.Rulebook(ctx)
	if err != nil {
		return nil, err
	}
	book, err := publish.Load(ctx, db, number)
	if err != nil {
		return nil, err
	}
	if err := c.hold(book); err != nil {
		return nil, err
	}
	// One window is under way at a time, so there is nothing to wait for, and what a partition gets of
	// a window is one transaction: it is judged or comes back as a whole, and order holds either way. Only a
	// claim that breaks its batch comes after those that were behind it.
	server := intake.New(db, intake.Config{Full: 1, Most: c.Window, MaxClaims: c.Window, Backfill: c.Backfill})
	return &platform{
		database: db.ID,
		zone:     book.Programmes[c.Programme].Zone,
		submit:   server.Submit,
		enrol: func(ctx context.Context, n int) ([]string, error) {
			return link.Enrol(ctx, db, book, c.Programme, c.Partner, n, time.Now())
		},
		heads: db.Heads,
		pause: pause,
		close: func() { server.Close(context.Background()) },
	}, nil
}

// hold checks the import against what is published. A map with a scenario that does not exist would have
// every claim refused for good.
func (c *Config) hold(book *rulebook.Rulebook) error {
	p := book.Programmes[c.Programme]
	if p == nil {
		return fault.New(fault.NotFound, "there is no programme %q", c.Programme)
	}
	s, ok := p.Scenarios[c.Map.scenario]
	if !ok {
		return fault.New(fault.NotFound, "%s: programme %s has no scenario %q", c.Map.file, p.ID, c.Map.scenario)
	}
	for _, partner := range s.Partners {
		if partner == c.Partner {
			return nil
		}
	}
	return fault.New(fault.NotFound, "scenario %q of programme %s is not open to partner %q", c.Map.scenario, p.ID, c.Partner)
}
