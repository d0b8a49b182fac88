package methodology

import (
	"os"
	"strings"
	"testing"

	"github.com/tanpu/tanpu/rules/document"
)

// testLibrary is the groups and factors of testdata.
func testLibrary(t testing.TB) *Library {
	t.Helper()
	groups, err := ParseGroups("activity.groups.yaml", read(t, "testdata/activity.groups.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	factors, err := ParseFactors("grid.factors.yaml", read(t, "testdata/grid.factors.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	lib := new(Library)
	if err := lib.AddGroups(groups); err != nil {
		t.Fatal(err)
	}
	if err := lib.AddFactors(factors); err != nil {
		t.Fatal(err)
	}
	return lib
}

// parseTest compiles a methodology of testdata.
func parseTest(t testing.TB, name string) *Methodology {
	t.Helper()
	m, err := Parse(name, read(t, "testdata/"+name+".methodology.yaml"), testLibrary(t))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestMistakes edits documents that are right and reads what is then said. Each line of an archive
// file is an edit, “old → new”; want is every mistake with its place. With UPDATE=1 it is rewritten.
func TestMistakes(t *testing.T) {
	lib := testLibrary(t)
	for _, tt := range []struct {
		base  string
		parse func(file string, text []byte) error
	}{
		{"ride.methodology.yaml", func(file string, text []byte) error { _, err := Parse(file, text, lib); return err }},
		{"meter.methodology.yaml", func(file string, text []byte) error { _, err := Parse(file, text, lib); return err }},
		{"grid.factors.yaml", func(file string, text []byte) error { _, err := ParseFactors(file, text); return err }},
		{"activity.groups.yaml", func(file string, text []byte) error { _, err := ParseGroups(file, text); return err }},
	} {
		t.Run(tt.base, func(t *testing.T) {
			base := string(read(t, "testdata/"+tt.base))
			golden := "testdata/mistakes/" + strings.TrimSuffix(tt.base, ".yaml") + ".txt"
			var out strings.Builder
			for _, c := range cases(t, string(read(t, golden))) {
				got := "no mistake found"
				if err := tt.parse(strings.TrimSuffix(tt.base, ".yaml"), []byte(edit(t, base, c.edits))); err != nil {
					got = err.Error()
				}
				if got != c.want && os.Getenv("UPDATE") == "" {
					t.Errorf("%s:\n%s\n got: %s\nwant: %s", golden, strings.Join(c.edits, "\n"), got, c.want)
				}
				out.WriteString(strings.Join(c.edits, "\n") + "\n\t" + strings.ReplaceAll(got, "\n", "\n\t") + "\n\n")
			}
			if os.Getenv("UPDATE") != "" {
				if err := os.WriteFile(golden, []byte(strings.TrimSuffix(out.String(), "\n")), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// A mistakeCase is edits, one a line, and what must be said, indented by a tab.
type mistakeCase struct {
	edits []string
	want  string
}

func cases(t *testing.T, text string) []mistakeCase {
	t.Helper()
	var all []mistakeCase
	for _, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		var c mistakeCase
		var want []string
		for _, line := range strings.Split(block, "\n") {
			if said, ok := strings.CutPrefix(line, "\t"); ok {
				want = append(want, said)
			} else {
				c.edits = append(c.edits, line)
			}
		}
		c.want = strings.Join(want, "\n")
		all = append(all, c)
	}
	return all
}

// edit replaces the first place of each old by its new; \n stands for a line's end.
func edit(t *testing.T, text string, edits []string) string {
	t.Helper()
	for _, e := range edits {
		from, to, ok := strings.Cut(e, " →")
		from, to = unescape(from), unescape(strings.TrimPrefix(to, " "))
		if !ok || !strings.Contains(text, from) {
			t.Fatalf("no place for the edit %q", e)
		}
		text = strings.Replace(text, from, to, 1)
	}
	return text
}

var unescape = strings.NewReplacer(`\n`, "\n", `\t`, "\t").Replace

func TestMistakesAreCounted(t *testing.T) {
	_, err := Parse("x", []byte("id: X\nnonsense: 1\n"), nil)
	errs, ok := err.(document.Errors)
	if !ok || len(errs) < 5 {
		t.Errorf("Parse = %v, want every mistake at once", err)
	}
	for i := 1; i < len(errs); i++ {
		if errs[i].Line < errs[i-1].Line {
			t.Errorf("%v comes after %v", errs[i], errs[i-1])
		}
	}
}
