package audit

import (
	"cmp"
	"context"
	"math"
	"slices"
	"sort"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
)

// consented is a link's leaf, as the log has it under a row of consents.
type consented struct {
	store.Consented
	seen       bool // its link was met
	number, at int64
	leaf       ledger.Hash
}

// readConsents holds each row of consents against the log and its own leaves, and keeps the leaves for their links:
// 72 bytes for each link that was granted or ended.
func (p *partition) readConsents(ctx context.Context) error {
	last := int64(0)
	err := p.Snapshot.EachConsent(ctx, func(c *store.ConsentRow) {
		if c.Number != last+1 {
			p.foundConsent(Consents, c.Number, "it follows consent %d", last)
		}
		last = c.Number
		p.heardConsent(c)
		if c.Held() {
			p.heldConsent(c.Number)
			return
		}
		whose, ok := c.Consented()
		if !ok {
			p.foundConsent(Consents, c.Number, "it has %d bytes of leaves and %d bytes of links, which do not go together", len(c.Leaves), len(c.Links))
			return
		}
		leaves := make([]ledger.Hash, len(whose))
		for i := range whose {
			copy(leaves[i][:], c.Leaves[i*len(leaves[i]):])
			if whose[i].Account == 0 && whose[i].Link == 0 {
				p.erasures.links++
				continue
			}
			p.consents = append(p.consents, consented{whose[i], false, c.Number, c.At, leaves[i]})
		}
		if ledger.Root(leaves) != c.Root {
			p.foundConsent(Consents, c.Number, "its root is not that of its leaves")
		}
	})
	if err != nil {
		return err
	}
	p.unheard(&p.heard.links, math.MaxInt64-1, func(n int64) { p.foundConsent(Log, n, "it is in the log, and not recorded") })
	if last != p.Snapshot.Consents-1 {
		p.found(Consents, "its next consent is %d, and the last that is recorded %d", p.Snapshot.Consents, last)
	}
	slices.SortFunc(p.consents, func(a, b consented) int { return compareConsented(a.Consented, b.Consented) })
	return nil
}

func (p *partition) foundConsent(kind Kind, number int64, format string, args ...any) {
	p.audit.findings.add(Finding{Kind: kind, Part: p.Part, Text: sprintf("consent %d.%d: ", p.Part, number) + sprintf(format, args...)})
}

// heardConsent holds a row against the log.
func (p *partition) heardConsent(c *store.ConsentRow) {
	p.unheard(&p.heard.links, c.Number, func(n int64) { p.foundConsent(Log, n, "it is in the log, and not recorded") })
	said := p.heard.links.of(c.Number)
	if said == nil {
		p.unsealed.consents++
		return
	}
	hash := ledger.TextHash(record.Text(&record.Links{Part: p.Part, Number: c.Number, At: c.At, Root: record.Hash(c.Root)}))
	if string(said) != string(hash[:]) {
		p.foundConsent(Log, c.Number, "the log has it otherwise than it is recorded")
	}
}

func compareConsented(a, b store.Consented) int {
	if c := cmp.Or(cmp.Compare(a.Account, b.Account), cmp.Compare(a.Link, b.Link)); c != 0 || a.Ended == b.Ended {
		return c
	}
	if b.Ended {
		return -1
	}
	return 1
}

// consent finds the leaf of a link that was granted or ended; nil where there is none.
func (p *partition) consent(of store.Consented) *consented {
	i := sort.Search(len(p.consents), func(i int) bool { return compareConsented(p.consents[i].Consented, of) >= 0 })
	if i == len(p.consents) || p.consents[i].Consented != of {
		return nil
	}
	return &p.consents[i]
}

// checkLink holds a link against the leaves that tell of it.
func (p *partition) checkLink(l *claim.Link, granted int64, keyed bool) {
	p.checkEvent(l, false, granted, keyed)
	if l.Revoked != 0 {
		p.checkEvent(l, true, l.Revoked, keyed)
	}
}

// checkEvent holds the grant of a link, or its end, against its leaf. Without the account's key that cannot be made again.
func (p *partition) checkEvent(l *claim.Link, ended bool, at int64, keyed bool) {
	event := "granted"
	if ended {
		event = "ended"
	}
	c := p.consent(store.Consented{Account: l.Account, Link: l.Number, Ended: ended})
	switch {
	case c == nil:
		p.foundAccount(Consents, l.Account, "its link %d with %s was %s, of which no consent tells", l.Number, l.Partner, event)
		return
	case c.at != at:
		p.foundAccount(Consents, l.Account, "its link %d with %s was %s at %s, and by consent %d.%d at %s", l.Number, l.Partner, event, instant(at), p.Part, c.number, instant(c.at))
	}
	c.seen = true
	if keyed && claim.LinkLeafHash(l, c.at, ended) != c.leaf {
		p.foundAccount(Consents, l.Account, "its link %d with %s is not the one that was %s by consent %d.%d", l.Number, l.Partner, event, p.Part, c.number)
	}
}

// closeConsents looks for leaves of links that are not there, or have not ended.
func (p *partition) closeConsents() {
	for i := range p.consents {
		c := &p.consents[i]
		if c.seen {
			continue
		}
		event := "granted"
		if c.Ended {
			event = "ended"
		}
		p.foundConsent(Consents, c.number, "link %d of account %s was %s by it, and is not recorded so", c.Link, store.AccountID{Part: p.Part, Number: c.Account}, event)
	}
}
