// Package publish puts documents in force. What is published stays: a methodology's version never
// changes, a group keeps its rules, a factor its values; a programme may be revised, and every revision
// makes a new rulebook.
package publish

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/rulebook"
	"github.com/tanpu/tanpu/store"
)

// A File is a document by the name that tells its kind: x.groups.yaml, x.factors.yaml,
// x.methodology.yaml or x.programme.yaml.
type File struct {
	Name string
	Text []byte
}

// kinds, in the order in which documents build on each other.
var kinds = []string{"groups", "factors", "methodology", "programme"}

// kindOf tells a document's kind by its name.
func kindOf(name string) (string, error) {
	for _, kind := range kinds {
		if strings.HasSuffix(name, "."+kind+".yaml") {
			return kind, nil
		}
	}
	return "", fault.New(fault.Invalid, "%s: a document's name ends in .groups.yaml, .factors.yaml, .methodology.yaml or .programme.yaml", name)
}

// A Report says what publishing did, by the documents' names.
type Report struct {
	Published []string
	Unchanged []string
	Rulebook  int64 // in force now
}

// Publish reads the files, holds them against what is in force, and publishes those that are new, all of
// them or none. What is there already and unchanged is left alone.
func Publish(ctx context.Context, db *store.DB, files []File) (Report, error) {
	return PublishAt(ctx, db, files, time.Now())
}

// PublishAt is Publish at an instant.
func PublishAt(ctx context.Context, db *store.DB, files []File, now time.Time) (Report, error) {
	for {
		report, err := publish(ctx, db, files, now)
		if !errors.Is(err, store.ErrOvertaken) {
			return report, err
		}
	}
}

func publish(ctx context.Context, db *store.DB, files []File, now time.Time) (Report, error) {
	number, err := db.Rulebook(ctx)
	if err != nil {
		return Report{}, err
	}
	documents, err := db.Documents(ctx, number)
	if err != nil {
		return Report{}, err
	}
	before, err := shelve(documents)
	if err != nil {
		return Report{}, err
	}
	after, report, fresh, err := before.with(files)
	if err != nil {
		return Report{}, err
	}
	report.Rulebook = number + int64(len(fresh))
	if len(fresh) == 0 {
		return report, nil
	}
	if err := after.succeeds(before, now); err != nil {
		return Report{}, err
	}
	book, err := after.bind(report.Rulebook)
	if err != nil {
		return Report{}, err
	}
	if err := book.Check(); err != nil {
		return Report{}, err
	}
	return report, db.Publish(ctx, number, fresh, now)
}

// Load makes the rulebook of a number from what is published up to it.
func Load(ctx context.Context, db *store.DB, number int64) (*rulebook.Rulebook, error) {
	return LoadRestated(ctx, db, number, 0)
}

// LoadRestated makes the rulebook of a number with the restatements in it that came later, up to one.
func LoadRestated(ctx context.Context, db *store.DB, number, restated int64) (*rulebook.Rulebook, error) {
	documents, err := db.Documents(ctx, max(number, restated))
	if err != nil {
		return nil, err
	}
	return bound.bind(number, restated, Texts(documents))
}

// Texts are documents as rules read them.
func Texts(documents []store.Document) []rulebook.Document {
	list := make([]rulebook.Document, len(documents))
	for i, d := range documents {
		list[i] = rulebook.Document{Number: d.Rulebook, Kind: d.Kind, Name: d.Name, Text: d.Body}
	}
	return list
}

// bound keeps the rulebooks that were made last: the judges, desks and sealers of a process ask for the same, and to
// read one takes milliseconds. What is found in it follows from the texts alone.
var bound binder

type binder struct {
	mu   sync.Mutex
	made map[[sha256.Size]byte]*rulebook.Rulebook // by numbers and texts; guarded by mu
}

// maxBound bounds how many are kept.
const maxBound = 16

func (b *binder) bind(number, restated int64, documents []rulebook.Document) (*rulebook.Rulebook, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%d %d\n", number, restated)
	for _, d := range documents {
		fmt.Fprintf(h, "%d %q %q %d\n%s", d.Number, d.Kind, d.Name, len(d.Text), d.Text)
	}
	key := [sha256.Size]byte(h.Sum(nil))
	b.mu.Lock()
	book := b.made[key]
	b.mu.Unlock()
	if book != nil {
		return book, nil
	}
	book, err := rulebook.Bind(number, restated, documents)
	if err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.made == nil || len(b.made) == maxBound {
		b.made = map[[sha256.Size]byte]*rulebook.Rulebook{}
	}
	b.made[key] = book
	return book, nil
}

// A shelf holds the latest revision of each document, read, by kind and name.
type shelf struct {
	texts      map[key]store.Document
	files      map[key]string // what those being published are called, for errors
	order      []key
	groups     map[string][]methodology.Group
	factors    map[string]methodology.Factors
	programmes map[string]*rulebook.Programme
	methods    map[string]*methodology.Methodology
}

type key struct{ kind, name string }

func newShelf() *shelf {
	return &shelf{
		texts:      map[key]store.Document{},
		files:      map[key]string{},
		groups:     map[string][]methodology.Group{},
		factors:    map[string]methodology.Factors{},
		programmes: map[string]*rulebook.Programme{},
		methods:    map[string]*methodology.Methodology{},
	}
}

