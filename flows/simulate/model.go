package simulate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store"
)

// The model is what the documents of a simulation say, written once more in the plainest way. It shares no code with
// the rules: whole numbers, loops, and one list of rows an account. Whatever is used up, taken or owed is found by going
// through that list.
type model struct {
	terms    terms
	links    map[string]*mlink // by sub
	order    []*mlink          // as they were granted
	accounts map[store.AccountID]*maccount
	parts    []mpart
	rows     map[claim.Ref]*mrow
	counts   map[reason.Code]int

	left      map[string]int64 // what the applicant has for acts of people who were erased
	forgotten map[string]int64 // those acts, and when each was marked
}

// terms is what the documents in force say that is not the same in all worlds.
type terms struct {
	Swim     bool // the programme takes swimming too
	Early    bool // it takes acts of February
	Late     int  // hours
	Bike2    int64
	Rulebook int64

	Bike2Book int64 // by which Bike2 was published
	Restated  []restated
}

// An mpart is a partition, as far as its batches tell.
type mpart struct {
	head int64 // number of the last batch
	at   int64
}

type mlink struct {
	sub, programme, partner string
	account                 *maccount
	scenarios, purposes     []string
	since, granted, revoked int64
	sealed                  bool // that it ended is under a signed head
}

type maccount struct {
	id      store.AccountID
	joined  int // it is the so-manieth
	erased  bool
	objects map[string]int64 // since when each is known where its claims are judged
	rows    []*mrow
	first   map[string]*mrow // by partner and id, as first judged
	owed    map[string]int64 // what partners owe of an asset
}

// An mrow is a recorded claim.
type mrow struct {
	judged
	ref     claim.Ref
	claim   *claim.Claim
	account *maccount
	link    *mlink
	gone    bool // it was reversed
	acked   bool // its partner was told
	signed  bool // and had signed
	forgot  bool // the act was that of somebody who was erased
}

// judged is a verdict, as far as the model knows it.
type judged struct {
	reason     reason.Code
	mg, points int64
	value      int64 // before caps and totals; of a meter, what it adds to its year
	km         int64 // tenths, that count for the cap
	per        int64 // of a ride: mg a tenth, by the text that decided
	text       string
}

func newModel(parts int) *model {
	return &model{links: map[string]*mlink{}, accounts: map[store.AccountID]*maccount{}, parts: make([]mpart, parts), rows: map[claim.Ref]*mrow{}, counts: map[reason.Code]int{},
		left: map[string]int64{}, forgotten: map[string]int64{}}
}

func (m *model) account(id store.AccountID) *maccount {
	a := m.accounts[id]
	if a == nil {
		a = &maccount{id: id, joined: len(m.accounts) + 1, objects: map[string]int64{}, first: map[string]*mrow{}, owed: map[string]int64{}}
		m.accounts[id] = a
	}
	return a
}

var local = time.FixedZone("", 8*3600)

func localTime(us int64) time.Time { return time.UnixMicro(us).In(local) }

// batch judges the claims of a batch that was committed, and returns what each must have come to.
func (m *model) batch(part int, claims []claim.Claim, clock int64, backfill bool) []judged {
	p := &m.parts[part]
	p.head++
	p.at = max(p.at, clock)
	list, ord := make([]judged, len(claims)), 0
	for i := range claims {
		v, row := m.judge(&claims[i], p.at, backfill)
		if row != nil {
			row.ref = claim.Ref{Part: part, Batch: p.head, Ord: ord}
			m.rows[row.ref] = row
			ord++
		}
		list[i] = v
		m.counts[v.reason]++
	}
	return list
}

// judge is the verdict on a claim at an instant; the row that it leaves is recorded.
func (m *model) judge(c *claim.Claim, at int64, backfill bool) (judged, *mrow) {
	l := m.links[c.Sub]
	if l == nil || l.partner != c.Partner {
		return judged{reason: reason.NoLink}, nil
	}
	a := l.account
	if first := a.first[c.Partner+"/"+c.ID]; first != nil {
		if content(first.claim) != content(c) {
			return judged{reason: reason.IDReused}, nil
		}
		again := first.judged
		again.reason = reason.Replay
		return again, nil
	}
	v := judged{reason: m.refuse(c, l, at, backfill)}
	if v.reason == reason.OK {
		v = m.weigh(c, l)
	}
	switch v.reason {
	case reason.NoLink, reason.LinkRevoked, reason.NoPurpose, reason.InFuture:
		return v, nil
	}
	row := &mrow{judged: v, claim: c, account: a, link: l, forgot: v.reason == reason.Overlap && m.forgot(c, l)}
	a.rows = append(a.rows, row)
	a.first[c.Partner+"/"+c.ID] = row
	return v, row
}

