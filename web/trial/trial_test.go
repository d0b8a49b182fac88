package trial_test

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/web/trial"
)

var update = flag.Bool("update", false, "write what comes out, to be read before it is believed")

func sum(claims, changed, old, now int64) restate.Sum {
	return restate.Sum{Claims: claims, Changed: changed, Old: old, New: now, OldPoints: old / 10, NewPoints: now / 10}
}

func at(mg int64) *int64 { return &mg }

// sample is a report with something of everything: a month below zero, a gap between months, other texts, what is broken.
func sample() *restate.Report {
	instant := time.Date(2026, 8, 21, 8, 15, 3, 0, time.FixedZone("", 8*3600)).UnixMicro()
	return &restate.Report{
		Form: restate.ReportForm,
		Draft: restate.Text{ID: "RIDE", Version: 2, Title: restate.Words{ZH: "骑行", EN: "Riding <fast>"}, Kind: "reduction", TimeZone: "Asia/Shanghai",
			From: "2026-01-01", To: "2027-01-01", Valid: restate.Days{From: "2027-01-01"}, Replaces: []string{"RIDE@1"}},
		Watermark: restate.Watermark{Database: "d3d0", Rulebook: 12, Parts: []restate.Mark{{Part: 0, Batch: 7, At: instant}, {Part: 1, Batch: 0}}},
		Judged:    restate.Judged{Claims: 120_844, Accounts: 12_762},
		Total:     sum(1_000, 130, 37_349_751_088, 35_000_000_000),
		Renamed:   12,
		Accounts:  restate.Accounts{Concerned: 90, Changed: 40, More: 10, Less: 29},
		Months: []restate.Month{
			{Month: "2026-03", Sum: sum(500, 100, 30_000_000_000, 25_000_000_000)},
			{Month: "2026-06", Sum: sum(400, 20, 7_400_000_000, 10_100_000_000)},
			{Month: "2026-08", Sum: sum(100, 10, -50_248_912, -100_000_000)},
		},
		Reasons: []restate.Reasons{
			{From: reason.OK, To: reason.OK, Sum: sum(800, 100, 37_000_000_000, 34_000_000_000)},
			{From: reason.OK, To: reason.AboveMaximum, Sum: sum(20, 20, 349_751_088, 0)},
			{From: reason.Implausible, To: reason.OK, Sum: sum(10, 10, 0, 1_000_000_000)},
			{From: reason.BelowMinimum, To: reason.BelowMinimum, Sum: sum(170, 0, 0, 0)},
		},
		Schemes: []restate.Scheme{{Programme: "city", Sum: sum(1_000, 130, 37_349_751_088, 35_000_000_000)}},
		Texts: []restate.Texts{
			{From: "RIDE@1", To: "RIDE@2", Sum: sum(999, 129, 37_349_751_088, 34_999_000_000)},
			{From: "WALK@1", To: "WALK@1", Sum: sum(1, 1, 0, 1_000_000)},
		},
		Spread: []restate.Bucket{
			{To: at(-100_000_001), Claims: 1, Accounts: 1}, {From: at(-100_000_000), To: at(-30_000_001), Claims: 20, Accounts: 8}, {From: at(-1000), To: at(-1), Claims: 90, Accounts: 20},
			{From: at(0), To: at(0), Claims: 870, Accounts: 51}, {From: at(1), To: at(1000)}, {From: at(1001), To: at(3000), Claims: 5, Accounts: 3},
			{From: at(300_001), To: at(1_000_000), Claims: 14, Accounts: 7}, {From: at(100_000_001)},
		},
		Claims: []restate.Largest{{Claim: "0.7.3", Day: "2026-03-02", Programme: "city", Scenario: "ride", OldText: "RIDE@1", NewText: "RIDE@2",
			OldReason: reason.OK, NewReason: reason.AboveMaximum, Old: 4_637_943, New: 0}},
		Members:  []restate.Member{{Claim: "0.7.3", Sum: sum(234, 175, 159_733_438, 117_573_160)}},
		Unjudged: []restate.Unjudged{{Why: restate.NoBody, Accounts: 1, Claims: 3}},
		NoRow:    []restate.NoRow{{Reason: reason.Replay, Claims: 311}, {Reason: reason.NoLink, Claims: 4}},
	}
}

// TestText compares what a terminal shows with what was read and found right.
func TestText(t *testing.T) {
	for _, lang := range []string{"zh", "en"} {
		var got bytes.Buffer
		if err := trial.Text(&got, sample(), lang); err != nil {
			t.Fatal(err)
		}
		name := "testdata/report." + lang
		if *update {
			if err := os.WriteFile(name, got.Bytes(), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(name)
		if err != nil || string(want) != got.String() {
			t.Errorf("%s: got\n%s\n%v", name, got.String(), err)
		}
	}
}

// TestPage holds a page to what it must be: one file that needs no other, in which a title cannot be markup.
func TestPage(t *testing.T) {
	for _, lang := range []string{"zh", "en"} {
		var b bytes.Buffer
		if err := trial.Page(&b, sample(), lang); err != nil {
			t.Fatal(err)
		}
		page := b.String()
		for _, not := range []string{"<script", "http:", "https:", " src=", "@import", "url(", "<fast>", "ZgotmplZ", "%!"} {
			if strings.Contains(page, not) {
				t.Errorf("%s: the page has %q", lang, not)
			}
		}
		for _, must := range []string{`<html lang="`, "<h1>", "37.34", "35.00", "0.7.3", "RIDE@2", `scope="col"`, "<caption>", `role="img"`} {
			if !strings.Contains(page, must) {
				t.Errorf("%s: the page has no %q", lang, must)
			}
		}
		for _, tag := range []string{"section", "table", "tr", "td", "th", "div", "dl", "svg", "p", "span"} {
			opened, closed := len(regexp.MustCompile("<"+tag+"[ >]").FindAllString(page, -1)), strings.Count(page, "</"+tag+">")
			if opened != closed {
				t.Errorf("%s: %d <%s> and %d </%s>", lang, opened, tag, closed, tag)
			}
		}
	}
}

// TestEmpty says so where there is nothing, or nothing that changes.
func TestEmpty(t *testing.T) {
	nothing := &restate.Report{Form: restate.ReportForm, Draft: restate.Text{ID: "RIDE", Version: 1, TimeZone: "Asia/Shanghai", From: "2026-01-01"}}
	same := sample()
	same.Total = sum(5, 0, 10, 10)
	for want, r := range map[string]*restate.Report{"No recorded claim falls under this text": nothing, "Nothing would change: 5 claims": same} {
		var text, page bytes.Buffer
		if err := trial.Text(&text, r, "en"); err != nil || !strings.Contains(text.String(), want) {
			t.Errorf("text: %v\n%s\nwant %q", err, text.String(), want)
		}
		if err := trial.Page(&page, r, "en"); err != nil || page.Len() == 0 {
			t.Error(err)
		}
	}
}

var hex = regexp.MustCompile(`#[0-9A-Fa-f]{3,8}\b`)

// TestTokens keeps colours in the one file that has both their values.
func TestTokens(t *testing.T) {
	for _, name := range []string{"page.css", "page.html"} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if found := hex.FindString(string(text)); found != "" {
			t.Errorf("%s has a colour of its own, %s", name, found)
		}
	}
}
