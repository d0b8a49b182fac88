package trial

import (
	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/web/figure"
)

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
