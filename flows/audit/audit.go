// Package audit proves a database from its rows. It judges every recorded claim again, by the rulebook
// and at the instant of its batch, follows each partition's chain of batches, and makes balances, usage,
// slots, history and totals anew: what it makes must be what is there. It makes the tree of the database's
// transparency log anew, too, and what that says of batches, consents and documents must be what is recorded.
//
// It reads each partition as it stood at one moment, beside a server that goes on writing, and takes
// nothing from memory or caches. In memory it holds, for each partition in hand, 40 bytes a claim, and 100
// where its partner signed it, some 150 bytes a batch and as many a link, the accounts of one range, and
// the claims of one account, and of all partitions what the log says, 32 bytes a batch; ids are compared
// across accounts through sorted runs in the folder for temporary files, at 16 bytes a claim.
package audit

import (
	"context"
	"math"
	"runtime"
	"sync"
	"time"

	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// Options say how to audit. Their zero value works.
type Options struct {
	Workers  int                               // partitions read at once; default one a processor
	Shown    int                               // findings of a kind, and ids, told one by one; default 20
	Progress func(share float64, claims int64) // told now and then how far it is
}

// A Report says what an audit read and what it found.
type Report struct {
	Database string         `json:"database"`
	Engine   string         `json:"engine"`
	Claims   int64          `json:"claims"`
	Batches  int64          `json:"batches"`
	Accounts int64          `json:"accounts"`
	Entries  int64          `json:"entries"` // of its transparency log
	Keyless  int64          `json:"keyless"` // claims whose leaf cannot be computed again, because the account's key is gone
	Held     Held           `json:"held"`
	Erased   int64          `json:"erased"`  // accounts
	Removed  int64          `json:"removed"` // their claims and reversals: nothing of them can be computed again
	Seconds  float64        `json:"seconds"`
	Found    map[Kind]int64 `json:"found"` // how many findings of each kind
	Findings []Finding      `json:"findings"`
	Shared   SharedIDs      `json:"shared_ids"`
	Notes    []string       `json:"notes"`
}

// Held counts what was lost with a database that a backup took the place of: it holds its number, and nothing else.
type Held struct {
	Batches  int64 `json:"batches"`
	Consents int64 `json:"consents"`
}

// Clean reports whether nothing was found.
func (r *Report) Clean() bool { return len(r.Found) == 0 }

// Run audits a database. What it finds is in the report; an error means that it could not look.
func Run(ctx context.Context, db *store.DB, o Options) (*Report, error) {
	began := time.Now()
	if o.Workers == 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Shown == 0 {
		o.Shown = 20
	}
	a := &audit{db: db, findings: findings{shown: o.Shown}, books: books{db: db}, gauge: gauge{tell: o.Progress}}
	if err := a.readLogs(ctx); err != nil {
		return nil, err
	}
	documents, err := db.Documents(ctx, math.MaxInt64)
	if err != nil {
		return nil, err
	}
	a.checkDocuments(documents)
	if err := a.checkKeys(ctx); err != nil {
		return nil, err
	}
	held, err := a.heldTexts(ctx, documents)
	if err != nil {
		return nil, err
	}
	a.books.check(documents, held, &a.findings)
	if err := a.readPartnerKeys(ctx); err != nil {
		return nil, err
	}
	a.restatements = restatements(documents, &a.findings)
	ids, err := a.partitions(ctx, o.Workers)
	if err != nil {
		return nil, err
	}
	a.checkOpened()
	r := &a.report
	r.Database, r.Engine = db.ID, db.Engine()
	if r.Shared, err = shared(ctx, db, ids, o.Shown); err != nil {
		return nil, err
	}
	r.Found, r.Findings = a.findings.sorted()
	r.Notes = a.notes()
	r.Seconds = time.Since(began).Seconds()
	return r, nil
}

type audit struct {
	db          *store.DB
	books       books
	findings    findings
	gauge       gauge
	partnerKeys map[string]store.PartnerKey
	testimony   testimony // not changed any more once partitions are read

	restatements map[int64]*rulebook.Restatement // by the rulebooks that they made

	mu       sync.Mutex
	report   Report   // its counts are guarded by mu until all partitions are read
	unsealed unsealed // guarded by mu, too
	opened   opened
}

// partitions has workers audit all partitions, and returns the ids that each of them met.
func (a *audit) partitions(ctx context.Context, workers int) ([]*sorter, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	parts := make(chan int, a.db.Parts)
	for part := range a.db.Parts {
		parts <- part
	}
	close(parts)
	all, err := a.db.AccountCount(ctx)
	if err != nil {
		return nil, err
	}
	a.gauge.accounts = all
	var wait sync.WaitGroup
	ids := make([]*sorter, workers)
	for i := range ids {
		ids[i] = newSorter(runRecords)
		wait.Go(func() {
			for part := range parts {
				if err := a.partition(ctx, part, ids[i]); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wait.Wait()
	if err := context.Cause(ctx); err != nil {
		for _, s := range ids {
			s.close()
		}
		return nil, err
	}
	return ids, nil
}

// partition audits one partition as it stands now.
func (a *audit) partition(ctx context.Context, part int, ids *sorter) error {
	return a.db.Snapshot(ctx, part, func(s *store.Snapshot) error {
		p := newPartition(a, s, ids)
		if err := p.readLosses(ctx); err != nil {
			return err
		}
		if err := p.readBatches(ctx); err != nil {
			return err
		}
		if err := p.readConsents(ctx); err != nil {
			return err
		}
		if err := p.readSayings(ctx); err != nil {
			return err
		}
		if err := p.readErasures(ctx); err != nil {
			return err
		}
		if err := p.readAccounts(ctx); err != nil {
			return err
		}
		if err := p.close(ctx); err != nil {
			return err
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.report.Batches += int64(len(p.batches))
		a.report.Claims += p.claims
		a.report.Accounts += p.accounts
		a.report.Keyless += p.keyless
		a.report.Held.Batches += p.held.Batches
		a.report.Held.Consents += p.held.Consents
		a.unsealed.losses += p.unsealed.losses
		a.report.Erased += p.erased
		a.report.Removed += p.erasures.places
		a.unsealed.batches += p.unsealed.batches
		a.unsealed.consents += p.unsealed.consents
		a.unsealed.erasures += p.unsealed.erasures
		return nil
	})
}

// note adds what a reader should know and what is no fault.
func (a *audit) note(text string) { a.report.Notes = append(a.report.Notes, text) }

// notes are those, and what all partitions together tell.
func (a *audit) notes() []string {
	r := &a.report
	list := append([]string{}, r.Notes...)
	if !a.testimony.begun {
		list = append(list, "the database has no transparency log: whoever has all rights to it could have changed it, with all that follows, and nobody would know")
	} else if text := a.unsealed.note(); text != "" {
		list = append(list, text+" were committed and are not in the log yet")
	}
	if r.Keyless > 0 {
		list = append(list, sprintf("the leaves of %d claims cannot be computed again: the keys of their accounts are gone", r.Keyless))
	}
	if r.Held != (Held{}) {
		list = append(list, sprintf("%d batches and %d consents hold their numbers without what was in them: it was lost with a database that a backup took the place of, and nothing of it counts", r.Held.Batches, r.Held.Consents))
	}
	if r.Erased > 0 {
		list = append(list, erasedText(r.Erased, r.Removed))
	}
	if r.Shared.Total > 0 {
		list = append(list, sprintf("%d ids were used by one partner for more than one account", r.Shared.Total))
	}
	return list
}

// A gauge tells how far the audit is.
type gauge struct {
	tell     func(share float64, claims int64)
	accounts int64

	mu           sync.Mutex
	seen, claims int64 // guarded by mu
}

func (g *gauge) add(accounts, claims int64) {
	if g.tell == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.seen, g.claims = g.seen+accounts, g.claims+claims
	g.tell(min(1, float64(g.seen)/float64(max(1, g.accounts))), g.claims)
}