// content is what of a claim must be the same for it to be the same claim.
func content(c *claim.Claim) string {
	return fmt.Sprintf("%s %d %d %q %q %q %q %q %q", c.Scenario, c.Start, c.End, c.Evidence, c.Region, c.Act, c.Object, c.Quantities, c.Commitment)
}

// method is the methodology of a scenario, "" where the programme does not offer it to the partner.
func (m *model) method(programme, scenario, partner string) string {
	offers := map[string]string{"bike": "BIKE", "walk": "WALK", "steps": "STEPS", "order": "ORDER", "share": "SHARE", "ferry": "FERRY"}
	switch {
	case programme == "home" && scenario == "meter" && partner == "grid":
		return "METER"
	case programme == "city" && scenario == "swim" && m.terms.Swim && (partner == "rides" || partner == "bank"):
		return "BIKE"
	case programme == "city" && (partner == "rides" || partner == "bank"):
		return offers[scenario]
	}
	return ""
}

// inputs of the methodologies: what each is called, its least and most, both in tenths.
var inputs = map[string]struct {
	name        string
	least, most int64
}{"BIKE": {"distance", 10, 500}, "WALK": {"steps", 1000, 300000}, "STEPS": {"steps", 10, 600000}, "ORDER": {"orders", 10, 10},
	"SHARE": {"orders", 0, 90}, "METER": {"used", 0, 10000}}

// refuse finds what is wrong with the claim itself, or what it clashes with.
func (m *model) refuse(c *claim.Claim, l *mlink, at int64, backfill bool) reason.Code {
	const hour = int64(3600e6)
	method := m.method(l.programme, c.Scenario, c.Partner)
	opens, late := time.Date(2026, 3, 1, 0, 0, 0, 0, local), int64(m.terms.Late)
	if m.terms.Early {
		opens = time.Date(2026, 2, 1, 0, 0, 0, 0, local)
	}
	if l.programme == "home" {
		opens, late = time.Time{}, 40000
	}
	switch {
	case !backfill && c.Start < l.since, len(l.scenarios) > 0 && !slices.Contains(l.scenarios, c.Scenario):
		return reason.NoLink
	case l.revoked != 0 && l.revoked <= at:
		return reason.LinkRevoked
	case !slices.Contains(l.purposes, claim.Credit):
		return reason.NoPurpose
	case l.programme == "city" && c.Start < opens.UnixMicro():
		return reason.ProgrammeClosed
	case method == "":
		return reason.ScenarioOff
	case method == "FERRY":
		return reason.UnknownMethodology
	case c.End < c.Start,
		(method == "BIKE" || method == "WALK") && c.End-c.Start > 24*hour,
		method == "STEPS" && !(midnight(c.Start) && c.End == c.Start+24*hour),
		method == "METER" && !(midnight(c.Start) && localTime(c.Start).Day() == 1 && c.End == localTime(c.Start).AddDate(0, 1, 0).UnixMicro()):
		return reason.BadTime
	case c.End > at+300e6:
		return reason.InFuture
	case !backfill && at-c.End > late*hour:
		return reason.TooLate
	case c.Region != "" && c.Region != "CN-42" && !strings.HasPrefix(c.Region, "CN-42"):
		return reason.OutOfRegion
	}
	if code := measured(c, l, method, at); code != reason.OK {
		return code
	}
	if m.forgot(c, l) || l.account.taken(c) {
		return reason.Overlap
	}
	return reason.OK
}

func midnight(us int64) bool { return (us+8*3600e6)%86400e6 == 0 }

// measured judges evidence and quantities.
func measured(c *claim.Claim, l *mlink, method string, at int64) reason.Code {
	in := inputs[method]
	if c.Evidence != "system" && (method != "BIKE" || c.Evidence != "self") {
		return reason.BadEvidence
	}
	if len(c.Quantities) != 1 || c.Quantities[0].Name != in.name {
		return reason.BadQuantity
	}
	n := tenths(c)
	switch {
	case method == "ORDER" && c.Act == "":
		return reason.BadQuantity
	case n < in.least:
		return reason.BelowMinimum
	case n > in.most:
		return reason.AboveMaximum
	case (c.Object != "" || method == "METER") && !l.account.has(c.Object, at):
		return reason.ObjectUnknown
	case method == "BIKE" && n*3600e6 > 300*(c.End-c.Start): // 30 km/h
		return reason.Implausible
	}
	return reason.OK
}

