package trial

import (
	"fmt"
	"io"

	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/web/figure"
)

// Applied writes what a restatement came to, for a terminal: who ordered what, and the figures in the form of the report.
func Applied(out io.Writer, a *restate.Applied, lang string) error {
	w := speak(lang)
	lines := []string{
		w.sayf("重述 %s 已执行（第 %d 号规则文本）：%s", "Restatement %s was carried out (rulebook %d): %s", a.Name, a.Rulebook, a.Reason),
	}
	if !a.AsReported {
		lines = append(lines, w.say("数字与试算报告不符：报告所依据的申报已有缺失（恢复旧库或注销账户所致）；tanpu audit 说明原因。",
			"The figures are not those of the report: claims that it went by are no longer there, lost with a database or with a person's account. tanpu audit tells more."))
	} else if m := &a.Moved; m.Accounts == 0 {
		lines = append(lines, w.say("各项数字与试算报告一致，分毫不差。", "All figures are those of the report, to the milligram."))
	} else {
		lines = append(lines, w.sayf("试算之后、命令公布之前有 %s 个账户又有新情况，按其当时状况重述：试算 %s，执行 %s。其余账户与试算报告一致，分毫不差。",
			"Something came of %s accounts after the report and before the order; they were restated as they stood then: %s reported, %s applied. All others came to the figures of the report, to the milligram.",
			figure.Count(m.Accounts), exactMore(m.Reported.Difference()), exactMore(m.Applied.Difference())))
	}
	for _, line := range append(lines, w.say("以下为执行结果，格式同试算报告。", "What it came to, in the form of the report:"), "") {
		if _, err := fmt.Fprintln(out, line); err != nil {
			return err
		}
	}
	v := newView(a.Applied, lang)
	v.Note = w.say("已照此执行；原裁定和回执仍可查阅。", "It was carried out so. The first verdicts and receipts stay readable.")
	return v.text(out)
}
