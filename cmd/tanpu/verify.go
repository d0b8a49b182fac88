package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"

	"golang.org/x/mod/sumdb/note"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
)

// keyList is public keys, of logs or of witnesses.
type keyList struct{ logs, witnesses []note.Verifier }

func (k *keyList) String() string { return "" }

// Set reads one key: those of witnesses are of another kind, and so are told apart.
func (k *keyList) Set(text string) error {
	if v, err := note.NewVerifier(text); err == nil {
		k.logs = append(k.logs, v)
		return nil
	}
	v, err := proof.NewCosignatureVerifier(text)
	if err != nil {
		return errors.New("a key is a vkey of a log or of a witness: name+hash+base64")
	}
	k.witnesses = append(k.witnesses, v)
	return nil
}

// runVerify carries out “tanpu verify”. It opens no connection.
func runVerify(args []string, stdout, stderr io.Writer) int {
	flags := newFlags("verify", "RECEIPT [--key KEY]… [--methodology FILE]", stderr)
	var keys keyList
	flags.Var(&keys, "key", "the public key of the log, or of a witness that must have cosigned; can be given several times")
	method := flags.String("methodology", "", "the text by which the claim must have been judged")
	lang := flags.String("lang", langOfEnvironment(), "zh or en")
	var files []string
	for rest := args; ; { // the receipt may come before the flags
		if err := parse(flags, rest); err != nil {
			return status(err, stderr)
		}
		if flags.NArg() == 0 {
			break
		}
		files, rest = append(files, flags.Arg(0)), flags.Args()[1:]
	}
	if len(files) != 1 || *lang != "zh" && *lang != "en" {
		flags.Usage()
		return 2
	}
	trust := proof.Trust{Logs: keys.logs, Witnesses: keys.witnesses}
	text, err := readReceipt(files[0])
	if err == nil && *method != "" {
		trust.Methodology, err = os.ReadFile(*method)
	}
	if err != nil {
		return status(err, stderr)
	}
	report, err := proof.Verify(text, trust)
	if err != nil {
		sentence := map[string]string{"zh": "回执未通过验证，不要相信它。失败的步骤：", "en": "The receipt does not hold; do not believe it. It fails at: "}[*lang]
		fmt.Fprintln(stdout, sentence+oneLine(err.Error()))
		return 1
	}
	tellReceipt(stdout, report, *lang)
	return 0
}

func readReceipt(name string) ([]byte, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, err
		}
		defer f.Close()
	}
	text, err := io.ReadAll(io.LimitReader(f, proof.MaxReceipt+1))
	if err == nil && len(text) > proof.MaxReceipt {
		err = fault.New(fault.TooLarge, "%s is larger than any receipt", name)
	}
	return text, err
}

// tellReceipt writes one page: what the receipt says, its working, what was proved and what was not.
func tellReceipt(w io.Writer, r *proof.Report, lang string) {
	words := map[string][]string{
		"zh": {"回执成立", "申报", "%s 报送的 %s，场景 %s，%s 至 %s", "裁定", "%s（%s）", "减排", "%s 克二氧化碳当量，归%s；积分 %s", "机制", "裁定时间", "算式", "已证明", "未证明",
			"无人", "用户本人", "申请主体"},
		"en": {"The receipt holds", "Claim", "%[2]s of %[1]s, scenario %[3]s, from %[4]s to %[5]s", "Verdict", "%s (%s)", "Reduction", "%s g CO2e, which is the %s's; points %s", "Programme", "Judged", "Working",
			"Proved", "Not proved", "nobody", "member", "applicant"},
	}[lang]
	language := reason.EN
	if lang == "zh" {
		language = reason.ZH
	}
	c, v := &r.Receipt.Claim, &r.Receipt.Verdict
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%s  %s\n", name, oneLine(fmt.Sprintf(format, args...)))
	}
	fmt.Fprintf(w, "%s\n\n", words[0])
	line(words[1], words[2], c.Partner, c.ID, c.Scenario, instant(c.Start), instant(c.End))
	line(words[3], words[4], reason.Label(v.Reason, language, v.Reason == reason.OK && v.Operands != (reason.Operands{})), v.Reason)
	holder := words[12]
	switch v.Holder {
	case "member":
		holder = words[13]
	case "applicant":
		holder = words[14]
	}
	if v.Reason == reason.OK {
		line(words[5], words[6], thousandths(v.Reduction), holder, thousandths(v.Points))
	}
	line(words[7], "%s", v.Programme)
	line(words[8], "%s", r.Judged.Format("2006-01-02 15:04:05 MST"))
	working := r.Receipt.Working.EN
	if lang == "zh" {
		working = r.Receipt.Working.ZH
	}
	if working != "" {
		lines := strings.Split(working, "\n")
		for i := range lines {
			lines[i] = oneLine(lines[i])
		}
		fmt.Fprintf(w, "\n%s\n%s", words[9], indent(strings.Join(lines, "\n")))
	}
	for i, list := range [][]proof.Statement{r.Proved, r.NotProved} {
		fmt.Fprintf(w, "\n%s\n", words[10+i])
		for _, s := range list {
			text := s.EN
			if lang == "zh" {
				text = s.ZH
			}
			fmt.Fprintf(w, "  %s %s\n", []string{"✓", "○"}[i], oneLine(text))
		}
	}
}

// oneLine keeps what strangers wrote within its line: what ends one, moves the cursor, hides text or turns it round does
// not reach the page.
func oneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}

// thousandths writes n/1000 exactly.
func thousandths(n int64) string {
	sign := ""
	if n < 0 {
		sign, n = "-", -n
	}
	whole := fmt.Sprintf("%s%d.%03d", sign, n/1000, n%1000)
	return strings.TrimSuffix(strings.TrimRight(whole, "0"), ".")
}

func instant(us int64) string { return time.UnixMicro(us).UTC().Format("2006-01-02 15:04:05Z") }