// has reports whether an object was the account's at an instant.
func (a *maccount) has(object string, at int64) bool {
	since, ok := a.objects[object]
	return ok && since <= at
}

// tenths is the claim's quantity in tenths.
func tenths(c *claim.Claim) int64 { return tenthsOf(c.Quantities[0].Text) }

func tenthsOf(text string) int64 {
	whole, tenth, _ := strings.Cut(text, ".")
	n, _ := strconv.ParseInt(whole+(tenth + "0")[:1], 10, 64)
	return n
}

// counts reports whether a row is one that counts now.
func (r *mrow) counts() bool {
	return !r.gone && (r.reason == reason.OK || r.reason == reason.NoHistory)
}

// kind is the group of a scenario.
func kind(scenario string) string {
	switch scenario {
	case "bike", "swim", "walk":
		return "trip"
	case "meter":
		return "power"
	}
	return scenario
}

// clash reports whether one person cannot have done both.
func clash(a, b *claim.Claim) bool {
	if kind(a.Scenario) != kind(b.Scenario) {
		return false
	}
	switch kind(a.Scenario) {
	case "trip":
		shorter := min(a.End-a.Start, b.End-b.Start)
		if shorter == 0 {
			return a.Start == b.Start && a.End == b.End || a.Start < b.Start && b.End < a.End || b.Start < a.Start && a.End < b.End
		}
		both := min(a.End, b.End) - max(a.Start, b.Start)
		return both > 60e6 || both > 0 && 2*both > shorter
	case "order":
		return a.Act == b.Act
	case "power":
		return a.Start == b.Start && a.Object == b.Object
	}
	return false
}

func (a *maccount) taken(c *claim.Claim) bool {
	for _, r := range a.rows {
		if r.counts() && clash(r.claim, c) {
			return true
		}
	}
	return false
}

// weigh computes what a claim is worth besides all that counts.
func (m *model) weigh(c *claim.Claim, l *mlink) judged {
	v := judged{reason: reason.OK}
	a, n := l.account, tenths(c)
	day, month := localTime(c.Start).Format("2006-01-02"), localTime(c.Start).Format("2006-01")
	switch m.method(l.programme, c.Scenario, c.Partner) {
	case "BIKE":
		claims, km := 0, int64(0)
		for _, r := range a.rows {
			if r.counts() && (r.claim.Scenario == "bike" || r.claim.Scenario == "swim") && localTime(r.claim.Start).Format("2006-01-02") == day {
				claims++
				km += r.km
			}
		}
		if claims >= 3 || km >= 120 {
			return judged{reason: reason.CapReached}
		}
		v.km = min(n, 120-km)
		v.per, v.text = m.perTenth(c), m.ride(c)
		v.value = v.km * v.per
		v.mg = v.value
	case "WALK", "STEPS":
		v.value = 2 * n
		before, after := credit(a, day, nil, 0), credit(a, day, c, v.value)
		v.mg = after - before
	case "ORDER":
		used := int64(0)
		for _, r := range a.rows {
			if r.counts() && r.claim.Scenario == "order" && localTime(r.claim.Start).Format("2006-01") == month {
				used += r.mg
			}
		}
		if used >= 20_000 {
			return judged{reason: reason.CapReached}
		}
		v.value = 7000
		v.mg = min(7000, 20_000-used)
	case "SHARE":
		if n == 0 {
			return judged{reason: reason.CannotCompute}
		}
		v.mg = 60_000
	case "METER":
		last, known := earlier(a, c)
		if !known {
			return judged{reason: reason.NoHistory}
		}
		v.value = (last - n) * 50_000
		net := net(a, localTime(c.Start).Year())
		v.mg = max(0, net+v.value) - max(0, net)
	}
	if l.assigned() && v.mg > 0 {
		v.points = v.mg / 10
	}
	return v
}

// perTenth is what a tenth of a kilometre is worth, by the text in force when it was ridden.
func (m *model) perTenth(c *claim.Claim) int64 {
	mg := int64(10_000)
	if r := m.terms.restates(c.Start); r != nil {
		mg = r.per
	} else if m.terms.Bike2 != 0 && c.Start >= m.terms.Bike2 {
		mg = 15_000
	}
	if c.Evidence == "self" {
		mg /= 2
	}
	return mg
}

// ride is the text that decides of a ride.
func (m *model) ride(c *claim.Claim) string {
	if r := m.terms.restates(c.Start); r != nil {
		return fmt.Sprint("BIKE@", r.version)
	} else if m.terms.Bike2 != 0 && c.Start >= m.terms.Bike2 {
		return "BIKE@2"
	}
	return "BIKE@1"
}

