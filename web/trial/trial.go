// Package trial tells what trying a draft on history found, to people: as text for a terminal, and as one page that
// stands by itself, to be kept, printed and sent. Both say the same, in Chinese or in English.
package trial

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/web/figure"
)

// A view is a report in words, in one language.
type view struct {
	Lang     string // of the page
	Title    string
	Sub      []string
	Strong   string // the finding's own figure; it stands between Before and After
	Before   string
	After    string
	Note     string
	Kept     string // a warning, where something could not be judged again
	Figures  []kpi
	Sections []section
	Facts    []fact
}

type kpi struct{ Label, Figure, Unit, Note string }

type fact struct{ Name, Value string }

type section struct {
	Title, Sub string
	Chart      *chart
	Tables     []table
	Wide       bool // its tables stand below each other
}

type table struct {
	Caption string
	Heads   []head
	Rows    [][]cell
	Foot    []cell
	Note    string
}

type head struct {
	Text   string
	Number bool
}

type cell struct {
	Text string
	Bar  *bar // beside or in the place of text
}

// A bar is as long as its share of the longest.
type bar struct{ Share string }

// words speaks one language.
type words struct {
	zh   bool
	lang reason.Lang
}

func speak(lang string) words {
	if lang == "zh" {
		return words{true, reason.ZH}
	}
	return words{false, reason.EN}
}

func (w words) say(zh, en string) string {
	if w.zh {
		return zh
	}
	return en
}

func (w words) sayf(zh, en string, args ...any) string { return fmt.Sprintf(w.say(zh, en), args...) }

func (w words) code() string { return w.say("zh", "en") }

func (w words) label(code reason.Code) string { return reason.Label(code, w.lang, false) }

func newView(r *restate.Report, lang string) *view {
	w := speak(lang)
	d := &r.Draft
	v := &view{
		Lang:  w.say("zh-CN", "en"),
		Title: w.sayf("试算：%s，第\u00a0%d\u00a0版", "Trial: %s, version %d", d.Title.In(lang), d.Version),
		Note:  w.say("试算不改变任何已记录的申报、减排量和积分。", "Trying changed nothing that is recorded."),
	}
	v.Sub = []string{w.replaced(d), w.days(d), w.asOf(r)}
	v.find(w, r)
	if !r.Whole() {
		v.Kept = w.unjudged(r)
	}
	v.Figures = w.figures(r)
	v.Sections = []section{w.months(r), w.reasons(r), w.spread(r), w.largest(r), w.scope(r), w.left(r)}
	v.Facts = w.facts(r)
	return v
}

func (w words) replaced(d *restate.Text) string {
	name := fmt.Sprintf("%s@%d", d.ID, d.Version)
	switch {
	case len(d.Replaces) == 0:
		return w.sayf("%s，此前该期间没有生效文本", "%s, where no text was in force", name)
	case len(d.Replaces) == 1 && d.Replaces[0] == name:
		return w.sayf("%s，代替已发布的同一版本", "%s, in the place of the same version as published", name)
	}
	return w.sayf("%s，代替 %s", "%s, in the place of %s", name, w.list(d.Replaces))
}

func (w words) list(names []string) string {
	all := ""
	for i, n := range names {
		if i > 0 {
			all += w.say("、", ", ")
		}
		all += n
	}
	return all
}

func (w words) days(d *restate.Text) string {
	if d.To == "" {
		return w.sayf("%s 起开始的行为（%s）", "acts that began on %s or later (%s)", d.From, d.TimeZone)
	}
	return w.sayf("%s 至 %s 前开始的行为（%s）", "acts that began from %s until before %s (%s)", d.From, d.To, d.TimeZone)
}

// last is the instant of the last batch.
func last(r *restate.Report) (at time.Time, ok bool) {
	var us int64
	for _, m := range r.Watermark.Parts {
		us = max(us, m.At)
	}
	zone, err := time.LoadLocation(r.Draft.TimeZone)
	if err != nil {
		zone = time.UTC
	}
	return time.UnixMicro(us).In(zone), us > 0
}

func (w words) asOf(r *restate.Report) string {
	at, ok := last(r)
	if !ok {
		return w.say("尚无申报", "no claims yet")
	}
	return w.sayf("数据截至 %s", "as of %s", at.Format("2006-01-02 15:04:05"))
}

