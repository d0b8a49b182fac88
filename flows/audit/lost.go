package audit

import (
	"context"
	"slices"

	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
)

// What was lost with a database that a backup took the place of holds its number and nothing else. Nobody can lose
// something quietly: what is lost is recorded as such, and what is recorded so is in the log.

// readLosses reads what is recorded as lost of the partition, and holds it against the log.
func (p *partition) readLosses(ctx context.Context) error {
	p.lost = map[string][]record.Lost{}
	said := p.heard.losses
	err := p.Snapshot.Losses(ctx, func(l record.Lost) {
		p.lost[l.Of] = append(p.lost[l.Of], l)
		if len(said) == 0 {
			p.unsealed.losses++
			return
		}
		if said[0] != l {
			p.found(Log, "loss %d, of %s %d to %d, is not the one that the log has, of %s %d to %d", l.Number, l.Of, l.From, l.To, said[0].Of, said[0].From, said[0].To)
		}
		said = said[1:]
	})
	for _, l := range said {
		p.found(Log, "loss %d, of %s %d to %d, is in the log, and not recorded", l.Number, l.Of, l.From, l.To)
	}
	return err
}

// isLost reports whether something is recorded as lost.
func (p *partition) isLost(stream string, number int64) bool {
	return slices.ContainsFunc(p.lost[stream], func(l record.Lost) bool { return l.Covers(number) })
}

// heldBatch checks a batch of which nothing is left but its record.
func (p *partition) heldBatch(number, claims int64, leaves, accounts []byte, counts string) {
	if claims != 0 || len(leaves) > 0 || len(accounts) > 0 || counts != "" {
		p.foundBatch(Leaves, number, "it was lost, and has claims")
	}
	if !p.isLost(record.BatchType, number) {
		p.foundBatch(Places, number, "its claims are not there, and it is not recorded as lost")
	}
	p.held.Batches++
}

// heldConsent checks a consent of which nothing is left but its record.
func (p *partition) heldConsent(number int64) {
	if !p.isLost(record.LinksType, number) {
		p.foundConsent(Consents, number, "its links are not there, and it is not recorded as lost")
	}
	p.held.Consents++
}

// heldTexts finds the documents of which the text was lost, and tells of them. They are of no partition; their losses stand with those of the
// first one, which holds them against the log.
func (a *audit) heldTexts(ctx context.Context, documents []store.Document) (map[int64]bool, error) {
	var lost []record.Lost
	err := a.db.Snapshot(ctx, 0, func(s *store.Snapshot) error {
		return s.Losses(ctx, func(l record.Lost) {
			if l.Of == record.DocumentType {
				lost = append(lost, l)
			}
		})
	})
	held := map[int64]bool{}
	for _, d := range documents {
		said := slices.ContainsFunc(lost, func(l record.Lost) bool { return l.Covers(d.Rulebook) })
		if !said || !d.Held() || !record.Derived(d.Kind) {
			continue
		}
		held[d.Rulebook] = true
		text := sprintf("the text of %s %s, rulebook %d, is not here: it was lost with a database that a backup took the place of, and nothing is judged by it", d.Kind, d.Name, d.Rulebook)
		if publish.Told(documents, d.Name) != nil {
			text += "; what the restatement came to was added up again since, and is published"
		}
		a.note(text)
	}
	return held, err
}

// checkKeys holds the log's keys after its first against those recorded.
func (a *audit) checkKeys(ctx context.Context) error {
	recorded, err := a.db.LogKeys(ctx)
	if err != nil {
		return err
	}
	for _, said := range a.testimony.keys {
		i := slices.IndexFunc(recorded, func(k record.Key) bool { return k.Number == said.Number })
		switch {
		case i < 0:
			a.foundLog("its key %d is not recorded", said.Number)
		case ledger.TextHash(record.Text(&recorded[i])) != ledger.TextHash(record.Text(&said)):
			a.foundLog("its key %d is recorded otherwise", said.Number)
		}
	}
	return nil
}
