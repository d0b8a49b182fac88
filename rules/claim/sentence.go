package claim

import (
	"strconv"

	"github.com/tanpu/tanpu/rules/reason"
)

// ForPartner says a verdict to the partner that reported the claim: what concerns its own report, and
// nothing of anybody else's.
func ForPartner(c *Claim, v *Verdict, lang reason.Lang) string {
	words := reason.Case{Operands: v.Operands, ID: c.ID, Scenario: c.Scenario, Object: c.Object, Time: v.Operands.Got}
	words.Other = ""
	switch v.Reason {
	case reason.OK:
		words.Milligrams = strconv.FormatInt(v.Milligrams, 10)
		words.Trimmed = words.Operands != (reason.Operands{})
	case reason.ProgrammeClosed:
		words.Programme = v.Operands.Field
	case reason.LinkRevoked:
		words.Time = v.Operands.Until
	}
	return reason.Sentence(v.Reason, reason.Partner, lang, &words)
}