// find says the finding in a sentence.
func (v *view) find(w words, r *restate.Report) {
	t := &r.Total
	switch d := t.Difference(); {
	case t.Claims == 0:
		v.Before = w.say("该文本在此期间没有涉及任何已记录的申报。", "No recorded claim falls under this text in these days.")
	case t.Changed == 0:
		v.Strong = w.say("没有变化：", "Nothing would change: ")
		v.After = w.sayf("%s\u00a0条申报的结果、减排量和积分都与已记录的相同。", "%s claims keep their verdict, reduction and points.", figure.Count(t.Claims))
	case d == 0:
		v.Before = w.say("若当时按此文本，减排量仍为\u00a0", "Had this text been in force, reductions would still be ")
		v.Strong = figure.Mass(t.New, w.code())
		v.After = w.sayf("，但 %s\u00a0条申报的结果或积分不同。", ", but %s claims would have another verdict or other points.", figure.Count(t.Changed))
	default:
		v.Before = w.say("若当时按此文本，减排量为\u00a0", "Had this text been in force, reductions would be ")
		v.Strong = figure.Mass(t.New, w.code())
		more := w.say("多", "more")
		if d < 0 {
			more = w.say("少", "less")
		}
		if w.zh {
			v.After = fmt.Sprintf("，比已记录的\u00a0%s%s\u00a0%s（%s）。", figure.Mass(t.Old, "zh"), more, figure.Difference(d, "zh"), figure.Change(t.Old, t.New))
		} else {
			v.After = fmt.Sprintf(", %s %s than the %s recorded (%s).", figure.Difference(d, "en"), more, figure.Mass(t.Old, "en"), figure.Change(t.Old, t.New))
		}
	}
}

func (w words) figures(r *restate.Report) []kpi {
	t, a := &r.Total, &r.Accounts
	u := figure.Fitting(t.Difference())
	return []kpi{
		{w.say("减排量变化", "Change in reductions"), u.More(t.Difference()), u.Name + " CO₂e", figure.Change(t.Old, t.New)},
		{w.say("积分变化", "Change in points"), w.points(t.NewPoints - t.OldPoints), w.say("分", ""), figure.Change(t.OldPoints, t.NewPoints)},
		{w.say("有变化的申报", "Claims that change"), figure.Count(t.Changed), w.say("条", ""), w.sayf("涉及\u00a0%s\u00a0条", "of %s concerned", figure.Count(t.Claims))},
		{w.say("有变化的账户", "Accounts that change"), figure.Count(a.Changed), w.say("个", ""),
			w.sayf("增加\u00a0%s，减少\u00a0%s，涉及\u00a0%s", "%s more, %s less, of %s concerned", figure.Count(a.More), figure.Count(a.Less), figure.Count(a.Concerned))},
	}
}

// points is a difference of points, in few digits where it is large.
func (w words) points(thousandths int64) string {
	if n := thousandths / 1000; n >= 10_000 || n <= -10_000 {
		sign := ""
		if n > 0 {
			sign = "+"
		}
		return sign + figure.Compact(n, w.code())
	}
	return figure.SignedPoints(thousandths)
}

