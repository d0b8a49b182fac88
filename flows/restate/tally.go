package restate

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/record"
)

// A tally adds up courses into a report. Partitions are tallied apart and then merged, in whatever order: sums
// and the largest do not depend on it.
type tally struct {
	trial *trial

	judged   Judged
	total    Sum
	renamed  int64
	accounts Accounts
	reasons  map[reasonKey]*Sum
	schemes  map[string]*Sum
	texts    map[[2]string]*Sum
	spread   [2*len(edges) + 3]struct{ claims, accounts int64 }
	claims   []largestClaim
	members  []largestMember
	wrong    map[Why]Unjudged
	noRow    map[reason.Code]int64
	overflow bool
}

type reasonKey struct {
	month    string
	from, to reason.Code
}

type largestClaim struct {
	ref claim.Ref
	Largest
}

type largestMember struct {
	ref  claim.Ref
	most int64 // the greatest difference of a claim
	Member
}

// shown is how many of the largest are told one by one.
const shown = 10

// edges part differences, in grams: 1, 3, 10, … 100 kg, below and above zero alike.
var edges = [...]int64{1, 3, 10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000}

const gram = 1000 // mg

func newTally(t *trial) *tally {
	return &tally{trial: t, reasons: map[reasonKey]*Sum{}, schemes: map[string]*Sum{}, texts: map[[2]string]*Sum{},
		wrong: map[Why]Unjudged{}, noRow: map[reason.Code]int64{}}
}

// course takes in an account.
func (t *tally) course(c *Course) {
	t.judged.Accounts++
	t.judged.Claims += int64(len(c.Cases))
	var member largestMember
	for i := range c.Cases {
		k := &c.Cases[i]
		if !k.Drafted && !k.Changed() {
			continue
		}
		one := sumOf(k)
		t.concerned(k, &one)
		t.add(&member.Sum, &one)
		if d := magnitude(one.Difference()); d > member.most {
			member.ref, member.most = k.Old.Verdict.Ref, d
		}
	}
	if member.Claims == 0 {
		return
	}
	t.accounts.Concerned++
	t.spread[bucket(member.Difference())].accounts++
	switch d := member.Difference(); {
	case d > 0:
		t.accounts.More++
	case d < 0:
		t.accounts.Less++
	}
	if member.Changed > 0 {
		t.accounts.Changed++
	}
	if member.Difference() != 0 {
		t.members = keep(t.members, member, compareMembers)
	}
}

// concerned takes in a claim that the draft decides, or that changes.
func (t *tally) concerned(k *Case, one *Sum) {
	old, now := &k.Old.Verdict, &k.New.Verdict
	day := t.trial.method.LocalDay(k.Old.Start)
	t.add(&t.total, one)
	t.add(of(t.reasons, reasonKey{day[:len("2026-08")], old.Reason, now.Reason}), one)
	t.add(of(t.schemes, k.Old.Programme), one)
	t.add(of(t.texts, [2]string{old.Method, now.Method}), one)
	t.spread[bucket(one.Difference())].claims++
	if one.Changed == 0 {
		if old.Method != now.Method {
			t.renamed++
		}
		return
	}
	if one.Difference() == 0 {
		return
	}
	t.claims = keep(t.claims, largestClaim{old.Ref, Largest{
		Claim: old.Ref.String(), Day: day, Programme: k.Old.Programme, Scenario: k.Old.Scenario, OldText: old.Method, NewText: now.Method,
		OldReason: old.Reason, NewReason: now.Reason, Old: old.Milligrams, New: now.Milligrams,
	}}, compareClaims)
}

func sumOf(k *Case) Sum {
	s := Sum{Claims: 1, Old: k.Old.Verdict.Milligrams, New: k.New.Verdict.Milligrams, OldPoints: k.Old.Verdict.Points, NewPoints: k.New.Verdict.Points}
	if k.Changed() {
		s.Changed = 1
	}
	return s
}

func (t *tally) unjudged(why Why, claims int) {
	u := t.wrong[why]
	t.wrong[why] = Unjudged{why, u.Accounts + 1, u.Claims + int64(claims)}
}

