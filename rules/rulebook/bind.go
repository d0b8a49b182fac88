package rulebook

import (
	"fmt"

	"github.com/tanpu/tanpu/rules/methodology"
)

// A Document is a text that was published, by the kind and name that it is known by.
type Document struct {
	Kind string // groups, factors, methodology or programme
	Name string
	Text []byte
}

// Bind reads documents and binds them together into a rulebook. Of several with the same kind and name the last
// one counts.
func Bind(number int64, documents []Document) (*Rulebook, error) {
	type key struct{ kind, name string }
	last := map[key]int{}
	for i, d := range documents {
		last[key{d.Kind, d.Name}] = i
	}
	each := func(kind string, f func(file string, text []byte) error) error {
		for i, d := range documents {
			if d.Kind != kind || last[key{d.Kind, d.Name}] != i {
				continue
			}
			if err := f(d.Name+"."+d.Kind+".yaml", d.Text); err != nil {
				return err
			}
		}
		return nil
	}
	lib := &methodology.Library{}
	var methods []*methodology.Methodology
	var programmes []*Programme
	steps := []struct {
		kind string
		read func(file string, text []byte) error
	}{
		{"groups", func(file string, text []byte) error {
			groups, err := methodology.ParseGroups(file, text)
			if err == nil {
				err = lib.AddGroups(groups)
			}
			return err
		}},
		{"factors", func(file string, text []byte) error {
			factors, err := methodology.ParseFactors(file, text)
			if err == nil {
				err = lib.AddFactors(factors)
			}
			return err
		}},
		{"methodology", func(file string, text []byte) error {
			m, err := methodology.Parse(file, text, lib)
			methods = append(methods, m)
			return err
		}},
		{"programme", func(file string, text []byte) error {
			p, err := ParseProgramme(file, text)
			programmes = append(programmes, p)
			return err
		}},
	}
	for _, s := range steps {
		if err := each(s.kind, s.read); err != nil {
			return nil, fmt.Errorf("rulebook %d: %w", number, err)
		}
	}
	b := New(number, lib.Groups, methods, programmes)
	b.factors = lib.Factors
	return b, nil
}
