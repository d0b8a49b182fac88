package reason

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// An Audience is who a sentence speaks to. A partner is never told who else reported an act, how long
// that took or how much it was: sentences for it have no place for Operands.Other.
type Audience int

const (
	Member Audience = iota
	Partner
)

// A Lang is a language that we speak.
type Lang int

const (
	ZH Lang = iota
	EN
)

// A Case is what a sentence is about: the operands of the verdict and what surrounds them, all of it as
// text for people. What is missing leaves its clause out.
type Case struct {
	Operands
	Trimmed    bool   // an accepted claim that was credited in part, up to a limit
	Grams      string // the reduction with its unit, for a member
	Points     string // for a member
	Milligrams string // the reduction as a number, for a partner
	Partner    string // who reported
	Day        string // of the act, or of the withdrawal for a link that was revoked
	Time       string // the same to the second
	Programme  string
	Area       string // the programme's
	Scenario   string
	Object     string // what the claim is about: a meter, a car
	ID         string // of the claim
}

// Label names a reason in a word or two.
func Label(code Code, lang Lang, trimmed bool) string {
	return wordsFor(code, &Case{Trimmed: trimmed})[lang].label
}

// Sentence says what a verdict with this reason means to its audience. Where all that could be said
// lacks its operands, that is the label.
func Sentence(code Code, audience Audience, lang Lang, c *Case) string {
	w := &wordsFor(code, c)[lang]
	var room [200]byte
	b := room[:0]
	stop := stops[lang]
	dropped := false
	for _, clause := range w.sentences[audience] {
		begin := len(b)
		complete := true
		for _, p := range clause.pieces {
			value := p.text
			if p.operand != "" {
				value = c.value(p.operand)
				complete = complete && value != ""
			}
			b = append(b, value...)
		}
		if !complete {
			b = b[:begin]
			if clause.ends {
				b = endSentence(b, stop)
			}
			dropped = true
			continue
		}
		if dropped && clause.pieces[0].operand == "" {
			b = beginSentence(b, begin, stop)
		}
		dropped = false
	}
	if len(b) == 0 {
		return w.label + stop
	}
	return string(b)
}

var stops = [...]string{ZH: "。", EN: "."}

// endSentence lets b end in a stop where it was to go on.
func endSentence(b []byte, stop string) []byte {
	s := strings.TrimRight(string(b), "，；,;： :")
	if s == "" || len(s) == len(b) {
		return b
	}
	return append(b[:len(s)], stop...)
}

// beginSentence gives what stands in b from begin on the capital that the clause left out before it had.
func beginSentence(b []byte, begin int, stop string) []byte {
	before := strings.TrimRight(string(b[:begin]), " ")
	if before != "" && !strings.HasSuffix(before, stop) {
		return b
	}
	rest := string(b[begin:])
	if before == "" {
		rest = strings.TrimLeft(rest, " ")
	}
	trimmed := strings.TrimLeft(rest, " ")
	r, size := utf8.DecodeRuneInString(trimmed)
	b = append(b[:begin], rest[:len(rest)-len(trimmed)]...)
	b = utf8.AppendRune(b, unicode.ToUpper(r))
	return append(b, trimmed[size:]...)
}

// value returns the operand that a template calls by name.
func (c *Case) value(name string) string {
	switch name {
	case "g":
		return c.Grams
	case "n":
		return c.Points
	case "mg":
		return c.Milligrams
	case "p":
		return c.Partner
	case "d":
		return c.Day
	case "t":
		return c.Time
	case "programme":
		return c.Programme
	case "area":
		return c.Area
	case "s":
		return c.Scenario
	case "object":
		return c.Object
	case "id":
		return c.ID
	case "field":
		return c.Field
	case "got":
		return c.Got
	case "limit":
		return c.Limit
	case "want":
		return c.Want
	case "need":
		return c.Need
	case "from":
		return c.From
	case "until":
		return c.Until
	case "rule":
		return c.Rule
	case "other":
		return c.Other
	}
	panic("no operand is called " + name)
}

// A saying is what one language has for one reason.
type saying struct {
	label     string
	sentences [2][]clause // by audience
}

// A clause is left out when an operand in it is missing.
type clause struct {
	pieces []piece
	ends   bool // in a full stop
}

// A piece is literal text or the name of an operand.
type piece struct{ text, operand string }