// shelve reads documents that are published.
func shelve(documents []store.Document) (*shelf, error) {
	s := newShelf()
	for _, d := range documents {
		s.put(d)
	}
	return s, s.read()
}

func (s *shelf) put(d store.Document) {
	k := key{d.Kind, d.Name}
	if _, there := s.texts[k]; !there {
		s.order = append(s.order, k)
	}
	s.texts[k] = d
}

// read reads all texts; methodologies are compiled against all groups and factors.
func (s *shelf) read() error {
	lib, err := s.library()
	if err != nil {
		return err
	}
	for _, k := range s.order {
		file, body := s.file(k), s.texts[k].Body
		switch k.kind {
		case "methodology":
			m, err := methodology.Parse(file, body, lib)
			if err != nil {
				return err
			}
			s.methods[k.name] = m
		case "programme":
			p, err := rulebook.ParseProgramme(file, body)
			if err != nil {
				return err
			}
			s.programmes[k.name] = p
		}
	}
	return nil
}

// file is what a document is called in errors: by the file it came in, if it is only now being published.
func (s *shelf) file(k key) string {
	if name, ok := s.files[k]; ok {
		return name
	}
	return k.name + "." + k.kind + ".yaml"
}

// library gathers what methodologies compile against.
func (s *shelf) library() (*methodology.Library, error) {
	lib := &methodology.Library{}
	for _, k := range s.order {
		var err error
		switch k.kind {
		case "groups":
			if s.groups[k.name], err = methodology.ParseGroups(s.file(k), s.texts[k].Body); err == nil {
				err = lib.AddGroups(s.groups[k.name])
			}
		case "factors":
			if s.factors[k.name], err = methodology.ParseFactors(s.file(k), s.texts[k].Body); err == nil {
				err = lib.AddFactors(s.factors[k.name])
			}
		}
		if err != nil {
			return nil, asFault(err)
		}
	}
	return lib, nil
}

// asFault marks an error in somebody's document as theirs.
func asFault(err error) error {
	if fault.KindOf(err) != "" {
		return err
	}
	return fault.New(fault.Invalid, "%s", err)
}

// bind makes a rulebook of what is on the shelf.
func (s *shelf) bind(number int64) (*rulebook.Rulebook, error) {
	lib, err := s.library()
	if err != nil {
		return nil, err
	}
	var methods []*methodology.Methodology
	var programmes []*rulebook.Programme
	for _, k := range s.order {
		switch k.kind {
		case "methodology":
			methods = append(methods, s.methods[k.name])
		case "programme":
			programmes = append(programmes, s.programmes[k.name])
		}
	}
	return rulebook.New(number, lib.Groups, methods, programmes), nil
}

// with puts files on a copy of the shelf, and lists the documents that are new or revised.
func (s *shelf) with(files []File) (*shelf, Report, []store.Document, error) {
	var report Report
	var fresh []store.Document
	after := newShelf()
	for _, k := range s.order {
		after.put(s.texts[k])
	}
	for _, kind := range kinds {
		for _, f := range files {
			k, err := kindOf(f.Name)
			if err != nil {
				return nil, report, nil, err
			}
			if k != kind {
				continue
			}
			name, err := after.name(kind, f)
			if err != nil {
				return nil, report, nil, asFault(err)
			}
			d := store.Document{Kind: kind, Name: name, Hash: sha256.Sum256(f.Text), Body: f.Text}
			if old, there := after.texts[key{kind, name}]; there && old.Hash == d.Hash {
				report.Unchanged = append(report.Unchanged, name)
				continue
			} else if there && kind == "methodology" {
				return nil, report, nil, fault.New(fault.Conflict, "%s: %s is published and cannot be changed; give the text a new version", f.Name, name)
			}
			if by, taken := after.restates(d); taken {
				return nil, report, nil, fault.New(fault.Conflict, "%s: restatement %s has another text of %s; give this one a new version", f.Name, by, name)
			}
			after.put(d)
			after.files[key{kind, name}] = f.Name
			fresh = append(fresh, d)
			report.Published = append(report.Published, name)
		}
	}
	if err := after.read(); err != nil {
		return nil, report, nil, asFault(err)
	}
	for _, d := range fresh {
		if m := after.methods[d.Name]; d.Kind == "methodology" && m != nil {
			if err := m.CheckExamples(); err != nil {
				return nil, report, nil, asFault(err)
			}
		}
	}
	return after, report, fresh, nil
}

// name finds what a document is known by: a methodology by its id and version, a programme by its id,
// groups and factors by their file.
func (s *shelf) name(kind string, f File) (string, error) {
	switch kind {
	case "methodology":
		lib, err := s.library()
		if err != nil {
			return "", err
		}
		m, err := methodology.Parse(f.Name, f.Text, lib)
		if err != nil {
			return "", err
		}
		return m.Name(), nil
	case "programme":
		p, err := rulebook.ParseProgramme(f.Name, f.Text)
		if err != nil {
			return "", err
		}
		return p.ID, nil
	case "groups":
		if _, err := methodology.ParseGroups(f.Name, f.Text); err != nil {
			return "", err
		}
	case "factors":
		if _, err := methodology.ParseFactors(f.Name, f.Text); err != nil {
			return "", err
		}
	}
	return strings.TrimSuffix(filepath.Base(f.Name), "."+kind+".yaml"), nil
}
