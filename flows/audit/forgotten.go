package audit

import (
	"context"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
)

// Whether an act was forgotten is asked when it is judged, in other partitions, whose clocks and commits are their own: what
// was known then cannot be made again to the instant. So a refusal for it must have a mark that explains it, and a claim
// that was accepted none from well before.

// A recalled claim is one that a mark must explain, or must not contradict.
type recalled struct {
	row     store.ClaimRow
	at      claim.Micros
	marks   []claim.Marked
	refused bool
}

// settledAfter is when a mark must have been seen by all.
const settledAfter = time.Hour

// forgotten takes over from the verdicts of a batch which acts were forgotten, to be held against the marks at the end.
func (j *judge) forgotten(b *batch, rows []*store.ClaimRow) {
	for i, r := range rows {
		came := r.CameBack()
		if came {
			j.known.Forget(claim.Identity{Account: r.Account, Partner: r.Partner, ID: r.ID})
		}
		if !came && (!j.Snapshot.Forgotten || r.Verdict.Reason.Kind() != reason.Accepted) {
			continue
		}
		if marks := j.docket.Marks(i); came || len(marks) > 0 {
			j.recalled = append(j.recalled, recalled{*r, b.at, marks, came})
		}
	}
}

// closeForgotten looks the marks up.
func (p *partition) closeForgotten(ctx context.Context) error {
	for i := range p.recalled {
		r := &p.recalled[i]
		known := false
		for _, m := range r.marks {
			at, found, err := p.audit.db.ForgottenSince(ctx, m.Text)
			if err != nil {
				return err
			}
			known = known || found && at <= m.Before && (r.refused || at < r.at-settledAfter.Microseconds())
		}
		if known != r.refused {
			p.foundClaim(Verdicts, &r.row, "it is recorded as %s, and its act %s", r.row.Verdict.Reason,
				map[bool]string{true: "was credited to somebody who was erased", false: "was not credited to anybody who was erased"}[known])
		}
	}
	return nil
}
