package restate

import (
	"encoding/json"
	"io"
	"slices"

	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/record"
)

// ReportForm names the form of a report, so that whoever reads one knows what it reads.
const ReportForm = "tanpu-try/1"

// A Report says what a draft would have changed. The same draft, days and watermark make the same report, byte
// for byte. It names claims by their reference and nobody by an account.
//
// A claim is *concerned* if the draft decides it, or if it changes; *changed* if its reason, reduction or points do.
type Report struct {
	Form      string    `json:"form"`
	Draft     Text      `json:"draft"`
	Watermark Watermark `json:"watermark"`

	Judged   Judged     `json:"judged"` // all that is recorded, whatever it is about
	Total    Sum        `json:"total"`  // of the claims that are concerned; so are all sums below
	Renamed  int64      `json:"renamed"`
	Accounts Accounts   `json:"accounts"`
	Months   []Month    `json:"months"` // local months of the start, in the draft's zone
	Reasons  []Reasons  `json:"reasons"`
	Schemes  []Scheme   `json:"programmes"`
	Texts    []Texts    `json:"methodologies"`
	Spread   []Bucket   `json:"differences"`
	Claims   []Largest  `json:"largest_claims"`
	Members  []Member   `json:"largest_accounts"`
	Unjudged []Unjudged `json:"unjudged"`
	NoRow    []NoRow    `json:"left_no_row"` // verdicts that kept no claim, of all programmes
}

// A Text is the draft, and where it was tried.
type Text struct {
	ID       string      `json:"id"`
	Version  int         `json:"version"`
	Title    Words       `json:"title"`
	Kind     string      `json:"kind"` // reduction or removal
	SHA256   record.Hash `json:"sha256"`
	TimeZone string      `json:"timezone"`
	From     string      `json:"from"`         // the first day on which an act may begin
	To       string      `json:"to,omitempty"` // the first after them; "" for open
	Valid    Days        `json:"valid"`        // what the text itself says
	Replaces []string    `json:"replaces"`     // the published versions in whose place it stood, by the last rulebook
}

// Words are a title in both languages.
type Words struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

// In returns the words in zh or en.
func (w Words) In(lang string) string {
	if lang == "zh" {
		return w.ZH
	}
	return w.EN
}

// Days are local days from one until before another, "" for open.
type Days struct {
	From string `json:"from"`
	To   string `json:"to,omitempty"`
}

// Judged is what was read and judged again.
type Judged struct {
	Claims   int64 `json:"claims"`
	Accounts int64 `json:"accounts"` // that have any
}

// A Sum adds up claims with their outcomes before and after.
type Sum struct {
	Claims    int64 `json:"claims"`
	Changed   int64 `json:"changed"`
	Old       int64 `json:"old_mg"`
	New       int64 `json:"new_mg"`
	OldPoints int64 `json:"old_points_thousandths"`
	NewPoints int64 `json:"new_points_thousandths"`
}

// Difference is what more would have been credited, mg.
func (s *Sum) Difference() int64 { return s.New - s.Old }

// Accounts counts members with claims that are concerned.
type Accounts struct {
	Concerned int64 `json:"concerned"`
	Changed   int64 `json:"changed"` // a claim of theirs is
	More      int64 `json:"more"`    // credited more in all
	Less      int64 `json:"less"`
}

// A Month is the acts that began in it.
type Month struct {
	Month string `json:"month"` // 2026-08
	Sum
	Reasons []Reasons `json:"reasons"`
}

// Reasons are claims by their reason before and after.
type Reasons struct {
	From reason.Code `json:"old_reason"`
	To   reason.Code `json:"new_reason"`
	Sum
}

// A Scheme is a programme that the draft touches.
type Scheme struct {
	Programme string `json:"programme"`
	Sum
}

// Texts are claims by the methodology that decided them before and after, "" where none was reached.
type Texts struct {
	From string `json:"old_methodology"`
	To   string `json:"new_methodology"`
	Sum
}

// A Bucket counts differences within bounds, both included. Where there is no bound, it is open.
type Bucket struct {
	From     *int64 `json:"from_mg,omitempty"`
	To       *int64 `json:"to_mg,omitempty"`
	Claims   int64  `json:"claims"`
	Accounts int64  `json:"accounts"`
}

// A Largest is one of the claims whose reduction changes most.
type Largest struct {
	Claim     string      `json:"claim"` // part.batch.ord
	Day       string      `json:"day"`   // local, of the start
	Programme string      `json:"programme"`
	Scenario  string      `json:"scenario"`
	OldText   string      `json:"old_methodology"`
	NewText   string      `json:"new_methodology"`
	OldReason reason.Code `json:"old_reason"`
	NewReason reason.Code `json:"new_reason"`
	Old       int64       `json:"old_mg"`
	New       int64       `json:"new_mg"`
}

// A Member is one of the accounts whose reductions change most. It is named by the claim of its that does.
type Member struct {
	Claim string `json:"claim"`
	Sum
}

// Unjudged are claims that could not be judged again; the report leaves them, and all others of their account, out.
type Unjudged struct {
	Why      Why   `json:"why"`
	Accounts int64 `json:"accounts"`
	Claims   int64 `json:"claims"`
}

// NoRow counts verdicts that left no row behind, so that there is nothing to judge again.
type NoRow struct {
	Reason reason.Code `json:"reason"`
	Claims int64       `json:"claims"`
}

// Whole reports whether everything that is recorded could be judged again. What was erased is not.
func (r *Report) Whole() bool {
	return !slices.ContainsFunc(r.Unjudged, func(u Unjudged) bool { return u.Why != Forgotten })
}

// Write writes the report as JSON.
func (r *Report) Write(w io.Writer) error { return writeJSON(w, r) }

func writeJSON(w io.Writer, r any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(r)
}
