package trial

import (
	"fmt"

	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/web/figure"
)

// spread shows how far apart the outcomes of a claim are, and of an account.
func (w words) spread(r *restate.Report) section {
	s := section{Title: w.say("差异的分布", "How far apart"), Sub: w.say("每条申报、每个账户的减排量之差；区间不重叠，上界计入", "Differences of a claim's, and of an account's, reductions; each range with its far end")}
	var more, less, same restate.Bucket
	for i := range r.Spread {
		b, sum := &r.Spread[i], &same
		switch {
		case b.To == nil || b.From != nil && *b.From > 0:
			sum = &more
		case b.From == nil || *b.To < 0:
			sum = &less
		}
		sum.Claims, sum.Accounts = sum.Claims+b.Claims, sum.Accounts+b.Accounts
	}
	s.Title = w.sayf("%s\u00a0条申报增加，%s\u00a0条减少，%s\u00a0条相同", "%s claims gain, %s lose, %s stay", figure.Count(more.Claims), figure.Count(less.Claims), figure.Count(same.Claims))
	within := occupied(r.Spread)
	s.Tables = append(s.Tables,
		w.buckets(within, w.say("每条申报", "Each claim"), w.say("条", "Claims"), func(b *restate.Bucket) int64 { return b.Claims }),
		w.buckets(within, w.say("每个账户", "Each account"), w.say("个", "Accounts"), func(b *restate.Bucket) int64 { return b.Accounts }))
	return s
}

// occupied are the buckets between the farthest that have anything in them.
func occupied(all []restate.Bucket) []restate.Bucket {
	empty := func(b *restate.Bucket) bool { return b.Claims == 0 && b.Accounts == 0 }
	for len(all) > 0 && empty(&all[0]) {
		all = all[1:]
	}
	for len(all) > 0 && empty(&all[len(all)-1]) {
		all = all[:len(all)-1]
	}
	return all
}

// buckets is one distribution. What stays the same has no bar, which would dwarf all others.
func (w words) buckets(within []restate.Bucket, caption, unit string, of func(*restate.Bucket) int64) table {
	t := table{Caption: caption, Heads: []head{{w.say("差", "Difference"), false}, {"", false}, {unit, true}}}
	most := int64(1)
	for i := range within {
		if b := &within[i]; !isZero(b) {
			most = max(most, of(b))
		}
	}
	for i := range within {
		b := &within[i]
		c := cell{Bar: &bar{percent(of(b), most)}}
		if isZero(b) {
			c = cell{Text: w.say("相同", "the same")}
		}
		t.Rows = append(t.Rows, []cell{{Text: w.between(b)}, c, {Text: figure.Count(of(b))}})
	}
	return t
}

func isZero(b *restate.Bucket) bool {
	return b.From != nil && b.To != nil && *b.From == 0 && *b.To == 0
}

func percent(n, of int64) string { return fmt.Sprintf("%.2f", 100*float64(n)/float64(of)) }

// between names a bucket by its bounds, which are round: 10 – 30 g more.
func (w words) between(b *restate.Bucket) string {
	from, to, more := b.From, b.To, true
	switch {
	case isZero(b):
		return "0"
	case from == nil || *from < 0:
		from, to, more = negated(to), negated(from), false
	}
	low, high := *from-1, int64(0)
	if to != nil {
		high = *to
	}
	var span string
	switch u, v := figure.Fitting(low), figure.Fitting(high); {
	case to == nil:
		span = w.sayf("超过\u00a0%s\u00a0%s", "over %s\u00a0%s", u.Plain(low), u.Name)
	case low == 0:
		span = w.sayf("至多\u00a0%s\u00a0%s", "up to %s\u00a0%s", v.Plain(high), v.Name)
	case u == v:
		span = fmt.Sprintf("%s – %s\u00a0%s", u.Plain(low), v.Plain(high), v.Name)
	default:
		span = fmt.Sprintf("%s\u00a0%s – %s\u00a0%s", u.Plain(low), u.Name, v.Plain(high), v.Name)
	}
	if w.zh {
		return w.direction(more) + "\u00a0" + span
	}
	return span + " " + w.direction(more)
}

func (w words) direction(more bool) string {
	if more {
		return w.say("增", "more")
	}
	return w.say("减", "less")
}

func negated(n *int64) *int64 {
	if n == nil {
		return nil
	}
	m := -*n
	return &m
}
