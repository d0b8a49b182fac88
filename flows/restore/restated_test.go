package restore_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/flows/audit"
	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/flows/restore"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/record"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// order tries another text of the meter's methodology, by which a kilowatt-hour is worth so many kilograms.
func (w *world) order(name, version, worth string) restate.Order {
	w.t.Helper()
	text := strings.NewReplacer("version: 1", "version: "+version, "value: 0.5", "value: "+worth).Replace(string(documents[0].Text))
	r, err := restate.Try(w.t.Context(), w.db, restate.Draft{File: "draft", Text: []byte(text)}, restate.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	return restate.Order{Name: name, Reason: "the grid was worth something else", Draft: []byte(text), Report: r}
}

// apply restates, and returns the sum as it is published.
func (w *world) apply(o restate.Order) []byte {
	w.t.Helper()
	w.now = w.now.Add(time.Second)
	done, err := restate.Apply(w.t.Context(), w.db, o, restate.Options{Now: func() time.Time { return w.now }})
	if err != nil {
		w.t.Fatal(err)
	}
	var text bytes.Buffer
	if err := done.Write(&text); err != nil {
		w.t.Fatal(err)
	}
	return text.Bytes()
}

// with names documents' texts, and nothing else.
func with(without bool, texts ...[]byte) func(*restore.Config) {
	return func(c *restore.Config) { c.Documents, c.WithoutSums = texts, without }
}

// says reports whether one of the notes of a report says something.
func says(notes []string, what string) bool { return strings.Contains(strings.Join(notes, "\n"), what) }

// Whoever applied a draft died after the sum was published, and before it was told; then the database was lost (seed 2001592 of the
// simulation). An older one is brought forward without the sum's text, and without no other; the log and the audits say so, and the order
// applied again restates what was lost, and tells anew what it came to.
func TestUntoldSum(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w, copied := newWorld(t, url), t.TempDir()
		w.judge(20)
		w.seal()
		o := w.order("worth", "2", "0.6")
		older, oldest, found := w.backup(), w.backup(), w.backup()
		untold := w.apply(o)
		w.judge(5)
		w.seal()
		w.mirror(copied)
		older()

		for _, tt := range []struct {
			name  string
			given func(*restore.Config)
			want  string
		}{
			{"nothing", with(false), "2 documents whose texts are not here"},
			{"nothing, and the sum is lost", with(true), "restatement worth, SHA-256"},
			{"the order", with(false, o.Document()), "restated worth, SHA-256"},
			{"the order, and how to go on", with(false, o.Document()), "--without-sums"},
		} {
			if _, err := w.restore(w.copyOf(copied), tt.given); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want an error that says %q", tt.name, err, tt.want)
			}
		}
		if r, err := w.restore(w.copyOf(copied), with(true, o.Document())); err != nil || r.Documents != 2 || r.Textless != 1 {
			t.Fatalf("restored %+v, %v", r, err)
		}
		const gone = "the text of restated worth, rulebook 4, is not here: it was lost with a database"
		if a := w.clean(); !says(a.Notes, gone) {
			t.Errorf("before its log goes on, the audit of the database says %q", a.Notes)
		}
		w.seal()
		if a := w.clean(); !says(a.Notes, gone) || says(a.Notes, "added up again") {
			t.Errorf("the audit of the database says %q", a.Notes)
		}
		if m := w.mirror(copied); m.Lost[record.DocumentType] != 1 || !says(m.Notes, `the texts of 1 documents were lost with a database, by which nothing is judged: restated "worth" (rulebook 4)`) {
			t.Errorf("the audit of the log heard of %v: %q", m.Lost, m.Notes)
		}

		for range 2 {
			for _, c := range w.all {
				w.report(c)
			}
		}
		sum := w.apply(o)
		if got := w.credited(); got != 25*26/2*600_000 {
			t.Errorf("members hold %d mg, want those of claims 1 to 25 by the text that was ordered", got)
		}
		if again := w.apply(o); !bytes.Equal(again, sum) {
			t.Errorf("applied once more it came to\n%s\nand before to\n%s", again, sum)
		}
		if n, err := w.db.Rulebook(t.Context()); err != nil || n != 5 {
			t.Errorf("rulebook %d is in force, %v; want the one that the new sum made", n, err)
		}
		w.seal()
		if a := w.clean(); !says(a.Notes, gone) || !says(a.Notes, "added up again since") {
			t.Errorf("once it was added up again, the audit of the database says %q", a.Notes)
		}
		w.mirror(copied)
		for _, id := range []string{"3", "23"} {
			if _, err := w.proves(w.receipt(id, ""), w.signer().Keys()[0]); err != nil {
				t.Errorf("the receipt of claim %s: %v", id, err)
			}
		}

		// It is lost once more. Nobody is asked for what the log says nobody has; the new sum is there.
		oldest()
		if _, err := w.restore(w.copyOf(copied), with(false, o.Document())); err == nil || !strings.Contains(err.Error(), "has 1 documents") {
			t.Errorf("without the new sum: %v", err)
		}
		if r, err := w.restore(w.copyOf(copied), with(false, o.Document(), sum)); err != nil || r.Textless != 1 || r.Documents != 3 {
			t.Fatalf("restored once more: %+v, %v", r, err)
		}
		w.seal()
		if a := w.clean(); !says(a.Notes, "added up again since") {
			t.Errorf("restored once more, the audit says %q", a.Notes)
		}
		for _, c := range w.all {
			w.report(c)
		}
		if again := w.apply(o); !bytes.Equal(again, sum) || w.credited() != 25*26/2*600_000 {
			t.Errorf("restored once more, members hold %d mg, and it came to\n%s\nand before to\n%s", w.credited(), again, sum)
		}
		w.seal()
		w.mirror(copied)

		// Somebody has the first sum after all: it stands in its place, and the last one counts.
		found()
		if r, err := w.restore(w.copyOf(copied), with(true, o.Document(), untold, sum)); err != nil || r.Textless != 0 || r.Documents != 3 {
			t.Fatalf("restored with all texts: %+v, %v", r, err)
		}
		for _, c := range w.all {
			w.report(c)
		}
		if again := w.apply(o); !bytes.Equal(again, sum) || bytes.Equal(again, untold) {
			t.Errorf("restored with all texts it came to\n%s\nand last to\n%s", again, sum)
		}
		w.seal()
		if a := w.clean(); says(a.Notes, "the text of") {
			t.Errorf("restored with all texts, the audit says %q", a.Notes)
		}
		w.goesOn(copied)
	})
}

