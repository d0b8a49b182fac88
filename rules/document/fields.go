package document

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// An Entry is a key of a mapping and what stands under it.
type Entry struct {
	Name       string
	Key, Value Value
}

// Entries reads a mapping whose keys are the writer's own names. A key given twice, which is reported
// already, appears once.
func (v Value) Entries() []Entry {
	if v.node == nil {
		return nil
	}
	if v.node.Kind != yaml.MappingNode {
		v.Errorf("a mapping goes here, written {name: value} or as indented lines “name: value”")
		return nil
	}
	var all []Entry
	seen := map[string]bool{}
	for i := 0; i+1 < len(v.node.Content); i += 2 {
		key := v.node.Content[i]
		if !seen[key.Value] {
			seen[key.Value] = true
			all = append(all, Entry{key.Value, Value{v.doc, key}, Value{v.doc, v.node.Content[i+1]}})
		}
	}
	return all
}

// Fields are the entries of a mapping whose keys the reader knows. Close reports those it did not take.
type Fields struct {
	at      Value
	entries []Entry
	known   []string
}

// Fields reads a mapping of known keys.
func (v Value) Fields() *Fields { return &Fields{at: v, entries: v.Entries()} }

// Take returns the value of a key, absent if there is none.
func (f *Fields) Take(name string) Value {
	f.known = append(f.known, name)
	for _, e := range f.entries {
		if e.Name == name {
			return e.Value
		}
	}
	return Value{}
}

// Need is Take for a key that must be there.
func (f *Fields) Need(name string) Value {
	v := f.Take(name)
	if !v.Present() && f.at.IsMapping() {
		f.at.Errorf("%q is missing", name+":")
	}
	return v
}

// Others lists the entries that were not taken.
func (f *Fields) Others() []Entry {
	var others []Entry
	for _, e := range f.entries {
		if !slices.Contains(f.known, e.Name) {
			others = append(others, e)
		}
	}
	return others
}

// Close reports every key that was not taken.
func (f *Fields) Close() {
	for _, e := range f.Others() {
		if f.at.doc.full() {
			return
		}
		hint := Meant(e.Name, f.known)
		if hint == "" {
			hint = "; known here: " + strings.Join(f.known, ", ")
		}
		e.Key.Errorf("unknown key %q%s", e.Name, hint)
	}
}

// Meant returns “; did you mean x?” when one of choices is nearly word.
func Meant(word string, choices []string) string {
	if len(word) > 64 {
		return ""
	}
	best, distance := "", 3
	for _, c := range choices[:min(len(choices), 500)] {
		if d := edits(strings.ToLower(word), strings.ToLower(c)); d < distance && d < len(c) {
			best, distance = c, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

// edits counts the letters to change, add or drop to make a into b (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
