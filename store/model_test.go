package store_test

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
)

// A model is what the documents of these tests say, written once more in the plainest way, for one
// partition. It shares no code with the rules: whole numbers, loops, and maps from text.
type model struct {
	links   map[string]*modelLink
	seen    map[string]*judged // by account, partner and id
	trips   map[int64][]*claim.Claim
	taken   map[string]bool  // acts and months, by account
	km      map[string]int64 // by account and local day
	used    map[string]int64 // by account and month
	net     map[string]int64 // by account and year, in mg
	balance map[string]int64 // by account (or applicant) and asset
	counts  map[reason.Code]int64
}

type modelLink struct {
	account            int64
	programme, partner string
	purposes           []string
	revoked            int64
}

// judged is a verdict as far as the model knows it.
type judged struct {
	content    string
	reason     reason.Code
	mg, points int64
}

func newModel() *model {
	return &model{links: map[string]*modelLink{}, seen: map[string]*judged{}, trips: map[int64][]*claim.Claim{}, taken: map[string]bool{},
		km: map[string]int64{}, used: map[string]int64{}, net: map[string]int64{}, balance: map[string]int64{}, counts: map[reason.Code]int64{}}
}

// judge is the verdict on a claim at an instant, and what comes of it.
func (m *model) judge(c *claim.Claim, at int64) judged {
	l := m.links[c.Sub]
	if l == nil || l.partner != c.Partner {
		return m.only(reason.NoLink)
	}
	key := fmt.Sprint(l.account, "/", c.Partner, "/", c.ID)
	content := fmt.Sprintf("%s %d %d %q %q %q", c.Scenario, c.Start, c.End, c.Evidence, c.Act, c.Quantities)
	if first := m.seen[key]; first != nil {
		if first.content != content {
			return m.only(reason.IDReused)
		}
		again := *first
		again.reason = reason.Replay
		m.counts[reason.Replay]++
		return again
	}
	if l.revoked != 0 && l.revoked <= at {
		return m.only(reason.LinkRevoked)
	}
	if !strings.Contains(strings.Join(l.purposes, " "), "credit") {
		return m.only(reason.NoPurpose)
	}
	v := judged{content: content}
	if v.reason = m.refuse(c, l, at); v.reason == reason.InFuture {
		return m.only(v.reason)
	}
	if v.reason == reason.OK {
		m.credit(c, l, &v)
	}
	m.seen[key] = &v
	m.counts[v.reason]++
	return v
}

func (m *model) only(code reason.Code) judged {
	m.counts[code]++
	return judged{reason: code}
}

// refuse finds what is wrong with a claim.
func (m *model) refuse(c *claim.Claim, l *modelLink, at int64) reason.Code {
	offered := map[string]string{"bike": "city", "order": "city", "power": "home"}
	amount, _ := strconv.ParseInt(c.Quantities[0].Text, 10, 64)
	switch {
	case offered[c.Scenario] != l.programme:
		return reason.ScenarioOff
	case c.End < c.Start, c.Scenario == "bike" && c.End-c.Start > 24*3600e6:
		return reason.BadTime
	case c.End > at+300e6:
		return reason.InFuture
	case c.Evidence != "system":
		return reason.BadEvidence
	case c.Scenario == "order" && c.Act == "":
		return reason.BadQuantity
	case c.Scenario == "bike" && amount > 50:
		return reason.AboveMaximum
	}
	if c.Scenario == "bike" {
		for _, other := range m.trips[l.account] {
			if together(c, other) {
				return reason.Overlap
			}
		}
		if m.km[dayOf(c, l)]+amount > 60 {
			return reason.CapReached
		}
	}
	if (c.Scenario == "order" || c.Scenario == "power") && m.taken[slotOf(c, l)] {
		return reason.Overlap
	}
	if _, kept := m.used[fmt.Sprint(l.account, monthOf(c).AddDate(-1, 0, 0).Format(" 2006-01"))]; c.Scenario == "power" && !kept {
		m.taken[slotOf(c, l)] = true
		m.used[fmt.Sprint(l.account, monthOf(c).Format(" 2006-01"))] = amount
		return reason.NoHistory
	}
	return reason.OK
}

// credit computes what a claim is worth and books it.
func (m *model) credit(c *claim.Claim, l *modelLink, v *judged) {
	amount, _ := strconv.ParseInt(c.Quantities[0].Text, 10, 64)
	method := strings.ToUpper(c.Scenario)
	switch c.Scenario {
	case "bike":
		m.trips[l.account] = append(m.trips[l.account], c)
		m.km[dayOf(c, l)] += amount
		v.mg = amount * 100_000
	case "order":
		m.taken[slotOf(c, l)] = true
		v.mg = amount * 46_000
	case "power":
		m.taken[slotOf(c, l)] = true
		m.used[fmt.Sprint(l.account, monthOf(c).Format(" 2006-01"))] = amount
		year := fmt.Sprint(l.account, monthOf(c).Format(" 2006"))
		before := m.net[year]
		m.net[year] += (m.used[fmt.Sprint(l.account, monthOf(c).AddDate(-1, 0, 0).Format(" 2006-01"))] - amount) * 500_000
		v.mg = max(0, m.net[year]) - max(0, before)
	}
	holder := fmt.Sprint(l.account)
	if l.programme == "city" && strings.Contains(strings.Join(l.purposes, " "), "assign") {
		holder = "applicant"
		v.points = v.mg / 10
		m.balance[fmt.Sprint(l.account, " POINT")] += v.points
	}
	year := time.UnixMicro(c.Start).In(shanghai).Format("2006")
	m.balance[holder+" CO2E/"+l.programme+"/"+method+"@1/"+year] += v.mg
}

var shanghai = time.FixedZone("", 8*3600)

func monthOf(c *claim.Claim) time.Time { return time.UnixMicro(c.Start).In(shanghai) }

func dayOf(c *claim.Claim, l *modelLink) string {
	return fmt.Sprint(l.account, time.UnixMicro(c.Start).In(shanghai).Format(" 2006-01-02"))
}

func slotOf(c *claim.Claim, l *modelLink) string {
	if c.Scenario == "order" {
		return fmt.Sprint(l.account, " ", c.Act)
	}
	return fmt.Sprint(l.account, monthOf(c).Format(" 2006-01"))
}

// together reports whether two trips are more than a minute, or more than half of the shorter one, at once.
func together(a, b *claim.Claim) bool {
	shorter := min(a.End-a.Start, b.End-b.Start)
	if shorter == 0 { // an instant: inside the other, or the same
		return a.Start == b.Start && a.End == b.End || a.Start < b.Start && b.End < a.End || b.Start < a.Start && a.End < b.End
	}
	both := min(a.End, b.End) - max(a.Start, b.Start)
	return both > 60e6 || 2*both > shorter
}
