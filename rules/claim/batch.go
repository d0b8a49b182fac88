package claim

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/rulebook"
)

// A Batch is an outcome with its record: what is written, all of it or nothing.
type Batch struct {
	ledger.Batch
	*Outcome
	Leaves []ledger.Hash // of the reversals and rows, in order
	Totals []Total       // what it adds to the day's totals, in order
}

// A Total is what was judged on a programme's local day, by methodology, vintage and reason.
type Total struct {
	Programme, Day, Method, Vintage string
	Reason                          reason.Code
	Claims, Milligrams, Points      int64
}

// Seal makes the batch's record from what was judged and where the partition stood: record holds part,
// number, instant, rulebook, backfill and the hash of the batch before; secret salts its totals.
func Seal(record ledger.Batch, o *Outcome, book *rulebook.Rulebook, secret []byte) *Batch {
	b := &Batch{Batch: record, Outcome: o, Leaves: make([]ledger.Hash, 0, len(o.Reversals)+len(o.Rows))}
	for i := range o.Reversals {
		b.Leaves = append(b.Leaves, o.Reversals[i].LeafHash())
	}
	for i := range o.Rows {
		b.Leaves = append(b.Leaves, LeafHash(&o.Rows[i]))
	}
	b.Totals = totals(o, book, record.At)
	b.Batch.Root = ledger.Root(b.Leaves)
	b.Batch.Totals = Commit(b.Totals, record.Number, secret)
	return b
}

// totals sums an outcome by programme, methodology, vintage and reason, refused claims and counts included.
func totals(o *Outcome, book *rulebook.Rulebook, at Micros) []Total {
	days := map[string]string{"": ""}
	sums := map[Total]*Total{}
	add := func(key Total, claims, mg, points int64) {
		day, ok := days[key.Programme]
		if !ok {
			day = localDay(book, key.Programme, at)
			days[key.Programme] = day
		}
		key.Day = day
		t := sums[key]
		if t == nil {
			copied := key
			t = &copied
			sums[key] = t
		}
		t.Claims, t.Milligrams, t.Points = t.Claims+claims, t.Milligrams+mg, t.Points+points
	}
	for i := range o.Rows {
		r := &o.Rows[i]
		key := Total{Programme: r.Programme, Method: r.Verdict.Method, Vintage: r.Vintage, Reason: r.Verdict.Reason}
		add(key, 1, r.Verdict.Milligrams, r.Verdict.Points)
	}
	for i := range o.Reversals {
		if r := &o.Reversals[i]; r.Was.Kind() == reason.Accepted { // a refusal that was judged again took nothing from anybody
			add(Total{Programme: r.Programme, Method: r.Method, Vintage: r.Vintage, Reason: reason.Reversed}, 1, -r.Milligrams, -r.Points)
		}
	}
	for c, n := range o.Counts {
		add(Total{Programme: c.Programme, Reason: c.Reason}, n, 0, 0)
	}
	list := make([]Total, 0, len(sums))
	for _, t := range sums {
		list = append(list, *t)
	}
	SortTotals(list)
	return list
}

// SortTotals puts totals in the order in which a batch commits to them.
func SortTotals(list []Total) {
	slices.SortFunc(list, func(a, b Total) int {
		return cmp.Or(cmp.Compare(a.Programme, b.Programme), cmp.Compare(a.Day, b.Day), cmp.Compare(a.Method, b.Method),
			cmp.Compare(a.Vintage, b.Vintage), cmp.Compare(a.Reason, b.Reason))
	})
}

// localDay is the programme's day of an instant; "" for a programme that is no longer known.
func localDay(book *rulebook.Rulebook, programme string, at Micros) string {
	if p := book.Programmes[programme]; p != nil {
		return p.Day(at)
	}
	return ""
}

// Commit is a salted commitment to a batch's totals, in their order: HMAC-SHA-256 over their canonical
// lines, under a salt of the batch's own.
func Commit(list []Total, number int64, secret []byte) (h ledger.Hash) {
	salt := hmac.New(sha256.New, secret)
	salt.Write(binary.BigEndian.AppendUint64(nil, uint64(number)))
	mac := hmac.New(sha256.New, salt.Sum(nil))
	for i := range list {
		t := &list[i]
		line := []byte{'{'}
		for _, f := range [...][2]string{{"programme", t.Programme}, {"day", t.Day}, {"method", t.Method}, {"vintage", t.Vintage}, {"reason", string(t.Reason)}} {
			line = appendField(line, f[0], f[1])
		}
		line = appendInt(line, "claims", t.Claims)
		line = appendInt(line, "reduction_mg", t.Milligrams)
		line = appendInt(line, "points_thousandths", t.Points)
		mac.Write(append(line, '}', '\n'))
	}
	mac.Sum(h[:0])
	return h
}

// String is the canonical text of counts: lines of programme, reason and number, in order.
func (c Counts) String() string {
	keys := make([]Count, 0, len(c))
	for k := range c {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b Count) int {
		return cmp.Or(cmp.Compare(a.Programme, b.Programme), cmp.Compare(a.Reason, b.Reason))
	})
	var b []byte
	for _, k := range keys {
		b = append(append(append(append(b, k.Programme...), '\t'), k.Reason...), '\t')
		b = append(strconv.AppendInt(b, c[k], 10), '\n')
	}
	return string(b)
}

// ParseCounts reads what String wrote, and nothing else.
func ParseCounts(s string) (Counts, bool) {
	c := Counts{}
	for line := range strings.Lines(s) {
		programme, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		code, number, _ := strings.Cut(rest, "\t")
		n, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return nil, false
		}
		c[Count{programme, reason.Code(code)}] = n
	}
	return c, c.String() == s
}
