// Package trial tells what trying a draft on history found, to people: as text for a terminal, and as one page that
// stands by itself, to be kept, printed and sent. Both say the same, in Chinese or in English.
package trial

import (
	"fmt"
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

func texts(list ...string) []cell {
	cells := make([]cell, len(list))
	for i, text := range list {
		cells[i] = cell{Text: text}
	}
	return cells
}