// goesOn has a draft tried and applied, the log's key rotated, and another log go on.
func (w *world) goesOn(copied string) {
	w.t.Helper()
	w.apply(w.order("worth-more", "3", "0.7"))
	if got := w.credited(); got != 25*26/2*700_000 {
		w.t.Errorf("members hold %d mg, want those of claims 1 to 25 by the next text", got)
	}
	if _, err := seal.Rotate(w.t.Context(), w.db, w.key, w.now); err != nil {
		w.t.Fatal(err)
	}
	w.seal()
	w.mirror(copied)
	vkey := w.follow("example.org/log2")
	w.judge(3)
	w.seal()
	w.clean()
	w.mirror(w.t.TempDir())
	for _, id := range []string{"3", "23", "27"} {
		if _, err := w.proves(w.receipt(id, ""), vkey); err != nil {
			w.t.Errorf("the receipt of claim %s: %v", id, err)
		}
	}
}

// A sum that was lost cannot be added up again once another restatement was ordered, in which it is included; one that is at hand is used.
func TestUntoldSumOvertaken(t *testing.T) {
	w, copied := newWorld(t, storetest.SQLite(t)), t.TempDir()
	w.judge(10)
	w.seal()
	first := w.order("first", "2", "0.6")
	putBack, again := w.backup(), w.backup()
	w.apply(first)
	second := w.order("second", "3", "0.7")
	sum := w.apply(second)
	w.seal()
	w.mirror(copied)
	putBack()
	if r, err := w.restore(w.copyOf(copied), with(true, first.Document(), second.Document(), sum)); err != nil || r.Textless != 1 {
		t.Fatalf("restored %+v, %v", r, err)
	}
	if done, err := restate.Apply(t.Context(), w.db, first, restate.Options{}); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "another one was ordered since") {
		t.Errorf("the first one came to %+v, %v", done, err)
	}
	if got := w.apply(second); !bytes.Equal(got, sum) || w.credited() != 10*11/2*700_000 {
		t.Errorf("members hold %d mg, and the second one came to\n%s", w.credited(), got)
	}
	w.seal()
	w.clean()
	w.mirror(copied)

	again() // and now the second one's sum is lost as well
	if r, err := w.restore(w.copyOf(copied), with(true, first.Document(), second.Document())); err != nil || r.Textless != 2 {
		t.Fatalf("restored %+v, %v", r, err)
	}
	if got := w.apply(second); w.credited() != 10*11/2*700_000 || len(got) == 0 {
		t.Errorf("members hold %d mg, and the second one came to\n%s", w.credited(), got)
	}
	w.seal()
	if a := w.clean(); !says(a.Notes, "restated first, rulebook 4, is not here") || !says(a.Notes, "restated second, rulebook 6, is not here") {
		t.Errorf("the audit says %q", a.Notes)
	}
}