// months shows the sums of each month, before and after.
func (w words) months(r *restate.Report) section {
	s := section{Title: w.say("按月", "By month"), Wide: true}
	if len(r.Months) == 0 {
		return s
	}
	more, less := 0, 0
	var amounts []int64
	for i := range r.Months {
		m := &r.Months[i]
		amounts = append(amounts, m.Old, m.New)
		switch d := m.Difference(); {
		case d > 0:
			more++
		case d < 0:
			less++
		}
	}
	switch all := len(r.Months); {
	case more+less == 0:
		s.Title = w.sayf("%d\u00a0个月都不变", "None of %d months changes", all)
	case more == all:
		s.Title = w.sayf("%d\u00a0个月全部增加", "All of %d months have more", all)
	case less == all:
		s.Title = w.sayf("%d\u00a0个月全部减少", "All of %d months have less", all)
	default:
		s.Title = w.sayf("%d\u00a0个月中，%d\u00a0个月增加，%d\u00a0个月减少", "Of %d months, %d have more and %d less", all, more, less)
	}
	u := figure.Fitting(amounts...)
	s.Sub = w.sayf("各月开始的行为，%s\u00a0CO₂e", "Acts that began in the month, %s\u00a0CO₂e", u.Name)
	s.Chart = newChart(w, r, u)
	t := table{Caption: w.say("各月的申报和减排量", "Claims and reductions by month"),
		Heads: []head{{w.say("月份", "Month"), false}, {w.say("涉及，条", "Concerned"), true}, {w.say("有变化，条", "Changed"), true},
			{w.say("已记录，", "Recorded, ") + u.Name, true}, {w.say("试算，", "Tried, ") + u.Name, true}, {w.say("差，", "Difference, ") + u.Name, true}, {w.say("积分差", "Points"), true}},
		Note: w.say("合计由精确值得出，可能大于各行之和。", "Totals come from exact values, and may exceed their rows."),
	}
	row := func(name string, x *restate.Sum) []cell {
		return texts(name, figure.Count(x.Claims), figure.Count(x.Changed), u.Of(x.Old), u.Of(x.New), u.More(x.Difference()), figure.SignedPoints(x.NewPoints-x.OldPoints))
	}
	for i := range r.Months {
		t.Rows = append(t.Rows, row(r.Months[i].Month, &r.Months[i].Sum))
	}
	t.Foot = row(w.say("合计", "All"), &r.Total)
	s.Tables = []table{t}
	return s
}

func texts(list ...string) []cell {
	cells := make([]cell, len(list))
	for i, text := range list {
		cells[i] = cell{Text: text}
	}
	return cells
}

// reasons shows how many claims have each verdict before and after, and which went from one to another.
func (w words) reasons(r *restate.Report) section {
	s := section{Title: w.say("按结果", "By verdict")}
	var old, now = map[reason.Code]int64{}, map[reason.Code]int64{}
	moved := int64(0)
	for i := range r.Reasons {
		x := &r.Reasons[i]
		old[x.From], now[x.To] = old[x.From]+x.Claims, now[x.To]+x.Claims
		if x.From != x.To {
			moved += x.Claims
		}
	}
	if moved > 0 {
		s.Title = w.sayf("%s\u00a0条的结果不同", "%s claims have another verdict", figure.Count(moved))
	} else if len(r.Reasons) > 0 {
		s.Title = w.say("各条的结果都不变", "Every claim keeps its verdict")
	}
	count := table{Caption: w.say("各结果的条数", "Claims by verdict"),
		Heads: []head{{w.say("结果", "Verdict"), false}, {w.say("已记录", "Recorded"), true}, {w.say("试算", "Tried"), true}, {w.say("差", "Difference"), true}}}
	for i := len(reason.All) - 1; i >= 0; i-- {
		if code := reason.All[i]; old[code]+now[code] > 0 {
			count.Rows = append(count.Rows, texts(w.label(code), figure.Count(old[code]), figure.Count(now[code]), figure.Signed(now[code]-old[code])))
		}
	}
	s.Tables = append(s.Tables, count)
	var amounts []int64
	for i := range r.Reasons {
		amounts = append(amounts, r.Reasons[i].Old, r.Reasons[i].New)
	}
	u := figure.Fitting(amounts...)
	pairs := table{Caption: w.say("有变化的申报", "Claims that change"),
		Heads: []head{{w.say("已记录 → 试算", "Recorded → tried"), false}, {w.say("条", "Claims"), true}, {w.say("差，", "Difference, ") + u.Name, true}}}
	for i := range r.Reasons {
		x := &r.Reasons[i]
		if x.Changed == 0 {
			continue
		}
		name := w.label(x.From) + " → " + w.label(x.To)
		if x.From == x.To {
			name = w.sayf("%s，数额不同", "%s, another amount", w.label(x.From))
		}
		pairs.Rows = append(pairs.Rows, texts(name, figure.Count(x.Changed), u.More(x.Difference())))
	}
	if len(pairs.Rows) > 0 {
		s.Tables = append(s.Tables, pairs)
	}
	return s
}

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

