package trial

import (
	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/web/figure"
)

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