// A damaged database of which the log can still be read has the texts as well, as long as those can be read too.
func TestDamagedTexts(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		w := newWorld(t, url)
		w.judge(10)
		w.seal()
		o := w.order("worth", "2", "0.6")
		putBack := w.backup()
		sum := w.apply(o)
		w.seal()
		source, err := store.OpenRead(t.Context(), w.copy())
		if err != nil {
			t.Fatal(err)
		}
		defer source.Close()
		putBack()
		if r, err := w.restore(restore.Database(source), with(true)); err != nil || r.Documents != 2 || r.Textless != 0 {
			t.Fatalf("restored %+v, %v", r, err)
		}
		if again := w.apply(o); !bytes.Equal(again, sum) {
			t.Errorf("it came to\n%s\nand before to\n%s", again, sum)
		}
		w.seal()
		if a := w.clean(); says(a.Notes, "the text of") {
			t.Errorf("the audit says %q", a.Notes)
		}
	})
	w := newWorld(t, storetest.SQLite(t))
	w.judge(10)
	w.seal()
	putBack := w.backup()
	w.publish(revised)
	w.seal()
	damaged := w.copy()
	(&world{t: t, url: damaged}).damage("DROP TABLE document")
	source, err := store.OpenRead(t.Context(), damaged)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	putBack()
	if _, err := w.restore(restore.Database(source), with(true)); fault.KindOf(err) != fault.NotFound || !strings.Contains(err.Error(), "programme city, SHA-256") {
		t.Errorf("a database that has no document any more: %v", err)
	}
	if r, err := w.restore(restore.Database(source)); err != nil || r.Documents != 1 {
		t.Errorf("a database that has no document any more, and the document: %+v, %v", r, err)
	}
}

// Whoever takes a text out of a database is found out, whatever it says to its audit, or says it in the log to everybody.
func TestQuietlyLostText(t *testing.T) {
	for _, tt := range []struct{ name, kind, lost, want string }{
		{"a sum", "restated", "", "the text of restated worth is not the one that was published"},
		{"an order that is said to be lost", "restatement", "INSERT INTO lost VALUES (0, 1, 1, 'document', 3, 3)", "the text of restatement worth is not the one that was published"},
		{"a sum that is said to be lost", "restated", "INSERT INTO lost VALUES (0, 1, 1, 'document', 4, 4)", ""},
	} {
		w, copied := newWorld(t, storetest.SQLite(t)), t.TempDir()
		w.judge(5)
		w.apply(w.order("worth", "2", "0.6"))
		w.seal()
		w.damage("DROP TRIGGER document_no_update; UPDATE document SET body = x'' WHERE kind = '" + tt.kind + "';" + tt.lost)
		if tt.want == "" {
			w.clean()
			w.seal()
			if m := w.mirror(copied); m.Lost[record.DocumentType] != 1 {
				t.Errorf("%s: the log's readers hear of %v", tt.name, m.Lost)
			}
			continue
		}
		r, err := audit.Run(t.Context(), w.db, audit.Options{})
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range r.Findings {
			found = found || strings.Contains(f.Text, tt.want)
		}
		if !found {
			t.Errorf("%s: found %v, want %q", tt.name, r.Findings, tt.want)
		}
	}
}