// largest shows the ten claims and the ten accounts that change most.
func (w words) largest(r *restate.Report) section {
	s := section{Title: w.say("变化最大的十条申报、十个账户", "The ten largest changes"), Wide: true}
	s.Sub = w.say("申报以分区.批.序号为名；账户以其变化最大的一条申报为名", "A claim goes by partition.batch.place; an account by its claim that changes most")
	claims := table{Caption: w.say("申报，克", "Claims, g"),
		Heads: []head{{w.say("申报", "Claim"), false}, {w.say("日期", "Day"), false}, {w.say("机制 · 场景", "Programme · scenario"), false}, {w.say("结果", "Verdict"), false},
			{w.say("已记录", "Recorded"), true}, {w.say("试算", "Tried"), true}, {w.say("差", "Difference"), true}}}
	for _, c := range r.Claims {
		verdict := w.label(c.OldReason)
		if c.NewReason != c.OldReason {
			verdict += " → " + w.label(c.NewReason)
		}
		claims.Rows = append(claims.Rows, texts(c.Claim, c.Day, c.Programme+" · "+c.Scenario, verdict, figure.Exact(c.Old), figure.Exact(c.New), exactMore(c.New-c.Old)))
	}
	members := table{Caption: w.say("账户，克", "Accounts, g"),
		Heads: []head{{w.say("其申报", "By its claim"), false}, {w.say("涉及，条", "Concerned"), true}, {w.say("有变化，条", "Changed"), true},
			{w.say("已记录", "Recorded"), true}, {w.say("试算", "Tried"), true}, {w.say("差", "Difference"), true}}}
	for i := range r.Members {
		m := &r.Members[i]
		members.Rows = append(members.Rows, texts(m.Claim, figure.Count(m.Claims), figure.Count(m.Changed), figure.Exact(m.Old), figure.Exact(m.New), exactMore(m.Difference())))
	}
	if len(r.Claims) > 0 {
		s.Tables = append(s.Tables, claims)
	}
	if len(r.Members) > 0 {
		s.Tables = append(s.Tables, members)
	}
	return s
}

func exactMore(mg int64) string {
	if mg > 0 {
		return "+" + figure.Exact(mg)
	}
	return figure.Exact(mg)
}

// scope shows which programmes and methodologies are touched.
func (w words) scope(r *restate.Report) section {
	s := section{Title: w.say("涉及的机制与方法学", "Programmes and methodologies"), Wide: true}
	for i := range r.Texts {
		if x := &r.Texts[i]; x.Changed > 0 && !isDraft(r, x.To) {
			s.Sub = w.say("同一互斥组或同一上限之下，其他文本的申报也可能因此变化", "Claims under other texts can change too: they share a group with those of the draft")
			break
		}
	}
	var amounts []int64
	for i := range r.Texts {
		amounts = append(amounts, r.Texts[i].Old, r.Texts[i].New)
	}
	u := figure.Fitting(amounts...)
	heads := func(first string) []head {
		return []head{{first, false}, {w.say("涉及，条", "Concerned"), true}, {w.say("有变化，条", "Changed"), true},
			{w.say("已记录，", "Recorded, ") + u.Name, true}, {w.say("试算，", "Tried, ") + u.Name, true}, {w.say("差，", "Difference, ") + u.Name, true}}
	}
	row := func(name string, x *restate.Sum) []cell {
		return texts(name, figure.Count(x.Claims), figure.Count(x.Changed), u.Of(x.Old), u.Of(x.New), u.More(x.Difference()))
	}
	programmes := table{Caption: w.say("机制", "Programmes"), Heads: heads(w.say("机制", "Programme"))}
	for i := range r.Schemes {
		programmes.Rows = append(programmes.Rows, row(r.Schemes[i].Programme, &r.Schemes[i].Sum))
	}
	methods := table{Caption: w.say("方法学", "Methodologies"), Heads: heads(w.say("已记录 → 试算", "Recorded → tried"))}
	for i := range r.Texts {
		x := &r.Texts[i]
		name := cmp.Or(x.From, "—") + " → " + cmp.Or(x.To, "—")
		if x.From == x.To {
			name = x.To
		}
		methods.Rows = append(methods.Rows, row(name, &x.Sum))
	}
	if len(r.Schemes) > 0 {
		s.Tables = []table{programmes, methods}
	}
	return s
}