// say parses the templates: clauses end in |, operands stand in braces.
func say(label, member, partner string) saying {
	return saying{label, [2][]clause{Member: clauses(member), Partner: clauses(partner)}}
}

func clauses(template string) []clause {
	var list []clause
	for _, text := range strings.Split(template, "|") {
		c := clause{ends: strings.HasSuffix(text, "。") || strings.HasSuffix(text, ".")}
		for text != "" {
			before, after, found := strings.Cut(text, "{")
			if before != "" {
				c.pieces = append(c.pieces, piece{text: before})
			}
			if !found {
				break
			}
			name, rest, _ := strings.Cut(after, "}")
			new(Case).value(name) // panics for a name that is none
			c.pieces = append(c.pieces, piece{operand: name})
			text = rest
		}
		list = append(list, c)
	}
	return list
}

// Within two reasons there are cases that need words of their own.
const (
	trimmed   Code = "ok, trimmed"
	notWhole  Code = "bad-time, not whole" // of an act that is the total of a period
	wholeness      = "start"               // the field that is then wrong
)

func wordsFor(code Code, c *Case) *[2]saying {
	switch {
	case code == OK && c.Trimmed:
		code = trimmed
	case code == BadTime && c.Field == wholeness:
		code = notWhole
	}
	if w, ok := words[code]; ok {
		return w
	}
	panic(fmt.Sprintf("no words for reason %q", code))
}

