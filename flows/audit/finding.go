package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/store"
)

// A Kind says what a finding is about.
type Kind string

const (
	Documents Kind = "document"  // what is published is not whole
	Numbering Kind = "numbering" // a number is missing, or there is one too many
	Instants  Kind = "instant"   // time goes back
	Chain     Kind = "chain"     // a hash is not that of what it stands for
	Leaves    Kind = "leaf"      // a claim or its outcome is not what its batch recorded
	Places    Kind = "place"     // a claim is missing, or is where none was recorded
	Verdicts  Kind = "verdict"   // a claim judged again comes out otherwise
	Overlaps  Kind = "overlap"   // two accepted acts cannot both have been one person's
	Balances  Kind = "balance"
	Sums      Kind = "sum" // an asset's balances do not sum to zero
	Usages    Kind = "usage"
	Slots     Kind = "slot"
	Histories Kind = "history"
	DayTotals Kind = "day-total"
	Totals    Kind = "totals"  // a batch's totals are not those that it committed to
	Accounts  Kind = "account" // rows of an account that was never opened
	Log       Kind = "log"     // the log is not whole, or says otherwise than the database
	Consents  Kind = "consent" // a link is not what its leaf in the log says

	Signatures  Kind = "signature"  // a partner did not sign what is recorded as said by it
	Erasures    Kind = "erasure"    // what is gone of erased accounts is not what the sums that they left, and the log, say
	Corrections Kind = "correction" // a correction that could not have been made, or came out otherwise
)

// A Finding is one thing that is not as it must be. It is for the operator: it names accounts.
type Finding struct {
	Kind    Kind   `json:"kind"`
	Part    int    `json:"part"` // -1 where it is no partition's
	Batch   int64  `json:"batch,omitempty"`
	Claim   string `json:"claim,omitempty"`   // part.batch.place
	Account string `json:"account,omitempty"` // see store.AccountID
	Text    string `json:"text"`
}

func (f Finding) String() string { return string(f.Kind) + ": " + f.Text }

// findings counts all and keeps the first of each kind.
type findings struct {
	shown int

	mu   sync.Mutex
	all  map[Kind]int64 // guarded by mu
	kept []Finding      // guarded by mu
}

func (f *findings) add(found Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.all == nil {
		f.all = map[Kind]int64{}
	}
	f.all[found.Kind]++
	if f.all[found.Kind] <= int64(f.shown) {
		f.kept = append(f.kept, found)
	}
}

func (f *findings) sorted() (map[Kind]int64, []Finding) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slices.SortStableFunc(f.kept, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Part, b.Part), cmp.Compare(a.Batch, b.Batch))
	})
	return maps.Clone(f.all), append([]Finding{}, f.kept...)
}

var sprintf = fmt.Sprintf

// found notes a finding about the partition as a whole.
func (p *partition) found(kind Kind, format string, args ...any) {
	p.audit.findings.add(Finding{Kind: kind, Part: p.Part, Text: sprintf("partition %d: ", p.Part) + sprintf(format, args...)})
}

func (p *partition) foundBatch(kind Kind, number int64, format string, args ...any) {
	p.audit.findings.add(Finding{Kind: kind, Part: p.Part, Batch: number,
		Text: sprintf("batch %d.%d: ", p.Part, number) + sprintf(format, args...)})
}

func (p *partition) foundClaim(kind Kind, c *store.ClaimRow, format string, args ...any) {
	ref, account := c.Verdict.Ref, store.AccountID{Part: p.Part, Number: c.Account}
	p.audit.findings.add(Finding{Kind: kind, Part: p.Part, Batch: ref.Batch, Claim: ref.String(), Account: account.String(),
		Text: sprintf("claim %s of account %s: ", ref, account) + sprintf(format, args...)})
}

func (p *partition) foundAccount(kind Kind, n claim.Number, format string, args ...any) {
	account := store.AccountID{Part: p.Part, Number: n}
	p.audit.findings.add(Finding{Kind: kind, Part: p.Part, Account: account.String(),
		Text: sprintf("account %s: ", account) + sprintf(format, args...)})
}