func isDraft(r *restate.Report, name string) bool {
	return name == fmt.Sprintf("%s@%d", r.Draft.ID, r.Draft.Version)
}

var whys = map[restate.Why][2]string{
	restate.NoAccount: {"账户从未开立", "the account was never opened"},
	restate.NoConsent: {"授权记录缺失", "the consent is not recorded"},
	restate.NoBatch:   {"批次缺失", "the batch is not recorded"},
	restate.NoBody:    {"申报内容无法读取", "what was reported cannot be read"},
}

func (w words) unjudged(r *restate.Report) string {
	var claims, accounts int64
	for _, u := range r.Unjudged {
		claims, accounts = claims+u.Claims, accounts+u.Accounts
	}
	return w.sayf("%s\u00a0个账户的 %s\u00a0条申报无法重新裁定，未计入本报告；tanpu audit 说明原因。",
		"Left out, for they could not be judged again: all claims of some accounts (accounts %s, claims %s). tanpu audit tells more.", figure.Count(accounts), figure.Count(claims))
}

// left shows what is not in the report.
func (w words) left(r *restate.Report) section {
	s := section{Title: w.say("未能试算的", "What was not tried"),
		Sub: w.say("这些裁定不留记录，无从重新裁定；重复上报的首次裁定已在其中", "Such verdicts keep no claim, so there is nothing to judge again; what was reported twice was judged once, above")}
	t := table{Caption: w.say("不留记录的裁定，所有机制", "Verdicts that keep no claim, of all programmes"), Heads: []head{{w.say("结果", "Verdict"), false}, {w.say("条", "Claims"), true}}}
	for _, n := range slices.Backward(r.NoRow) {
		t.Rows = append(t.Rows, texts(w.label(n.Reason), figure.Count(n.Claims)))
	}
	if len(t.Rows) == 0 {
		s.Title, s.Sub = w.say("所有已上报的申报都已试算", "All that was reported was tried"), ""
	} else {
		s.Tables = append(s.Tables, t)
	}
	broken := table{Caption: w.say("无法重新裁定的账户", "Accounts that could not be judged again"), Heads: []head{{w.say("原因", "Why"), false}, {w.say("账户", "Accounts"), true}, {w.say("申报", "Claims"), true}}}
	for _, u := range r.Unjudged {
		broken.Rows = append(broken.Rows, texts(w.say(whys[u.Why][0], whys[u.Why][1]), figure.Count(u.Accounts), figure.Count(u.Claims)))
	}
	if len(broken.Rows) > 0 {
		s.Tables = append(s.Tables, broken)
	}
	return s
}

// facts say what the report stands on.
func (w words) facts(r *restate.Report) []fact {
	valid := w.sayf("%s 起", "from %s on", r.Draft.Valid.From)
	if to := r.Draft.Valid.To; to != "" {
		valid = w.sayf("%s 至 %s 前", "from %s until before %s", r.Draft.Valid.From, to)
	}
	marks := ""
	for i, m := range r.Watermark.Parts {
		if i > 0 {
			marks += "  "
		}
		marks += fmt.Sprintf("%d:%d", m.Part, m.Batch)
	}
	list := []fact{
		{w.say("文本 SHA-256", "SHA-256 of the text"), r.Draft.SHA256.String()},
		{w.say("文本自述有效期", "Valid, as the text says"), valid},
		{w.say("数据库", "Database"), r.Watermark.Database},
		{w.say("规则书", "Rulebook"), figure.Count(r.Watermark.Rulebook)},
		{w.say("已重新裁定", "Judged again"), w.sayf("%s\u00a0条申报，%s\u00a0个账户", "%s claims of %s accounts", figure.Count(r.Judged.Claims), figure.Count(r.Judged.Accounts))},
		{w.say("水位（分区:末批）", "Watermark (partition:last batch)"), marks},
	}
	if r.Renamed > 0 {
		list = append(list, fact{w.say("只改系列名", "Only under another name"), w.sayf("%s\u00a0条，结果与数额不变", "%s claims, with the same verdict and amount", figure.Count(r.Renamed))})
	}
	return list
}