func (l *mlink) assigned() bool {
	return l.programme == "city" && slices.Contains(l.purposes, claim.Assign)
}

// credit is what a day's walking is worth: the greatest of its totals, or the sum of its walks; with one more claim.
func credit(a *maccount, day string, more *claim.Claim, value int64) int64 {
	greatest, walks := int64(0), int64(0)
	add := func(c *claim.Claim, value int64) {
		switch c.Scenario {
		case "walk":
			walks += value
		case "steps":
			greatest = max(greatest, value)
		}
	}
	for _, r := range a.rows {
		if r.counts() && localTime(r.claim.Start).Format("2006-01-02") == day {
			add(r.claim, r.value)
		}
	}
	if more != nil {
		add(more, value)
	}
	return max(greatest, walks)
}

// earlier is the meter's reading of the same month a year before.
func earlier(a *maccount, c *claim.Claim) (tenth int64, known bool) {
	before := localTime(c.Start).AddDate(-1, 0, 0).UnixMicro()
	for _, r := range a.rows {
		if r.counts() && r.claim.Scenario == "meter" && r.claim.Start == before && r.claim.Object == c.Object {
			return tenths(r.claim), true
		}
	}
	return 0, false
}

// net is what a year's readings add up to.
func net(a *maccount, year int) (sum int64) {
	for _, r := range a.rows {
		if r.counts() && r.reason == reason.OK && r.claim.Scenario == "meter" && localTime(r.claim.Start).Year() == year {
			sum += r.value
		}
	}
	return sum
}

// join notes a consent.
func (m *model) join(c link.Consent, sub string, id store.AccountID) *mlink {
	a := m.account(id)
	l := &mlink{sub: sub, programme: c.Programme, partner: c.Partner, account: a, scenarios: c.Scenarios, purposes: c.Purposes, since: c.Since.UnixMicro()}
	m.links[sub] = l
	m.order = append(m.order, l)
	return l
}

// crowd reports whether the account is one of those that only ride together.
func (a *maccount) crowd() bool { return a.joined > 3 && a.joined <= 3+crowd }

// members are the accounts as they joined.
func (m *model) members() []*maccount {
	list := make([]*maccount, len(m.accounts))
	for _, a := range m.accounts {
		list[a.joined-1] = a
	}
	return list
}

// asset is what the row was credited in.
func (m *model) asset(r *mrow) string {
	method := map[string]string{"bike": "BIKE@1", "swim": "BIKE@1", "walk": "WALK@1", "steps": "STEPS@1", "order": "ORDER@1", "share": "SHARE@1", "meter": "METER@1"}[r.claim.Scenario]
	if r.text != "" {
		method = r.text
	}
	return fmt.Sprintf("CO2E/%s/%s/%d", r.link.programme, method, localTime(r.claim.Start).Year())
}

// balances are what all holders have: of members by account, of the applicant by partition.
func (m *model) balances() map[string]int64 {
	sums := maps.Clone(m.left)
	for _, a := range m.members() {
		for _, r := range a.rows {
			if !r.counts() {
				continue
			}
			holder := a.id.String()
			if r.link.assigned() {
				holder = fmt.Sprint("applicant ", a.id.Part)
				sums[a.id.String()+" POINT"] += r.points
			}
			sums[holder+" "+m.asset(r)] += r.mg
		}
		for asset, owed := range a.owed {
			sums[a.id.String()+" "+asset] += owed
		}
	}
	return sums
}

// clone is the model as it is now, for when the database comes back as it is now.
func (m *model) clone() *model {
	c := newModel(len(m.parts))
	c.terms = m.terms
	maps.Copy(c.left, m.left)
	maps.Copy(c.forgotten, m.forgotten)
	copy(c.parts, m.parts)
	for _, a := range m.members() {
		b := c.account(a.id)
		b.erased = a.erased
		maps.Copy(b.objects, a.objects)
		maps.Copy(b.owed, a.owed)
	}
	for _, l := range m.order {
		k := *l
		k.account = c.accounts[l.account.id]
		c.links[k.sub], c.order = &k, append(c.order, &k)
	}
	for _, a := range m.members() {
		b := c.accounts[a.id]
		for _, r := range a.rows {
			k := *r
			k.account, k.link = b, c.links[r.link.sub]
			b.rows, c.rows[k.ref] = append(b.rows, &k), &k
		}
		for key, r := range a.first {
			b.first[key] = c.rows[r.ref]
		}
	}
	return c
}
