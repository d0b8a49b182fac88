package methodology

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"github.com/tanpu/tanpu/rules/quantity"
)

// TestExplain shows workings: what was given, and the bill in Chinese and English. With UPDATE=1 the
// bills are written anew.
func TestExplain(t *testing.T) {
	files, err := filepath.Glob("testdata/explain/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no workings: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, g := workingOf(t, a)
			for i, f := range a.Files {
				if f.Name != "zh" && f.Name != "en" {
					continue
				}
				got, err := m.Explain(g, f.Name)
				if err != nil {
					t.Fatal(err)
				}
				if got != string(f.Data) && os.Getenv("UPDATE") == "" {
					t.Errorf("%s in %s:\n%s\nwant:\n%s", file, f.Name, got, f.Data)
				}
				a.Files[i].Data = []byte(got)
			}
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(file, txtar.Format(a), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// workingOf reads an archive: the methodology (by its file in testdata, with edits) and the claim.
func workingOf(t *testing.T, a *txtar.Archive) (*Methodology, Given) {
	t.Helper()
	var text string
	g := Given{Evidence: "system"}
	values := map[string]string{}
	for _, f := range a.Files {
		switch f.Name {
		case "methodology":
			name, edits, _ := strings.Cut(strings.TrimSpace(string(f.Data)), "\n")
			text = string(read(t, "testdata/"+name))
			if edits != "" {
				text = edit(t, text, strings.Split(edits, "\n"))
			}
		case "given":
			for line := range strings.Lines(string(f.Data)) {
				name, value, _ := strings.Cut(strings.TrimSpace(line), ": ")
				values[name] = value
			}
		}
	}
	m, err := Parse("methodology", []byte(text), testLibrary(t))
	if err != nil {
		t.Fatal(err)
	}
	g.Region = m.Region
	for name, value := range values {
		switch name {
		case "at", "duration", "limit", "history":
		case "evidence":
			g.Evidence = value
		case "region":
			g.Region = value
		default:
			g.Quantities = append(g.Quantities, Reported{name, value})
		}
	}
	slices.SortFunc(g.Quantities, func(a, b Reported) int { return strings.Compare(a.Name, b.Name) })
	setTimes(t, m, &g, values)
	return m, g
}

func setTimes(t *testing.T, m *Methodology, g *Given, values map[string]string) {
	t.Helper()
	at, err := time.ParseInLocation("2006-01-02", values["at"], m.Zone)
	if err != nil {
		t.Fatal(err)
	}
	g.Start, g.End = m.Period(at)
	if d := values["duration"]; d != "" {
		length, err := time.ParseDuration(d)
		if err != nil {
			t.Fatal(err)
		}
		g.End = g.Start + length.Microseconds()
	}
	if limit := values["limit"]; limit != "" {
		v, _ := m.Inputs[0].Base(limit)
		g.Limit = &Limit{m.Inputs[0].Name, v}
	}
	keys, past := m.NeedsHistory(g.Start), map[HistoryKey]quantity.Rat{}
	for i, text := range strings.Split(values["history"], ", ") {
		if text != "" {
			past[keys[i]], _ = m.Inputs[0].Base(text)
		}
	}
	g.History = func(input, period string) (quantity.Rat, bool) {
		v, ok := past[HistoryKey{input, period}]
		return v, ok
	}
}

func TestExplainInNoLanguage(t *testing.T) {
	if text, err := parseTest(t, "ride").Explain(*ride("2"), "fr"); err == nil {
		t.Errorf("Explain in fr = %s", text)
	}
}
