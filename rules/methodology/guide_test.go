package methodology

import (
	"strings"
	"testing"
)

// What the guide shows compiles, and its examples come out.
func TestGuide(t *testing.T) {
	guide := string(read(t, "../../docs/methodologies.md"))
	block := func(name string) []byte {
		_, rest, found := strings.Cut(guide, "<!-- "+name+" -->\n```yaml\n")
		text, _, closed := strings.Cut(rest, "```")
		if !found || !closed {
			t.Fatalf("the guide shows no %s", name)
		}
		return []byte(text)
	}
	groups, err := ParseGroups("groups", block("groups"))
	if err != nil {
		t.Fatal(err)
	}
	factors, err := ParseFactors("factors", block("factors"))
	if err != nil {
		t.Fatal(err)
	}
	lib := &Library{Factors: factors}
	if err := lib.AddGroups(groups); err != nil {
		t.Fatal(err)
	}
	m, err := Parse("methodology", block("methodology"), lib)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.CheckExamples(); err != nil {
		t.Error(err)
	}
}