func (t *tally) counts(counts claim.Counts) {
	for c, n := range counts {
		t.noRow[c.Reason] += n
	}
}

// add adds up, and notes when a sum leaves int64: 9.2 million tonnes.
func (t *tally) add(to, s *Sum) {
	to.Claims, to.Changed = to.Claims+s.Claims, to.Changed+s.Changed
	for _, a := range [...]struct {
		to   *int64
		more int64
	}{{&to.Old, s.Old}, {&to.New, s.New}, {&to.OldPoints, s.OldPoints}, {&to.NewPoints, s.NewPoints}} {
		n, ok := ledger.Add(*a.to, a.more)
		*a.to, t.overflow = n, t.overflow || !ok
	}
	if _, ok := ledger.Add(to.New, -to.Old); !ok {
		t.overflow = true
	}
}

// of finds a sum, or begins it.
func of[K comparable](m map[K]*Sum, k K) *Sum {
	s := m[k]
	if s == nil {
		s = &Sum{}
		m[k] = s
	}
	return s
}

// keep puts one more among the largest.
func keep[T any](list []T, one T, compare func(a, b T) int) []T {
	i, _ := slices.BinarySearchFunc(list, one, compare)
	if i == shown {
		return list
	}
	return slices.Insert(list[:min(len(list), shown-1)], i, one)
}

func compareClaims(a, b largestClaim) int {
	return cmp.Or(cmp.Compare(magnitude(b.New-b.Old), magnitude(a.New-a.Old)), compareRefs(a.ref, b.ref))
}

func compareMembers(a, b largestMember) int {
	return cmp.Or(cmp.Compare(magnitude(b.Difference()), magnitude(a.Difference())), compareRefs(a.ref, b.ref))
}

func compareRefs(a, b claim.Ref) int {
	return cmp.Or(cmp.Compare(a.Part, b.Part), cmp.Compare(a.Batch, b.Batch), cmp.Compare(a.Ord, b.Ord))
}

func magnitude(n int64) int64 { return max(n, -n) }

// bucket finds the place of a difference among the buckets: those below zero first, the farthest first of all.
func bucket(d int64) int {
	const zero = len(edges) + 1
	i := 0
	if d != 0 {
		i, _ = slices.BinarySearch(edges[:], (magnitude(d)+gram-1)/gram) // up to an edge, and with it
		i++
	}
	if d < 0 {
		return zero - i
	}
	return zero + i
}

// bounds are the differences that belong into a bucket.
func bounds(i int) (from, to *int64) {
	const zero = len(edges) + 1
	n := i - zero
	if n == 0 {
		return new(int64), new(int64)
	}
	place := magnitude(int64(n)) - 1
	low, high := int64(1), (*int64)(nil)
	if place > 0 {
		low = edges[place-1]*gram + 1
	}
	if place < int64(len(edges)) {
		edge := edges[place] * gram
		high = &edge
	}
	if n > 0 {
		return &low, high
	}
	low = -low
	if high != nil {
		*high = -*high
	}
	return high, &low
}

// merge takes in what another tally has.
func (t *tally) merge(o *tally) error {
	t.judged.Claims, t.judged.Accounts = t.judged.Claims+o.judged.Claims, t.judged.Accounts+o.judged.Accounts
	t.add(&t.total, &o.total)
	t.renamed += o.renamed
	a, b := &t.accounts, &o.accounts
	a.Concerned, a.Changed, a.More, a.Less = a.Concerned+b.Concerned, a.Changed+b.Changed, a.More+b.More, a.Less+b.Less
	mergeSums(t, t.reasons, o.reasons)
	mergeSums(t, t.schemes, o.schemes)
	mergeSums(t, t.texts, o.texts)
	for i, n := range o.spread {
		t.spread[i].claims, t.spread[i].accounts = t.spread[i].claims+n.claims, t.spread[i].accounts+n.accounts
	}
	for _, c := range o.claims {
		t.claims = keep(t.claims, c, compareClaims)
	}
	for _, m := range o.members {
		t.members = keep(t.members, m, compareMembers)
	}
	for why, u := range o.wrong {
		was := t.wrong[why]
		t.wrong[why] = Unjudged{why, was.Accounts + u.Accounts, was.Claims + u.Claims}
	}
	for code, n := range o.noRow {
		t.noRow[code] += n
	}
	if t.overflow = t.overflow || o.overflow; t.overflow {
		return errors.New("the sums are above 9.2 million tonnes, which no programme credits: some of the draft's figures must be wrong")
	}
	return nil
}

