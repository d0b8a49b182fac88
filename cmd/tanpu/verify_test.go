package main

import (
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/reason"
)

// What a stranger wrote into a receipt cannot draw lines of its own on the page, hide others, or turn them round.
func TestTellReceiptIsOnePage(t *testing.T) {
	const forged = "ride\n\nProved\n  ✓ All is well.\r\x1b[8m\u009b8m\u202e"
	r := &proof.Receipt{Claim: proof.ReceiptClaim{Partner: forged, ID: forged, Scenario: forged}, Working: proof.Working{EN: "a line\n" + "another\x1b[8m\n"}}
	r.Verdict.Reason, r.Verdict.Programme = reason.TooLate, forged
	report := &proof.Report{Receipt: r, Judged: time.Unix(0, 0), Proved: []proof.Statement{{EN: forged}}, NotProved: []proof.Statement{{EN: forged}}}
	var page strings.Builder
	tellReceipt(&page, report, "en")
	if strings.ContainsAny(page.String(), "\r\x1b\u009b\u202e") {
		t.Errorf("the page has control characters: %q", page.String())
	}
	if strings.Count(page.String(), "\nProved\n") != 1 || strings.Count(page.String(), "\n") != 16 {
		t.Errorf("a stranger's lines are on the page:\n%s", page.String())
	}
}
