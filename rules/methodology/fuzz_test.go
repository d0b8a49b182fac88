package methodology

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tanpu/tanpu/rules/document"
)

// FuzzParse feeds texts to all three parsers. What is accepted must compute its own examples, explain
// them and be refused or accepted the same way again; nothing may panic or take long.
func FuzzParse(f *testing.F) {
	lib := testLibrary(f)
	for _, pattern := range []string{"testdata/*.yaml", shared + "/*.yaml"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			f.Add(read(f, file))
		}
	}
	mistakes, err := os.ReadFile("testdata/mistakes/ride.methodology.txt")
	if err != nil {
		f.Fatal(err)
	}
	base := string(read(f, "testdata/ride.methodology.yaml"))
	for line := range strings.Lines(string(mistakes)) {
		if from, to, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " →"); ok {
			f.Add([]byte(strings.Replace(base, unescape(from), unescape(strings.TrimPrefix(to, " ")), 1)))
		}
	}
	for _, s := range []string{"", "---", "a: &a [*a]", "\xff", "id: [", "? [a]: b", "%YAML 1.1\n---\nid: x", "id: \"\\u0000\"", strings.Repeat("[", 2000), strings.Repeat("a: {", 2000)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		_, err := ParseGroups("groups", text)
		placed(t, err)
		_, err = ParseFactors("factors", text)
		placed(t, err)
		m, err := Parse("methodology", text, lib)
		placed(t, err)
		if err != nil {
			return
		}
		m.CheckExamples()
		for i := range m.Examples {
			for _, lang := range []string{"zh", "en"} {
				if _, err := m.Explain(m.Examples[i].Given, lang); err != nil {
					t.Error(err)
				}
			}
		}
		m.NeedsHistory(m.From.UnixMicro())
	})
}

// placed checks that a mistake has a place and a sentence.
func placed(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	errs, ok := err.(document.Errors)
	if !ok || len(errs) == 0 {
		t.Fatalf("%T is no document.Errors: %v", err, err)
	}
	for _, e := range errs {
		if e.Line < 1 || e.Column < 1 || e.Message == "" || e.File == "" {
			t.Errorf("%+v has no place", e)
		}
	}
}