// words holds what we say, in Chinese and English, for each reason: label, sentence for the member, sentence for the partner.
// Some codes make no row that a member could see; their sentence serves the help page.
var words = map[Code]*[2]saying{
	OK: {
		say("已计入", "已计入 {g}，|+{n} 积分。", "已接受，|{mg} 毫克。"),
		say("Credited", "{g} credited,| +{n} points.", "Accepted,| {mg} mg."),
	},
	trimmed: {
		say("部分计入", "额度余 {g}，按此计入。", "按余额截取。"),
		say("Partly", "{g} was left of the limit, and credited.", "Trimmed to what was left."),
	},
	NoHistory: {
		say("积累中", "本期已记下；|需 {need} 才能比较，|最早 {until} 计入。", "缺少往期：{need}。"),
		say("Building up", "Saved.| Comparing needs {need};| first credit {until}.", "Missing earlier values: {need}."),
	},
	Replay: {
		say("已报过", "重复上报，只计一次。", "返回首次结果，无需重发。"),
		say("Reported before", "Reported twice, counted once.", "The first verdict; do not resend."),
	},
	IDReused: {
		say("编号重复", "{p}用同一编号报了两条，|以第一条为准。", "{id} 已有其他内容。|请换编号。"),
		say("Number reused", "{p} used one number twice;| the first stands.", "{id} has other content.| Use a new id."),
	},
	Overlap: {
		say("同时段已计", "已通过{other}计入，|同一行为只计一次。", "该时段已计入，不透露来源。"),
		say("Time already counted", "Already counted through {other}.| One act counts once.", "That time is already credited; the source is not disclosed."),
	},
	NoLink: {
		say("未授权", "当时未授权{p}，未保存。|授权后的活动可计入。", "活动时无授权，未保存。"),
		say("Not linked", "{p} was not linked then; nothing kept.| Later activity can count.", "No consent at that time; nothing kept."),
	},
	LinkRevoked: {
		say("已撤回", "您于 {d} 撤回授权，|不再计入。|可恢复。", "授权已于 {t} 撤回，|请停止上报。"),
		say("Withdrawn", "You withdrew on {d};| credit stopped.| You can relink.", "Withdrawn at {t};| stop reporting."),
	},
	NoPurpose: {
		say("未同意计入", "您授权了{p}，但未同意计入碳账户。|可在授权中打开。", "用户未同意该用途。"),
		say("Not agreed", "You linked {p} but did not agree to crediting.| You can turn it on.", "The member has not agreed to this purpose."),
	},
	ProgrammeClosed: {
		say("项目未开放", "{d}|「{programme}」|未开放。", "{programme} |在 {t} |未开放。"),
		say("Programme closed", "{programme} was |not open| on {d}|.", "{programme} |not open| at {t}|."),
	},
	ScenarioOff: {
		say("未开放", "{d}|「{s}」|未开放。|看看已开放的。", "{s} 未对贵方开放。"),
		say("Not open", "{s} was |not open| on {d}|.| See what is.", "{s} is not open to you."),
	},
	UnknownMethodology: {
		say("无规则", "{d} 尚无核算规则，|{from} 起可计入。", "{t} 无生效方法学。"),
		say("No rule yet", "No rule was in force on {d};| it counts from {from}.", "No methodology in force at {t}."),
	},
	BadTime: {
		say("时间有误", "{p}报来的时间有误，|更正后可计入。", "结束早于开始，|或时长超过 {limit}。"),
		say("Wrong time", "{p} sent wrong times.| Corrected, it can count.", "End before start,| or longer than {limit}."),
	},
	notWhole: {
		say("时间有误", "{p}报来的时间有误，|更正后可计入。", "起止须恰为一个完整周期（当地时间）。"),
		say("Wrong time", "{p} sent wrong times.| Corrected, it can count.", "Start and end must span one whole period, in local time."),
	},
	InFuture: {
		say("时间未到", "时间未到，|{p}可稍后再报。", "超前 {limit} 以上，|未保存。|校时后重发。"),
		say("Too early", "In the future;| {p} can report later.", "Over {limit} ahead;| nothing kept.| Check clock, resend."),
	},
	TooLate: {
		say("上报超期", "{p}在结束 {got} 后才报，|期限 {limit}。|可提异议。", "超过期限 {limit}，|重发无效。"),
		say("Too late", "{p} reported after {got};| limit {limit}.| You may object.", "Past {limit};| resending will not help."),
	},
	OutOfRegion: {
		say("不在范围", "发生地不在{area}，|不计入。", "地区 {got} 不在 {limit}。"),
		say("Out of area", "It took place outside {area}.", "Region {got} is outside {limit}."),
	},
	BadEvidence: {
		say("证据不足", "{p}未提供所需证据，|补充后可计入。", "证据等级 {got} 不被接受，|应为 {want}。"),
		say("Evidence missing", "{p} sent no usable evidence.| With it, this can count.", "Evidence {got} not accepted;| want {want}."),
	},
	BadQuantity: {
		say("数据有误", "{p}报来的{field}有误，|更正后可计入。", "{field}：|收到 {got}，|应为 {want}。"),
		say("Wrong data", "{p} sent a wrong {field}.| Corrected, it can count.", "{field}:| got {got},| want {want}."),
	},
	BelowMinimum: {
		say("未达起点", "{field} {got}，|满 {limit} 即可计入。", "{field} {got} < {limit}"),
		say("Below start", "{field} {got};| from {limit} it counts.", "{field} {got} < {limit}"),
	},
	AboveMaximum: {
		say("单次超限", "{field} {got}，|单次最多 {limit}。|若属实可提异议。", "{field} {got} > {limit}"),
		say("Over single limit", "{field} {got};| limit {limit} a claim.| If right, object.", "{field} {got} > {limit}"),
	},
	ObjectUnknown: {
		say("未登记", "该{object}未登记在您名下，|登记后可计入。", "{object} 未登记在该用户名下。"),
		say("Not registered", "This {object} is not registered to you.| Register it and it can count.", "{object} is not registered to this member."),
	},
	Implausible: {
		say("待说明", "{got} 不合常理（{rule}）。|若属实可提异议，由人复核。", "不满足 {rule}，|得 {got}。"),
		say("Does not fit", "{got} does not fit ({rule}).| If true, object; a person will look.", "Failed: {rule},| got {got}."),
	},
	CapReached: {
		say("额度已满", "已计满 {limit}，|{until} 起重新计入。", "已达上限 {limit}，|{until} 重置。"),
		say("Limit reached", "Limit of {limit} reached;| counting resumes {until}.", "Limit {limit} reached,| resets {until}."),
	},
	CannotCompute: {
		say("无法核算", "这条无法核算，已通知运营方。", "公式无法求值：{rule}。"),
		say("Cannot be computed", "This could not be computed; the operator has been told.", "The formula has no value: {rule}."),
	},
	Retry: {
		say("未裁定", "尚未裁定，|{p}会重发。", "未裁定，请重发。"),
		say("Not judged", "Not judged yet;| {p} will send it again.", "Not judged; send it again."),
	},
}
