package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/publish"
	"github.com/tanpu/tanpu/flows/receipt"
	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/flows/statement"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/store/storetest"
)

// drafted is a text of the testdata with passages replaced, each of which must be there.
func drafted(t *testing.T, name string, pairs ...string) []byte {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name + ".methodology.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for i := 0; i < len(pairs); i += 2 {
		if !strings.Contains(text, pairs[i]) {
			t.Fatalf("%q does not stand in the text", pairs[i])
		}
		text = strings.ReplaceAll(text, pairs[i], pairs[i+1])
	}
	return []byte(text)
}

// ride2 has other reductions, other caps, and takes rides of the self-reported no more.
func ride2(t *testing.T) []byte {
	return drafted(t, "bike", "version: 1", "version: 2", "93.3", "40", "186.6", "80", "claims: 4", "claims: 2", "max: 20 km", "max: 30 km", "  self: {weight: 0.5}\n", "")
}

func (w *world) try(text []byte) *restate.Report {
	w.t.Helper()
	r, err := restate.Try(w.t.Context(), w.db, restate.Draft{File: "draft.yaml", Text: text}, restate.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) apply(name string, text []byte, r *restate.Report) *restate.Applied {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	done, err := restate.Apply(w.t.Context(), w.db, restate.Order{Name: name, Reason: "the first text was \"wrong\"", Draft: text, Report: r},
		restate.Options{Now: func() time.Time { return w.now }})
	if err != nil {
		w.t.Fatal(err)
	}
	return done
}

// A city whose claims were corrected is restated, goes on, has claims corrected, and is restated again, by a draft of the same
// methodology and of another. Figures agree to the byte, and the audit makes all of it again.
func TestRestatements(t *testing.T) {
	storetest.OneByOne(t)
	storetest.Each(t, func(t *testing.T, url string) {
		w := live(t, url, 9, 8)
		for i, draft := range [][]byte{
			ride2(t),
			drafted(t, "meter", "version: 1", "version: 2", "424", "300.5", "14840", "10517.5"),
			drafted(t, "bike", "version: 1", "version: 3", "claims: 4", "claims: 3"),
		} {
			r := w.try(draft)
			done := w.apply(fmt.Sprint("restatement-", i), draft, r)
			if r.Total.Changed == 0 || !r.Whole() {
				t.Errorf("draft %d changes %d claims; %v", i, r.Total.Changed, r.Unjudged)
			}
			var tried, applied bytes.Buffer
			r.Write(&tried)
			done.Applied.Write(&applied)
			if done.Moved.Accounts != 0 || !bytes.Equal(tried.Bytes(), applied.Bytes()) {
				t.Errorf("draft %d: applied and tried differ", i)
			}
			mustBeClean(t, w)
			if again := w.try(draft); again.Total.Old != again.Total.New || again.Total.Old != r.Total.New || again.Total.OldPoints != again.Total.NewPoints {
				t.Errorf("draft %d tried once more: %+v", i, again.Total)
			}
			w.day()
			w.corrections(len(w.members))
			mustBeClean(t, w)
		}
		books := &publish.Books{DB: w.db}
		for _, m := range w.members {
			s, err := statement.Of(t.Context(), books, m.id, w.now.UnixMicro())
			if err != nil {
				t.Fatal(err)
			}
			if got, want := said(s.Balances), balancesOf(t, w.db, m.id); got != want {
				t.Errorf("the statement of account %s says %s, want %s", m.id, got, want)
			}
		}
	})
}

func mustBeClean(t *testing.T, w *world) {
	t.Helper()
	for _, f := range run(t, w.db).Findings {
		t.Error(f)
	}
}

// A restated claim has a receipt that proves it by the draft's text, as do claims that were judged by it as they came; a
// reversed one keeps its own. Nothing in such a receipt can be changed.
func TestReceiptsOfRestatements(t *testing.T) {
	storetest.OneByOne(t)
	w := live(t, storetest.SQLite(t), 9, 5)
	draft := ride2(t)
	w.apply("second", draft, w.try(draft))
	w.day()
	_, witnesses := sealed(t, w)
	again, reversed := corrected(t, w, 1000)
	seen := map[string]int{}
	tampered := 0
	for _, row := range append(again, reversed...) {
		kind := fmt.Sprint(row.Verdict.Method, row.Verdict.Reason, row.Reversed != 0)
		if seen[kind]++; seen[kind] > 3 {
			continue
		}
		r, err := receipt.Make(t.Context(), w.db, row.Verdict.Ref, "", witnesses)
		if err != nil {
			t.Fatalf("%s: %v", row.Verdict.Ref, err)
		}
		report, err := proof.Verify(r.Encode(), proof.Trust{})
		if err != nil {
			t.Fatalf("%s: %v\n%s", row.Verdict.Ref, err, r.Encode())
		}
		if row.Verdict.Method != "BIKE@2" || r.Again == nil || r.Again.Restated == 0 {
			continue
		}
		if _, err := proof.Verify(r.Encode(), proof.Trust{Methodology: draft}); err != nil || report == nil {
			t.Errorf("by the draft's text: %v", err)
		}
		if tampered++; tampered > 2 || row.Verdict.Reason != reason.OK {
			continue
		}
		var tree any
		d := json.NewDecoder(bytes.NewReader(r.Encode()))
		d.UseNumber()
		if err := d.Decode(&tree); err != nil {
			t.Fatal(err)
		}
		tamper(tree, nil, func(path []string) {
			text := ordered(t, tree)
			if bytes.Equal(text, r.Encode()) {
				return
			}
			var failure *proof.Failure
			if _, err := proof.Verify(text, proof.Trust{}); !errors.As(err, &failure) {
				t.Errorf("with another %s the receipt passes: %v", strings.Join(path, "."), err)
			}
		})
	}
	if tampered == 0 {
		t.Errorf("no restated claim was looked at: %v", seen)
	}
	for _, row := range samples(t, w, 1000)[reason.OK] {
		if row.Verdict.Method == "BIKE@2" && row.Times == 0 {
			r, err := receipt.Make(t.Context(), w.db, row.Verdict.Ref, "", witnesses)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := proof.Verify(r.Encode(), proof.Trust{}); err != nil {
				t.Errorf("judged by the draft as it came: %v", err)
			}
			return
		}
	}
	t.Error("no claim was judged by the draft as it came")
}

// restated picks one reversal of a restatement, always the same.
const restatedOne = "why = 'restated'"

var restatementDamages = []struct {
	name  string
	do    string
	kinds []audit.Kind
}{
	{"a reversal gone", "DELETE FROM reversal WHERE " + oneReversal(restatedOne), []audit.Kind{audit.Corrections, audit.Places}},
	{"restated for another reason", "UPDATE reversal SET reason = 'because' WHERE " + oneReversal(restatedOne), []audit.Kind{audit.Corrections}},
	{"retracted and not restated", "UPDATE reversal SET why = 'retracted' WHERE " + oneReversal(restatedOne), []audit.Kind{audit.Corrections}},
	{"restated by another restatement", "UPDATE reversal SET next_restated = next_restated - 1 WHERE " + oneReversal(restatedOne), []audit.Kind{audit.Corrections}},
	{"restated by none", "UPDATE reversal SET next_restated = 0 WHERE " + oneReversal(restatedOne), []audit.Kind{audit.Corrections}},
	{"more taken back", "UPDATE reversal SET mg = mg + 1 WHERE " + oneReversal(restatedOne+" AND mg > 0"), []audit.Kind{audit.Corrections, audit.Totals}},
	{"charged", "UPDATE reversal SET owed_mg = owed_mg + 1 WHERE " + oneReversal(restatedOne), []audit.Kind{audit.Corrections}},
	{"more milligrams restated", "UPDATE claim SET mg = mg + 1 WHERE " + oneOf("method = 'BIKE@2' AND again <> 0 AND mg > 0"), []audit.Kind{audit.Verdicts, audit.Totals}},
	{"a restated claim gone", "DELETE FROM claim WHERE " + oneOf("method = 'BIKE@2' AND again <> 0"), []audit.Kind{audit.Places, audit.Corrections}},
	{"the order changed", "UPDATE document SET body = {eight} WHERE kind = 'restatement'", []audit.Kind{audit.Documents}},
	{"the order gone", "DELETE FROM document WHERE kind = 'restatement'", []audit.Kind{audit.Numbering, audit.Corrections}},
}

// Whatever is done to a restatement is found.
func TestRestatementDamage(t *testing.T) {
	storetest.OneByOne(t)
	storetest.Each(t, func(t *testing.T, url string) {
		world := live(t, url, 6, 4)
		world.apply("second", ride2(t), world.try(ride2(t)))
		world.db.Close()
		w := newWreck(t, url)
		for _, d := range restatementDamages {
			t.Run(d.name, func(t *testing.T) {
				defer w.mend(t, []string{d.do})
				if w.do(t, d.do) == 0 {
					t.Fatal("there was nothing to damage")
				}
				r := run(t, w.db)
				for _, kind := range d.kinds {
					if r.Found[kind] == 0 {
						t.Errorf("nothing of kind %s was found, only %v", kind, r.Found)
					}
				}
			})
		}
		if r := run(t, w.db); !r.Clean() {
			t.Errorf("mended, it is not clean: %v", r.Findings)
		}
	})
}