func mergeSums[K comparable](t *tally, to, from map[K]*Sum) {
	for k, s := range from {
		t.add(of(to, k), s)
	}
}

// report puts it all in order.
func (t *tally) report() *Report {
	r := &Report{Form: ReportForm, Draft: t.trial.text(), Watermark: *t.trial.mark, Judged: t.judged, Total: t.total, Renamed: t.renamed, Accounts: t.accounts,
		Months: []Month{}, Reasons: []Reasons{}, Schemes: []Scheme{}, Texts: []Texts{}, Claims: []Largest{}, Members: []Member{},
		Unjudged: []Unjudged{}, NoRow: []NoRow{}}
	t.byMonth(r)
	for _, id := range slices.Sorted(maps.Keys(t.schemes)) {
		r.Schemes = append(r.Schemes, Scheme{id, *t.schemes[id]})
	}
	pairs := slices.SortedFunc(maps.Keys(t.texts), func(a, b [2]string) int { return cmp.Or(strings.Compare(a[1], b[1]), strings.Compare(a[0], b[0])) })
	for _, k := range pairs {
		r.Texts = append(r.Texts, Texts{k[0], k[1], *t.texts[k]})
	}
	for i, n := range t.spread {
		b := Bucket{Claims: n.claims, Accounts: n.accounts}
		b.From, b.To = bounds(i)
		r.Spread = append(r.Spread, b)
	}
	for _, c := range t.claims {
		r.Claims = append(r.Claims, c.Largest)
	}
	for _, m := range t.members {
		m.Claim = m.ref.String()
		r.Members = append(r.Members, m.Member)
	}
	for _, why := range slices.Sorted(maps.Keys(t.wrong)) {
		r.Unjudged = append(r.Unjudged, t.wrong[why])
	}
	for _, code := range reason.All {
		if n := t.noRow[code]; n > 0 {
			r.NoRow = append(r.NoRow, NoRow{code, n})
		}
	}
	return r
}

// byMonth sorts what became of which reason: as they are judged, from those that count on.
func (t *tally) byMonth(r *Report) {
	place := map[reason.Code]int{}
	for i, code := range reason.All {
		place[code] = -i
	}
	compare := func(a, b reasonKey) int {
		return cmp.Or(strings.Compare(a.month, b.month), cmp.Compare(place[a.from], place[b.from]), cmp.Compare(place[a.to], place[b.to]))
	}
	all := map[reasonKey]*Sum{}
	for k, s := range t.reasons {
		t.add(of(all, reasonKey{from: k.from, to: k.to}), s)
	}
	for _, k := range slices.SortedFunc(maps.Keys(all), compare) {
		r.Reasons = append(r.Reasons, Reasons{k.from, k.to, *all[k]})
	}
	for _, k := range slices.SortedFunc(maps.Keys(t.reasons), compare) {
		if n := len(r.Months); n == 0 || r.Months[n-1].Month != k.month {
			r.Months = append(r.Months, Month{Month: k.month})
		}
		m := &r.Months[len(r.Months)-1]
		m.Reasons = append(m.Reasons, Reasons{k.from, k.to, *t.reasons[k]})
		t.add(&m.Sum, t.reasons[k])
	}
}

// text tells what the draft is.
func (t *trial) text() Text {
	m := t.method
	text := Text{ID: m.ID, Version: m.Version, Title: Words{m.Title.ZH, m.Title.EN}, Kind: m.Kind, SHA256: record.Hash(m.Hash), TimeZone: m.Zone.String(),
		From: day(t.from), To: day(t.to), Valid: Days{day(m.From), day(m.To)}, Replaces: []string{}}
	for _, old := range t.published {
		text.Replaces = append(text.Replaces, old.Name())
	}
	return text
}

func day(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.DateOnly)
}
