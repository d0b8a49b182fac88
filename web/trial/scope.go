package trial

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/web/figure"
)

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
	restate.Erased:    {"账户已注销删除", "the account was erased"},
	restate.Forgotten: {"用户已注销，申报已删除", "the person was erased, and the claims with it"},
	restate.Corrected: {"所做更正在草案之下无法成立", "a correction of it could not have been made under the draft"},
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
