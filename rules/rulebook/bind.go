package rulebook

import (
	"fmt"

	"github.com/tanpu/tanpu/rules/methodology"
)

// A Document is a text that was published, by the kind and name that it is known by.
type Document struct {
	Number int64  // of the rulebook that it made
	Kind   string // groups, factors, methodology, programme, restatement or restated
	Name   string
	Text   []byte
}

// Bind reads documents and binds those up to a number together into a rulebook. Of several with the same kind and name
// the last one counts. Of restatements it takes those that come later in as well, up to another number: so a claim is
// judged by what was published when it came, and by what was ordered of its day since.
func Bind(number, restated int64, documents []Document) (*Rulebook, error) {
	b, err := bind(number, documents)
	if err != nil {
		return nil, fmt.Errorf("rulebook %d: %w", number, err)
	}
	for _, d := range documents {
		if d.Kind != Restating || d.Number > max(number, restated) {
			continue
		}
		r, err := ParseRestatement(d.Name+"."+Restating+".yaml", d.Text)
		if err != nil {
			return nil, fmt.Errorf("rulebook %d: %w", d.Number, err)
		}
		later := &methodology.Library{}
		if err := library(later, r.Rulebook, documents); err != nil {
			return nil, fmt.Errorf("rulebook %d: %w", r.Rulebook, err)
		}
		if b, err = b.restate(d.Number, r, later); err != nil {
			return nil, fmt.Errorf("rulebook %d: %w", d.Number, err)
		}
	}
	return b, nil
}

// bind reads all documents up to a number but restatements.
func bind(number int64, documents []Document) (*Rulebook, error) {
	lib := &methodology.Library{}
	if err := library(lib, number, documents); err != nil {
		return nil, err
	}
	var methods []*methodology.Methodology
	var programmes []*Programme
	published := map[*methodology.Methodology]int64{}
	err := each("methodology", number, documents, func(d Document, file string) error {
		m, err := methodology.Parse(file, d.Text, lib)
		methods = append(methods, m)
		published[m] = d.Number
		return err
	})
	if err == nil {
		err = each("programme", number, documents, func(d Document, file string) error {
			p, err := ParseProgramme(file, d.Text)
			programmes = append(programmes, p)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	b := New(number, lib.Groups, methods, programmes)
	b.factors, b.published = lib.Factors, published
	return b, nil
}

// library reads the groups and factors up to a number.
func library(lib *methodology.Library, number int64, documents []Document) error {
	err := each("groups", number, documents, func(d Document, file string) error {
		groups, err := methodology.ParseGroups(file, d.Text)
		if err == nil {
			err = lib.AddGroups(groups)
		}
		return err
	})
	if err != nil {
		return err
	}
	return each("factors", number, documents, func(d Document, file string) error {
		factors, err := methodology.ParseFactors(file, d.Text)
		if err == nil {
			err = lib.AddFactors(factors)
		}
		return err
	})
}

// each runs f on the documents of a kind up to a number, the last of each name, with what they are called in errors.
func each(kind string, number int64, documents []Document, f func(d Document, file string) error) error {
	last := map[string]int{}
	for i, d := range documents {
		if d.Kind == kind && d.Number <= number {
			last[d.Name] = i
		}
	}
	for i, d := range documents {
		if d.Kind != kind || d.Number > number || last[d.Name] != i {
			continue
		}
		if err := f(d, d.Name+"."+d.Kind+".yaml"); err != nil {
			return err
		}
	}
	return nil
}
