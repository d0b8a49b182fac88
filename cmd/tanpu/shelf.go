package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/tanpu/tanpu/library"
	"github.com/tanpu/tanpu/rules/methodology"
)

// A paper is a document by the name under which it is reported.
type paper struct {
	name string
	text []byte
}

// A shelf is documents, compiled against each other.
type shelf struct {
	lib     methodology.Library
	methods []*methodology.Methodology
}

// kind returns what a document is, by its name: "groups", "factors", "methodology", "programme" or "".
func (p paper) kind() string {
	base, found := strings.CutSuffix(path.Base(filepath.ToSlash(p.name)), ".yaml")
	if !found {
		return ""
	}
	return strings.TrimPrefix(path.Ext(base), ".")
}

// maxPapers bounds how many documents are read at once.
const maxPapers = 10_000

// papers reads the documents of a file system, in order of name. Names are reported below root.
func papers(fsys fs.FS, root string) ([]paper, error) {
	var all []paper
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(name, ".yaml") {
			return err
		}
		if len(all) == maxPapers {
			return fmt.Errorf("more than %d documents", maxPapers)
		}
		text, err := fs.ReadFile(fsys, name)
		all = append(all, paper{filepath.Join(root, name), text})
		return err
	})
	return all, err
}

// stock adds groups and factors to the shelf and tells about each document.
func (s *shelf) stock(all []paper, tell func(p paper, what string, err error)) {
	for _, p := range all {
		switch p.kind() {
		case "groups":
			groups, err := methodology.ParseGroups(p.name, p.text)
			if err == nil {
				err = s.lib.AddGroups(groups)
			}
			tell(p, fmt.Sprintf("%d groups", len(groups)), err)
		case "factors":
			factors, err := methodology.ParseFactors(p.name, p.text)
			if err == nil {
				err = s.lib.AddFactors(factors)
			}
			tell(p, fmt.Sprintf("%d factors", len(factors)), err)
		}
	}
}

// fallBack adds the groups and factors that ship with tanpu, but for those whose names are taken.
func (s *shelf) fallBack() error {
	var shipped shelf
	all, err := papers(library.FS, "")
	if err != nil {
		return err
	}
	shipped.stock(all, func(_ paper, _ string, e error) { err = errors.Join(err, e) })
	for name, g := range shipped.lib.Groups {
		if _, taken := s.lib.Groups[name]; !taken {
			err = errors.Join(err, s.lib.AddGroups([]methodology.Group{g}))
		}
	}
	for name, f := range shipped.lib.Factors {
		if _, taken := s.lib.Factors[name]; !taken {
			err = errors.Join(err, s.lib.AddFactors(methodology.Factors{name: f}))
		}
	}
	return err
}

// compile adds the methodologies among all and tells about each.
func (s *shelf) compile(all []paper, tell func(p paper, what string, err error)) {
	names := map[string]string{}
	for _, p := range all {
		if p.kind() != "methodology" {
			continue
		}
		m, err := methodology.Parse(p.name, p.text, &s.lib)
		if err != nil {
			tell(p, "", err)
			continue
		}
		if other, taken := names[m.Name()]; taken {
			tell(p, "", fmt.Errorf("%s: %s is also in %s", p.name, m.Name(), other))
			continue
		}
		names[m.Name()] = p.name
		s.methods = append(s.methods, m)
		tell(p, fmt.Sprintf("%s, %d examples", m.Name(), len(m.Examples)), m.CheckExamples())
	}
}

// shipped is the shelf of what ships with tanpu.
func shipped() (*shelf, error) {
	all, err := papers(library.FS, "")
	if err != nil {
		return nil, err
	}
	var s shelf
	tell := func(_ paper, _ string, e error) { err = errors.Join(err, e) }
	s.stock(all, tell)
	s.compile(all, tell)
	return &s, err
}

// toCheck returns the documents to check and, for a file, the groups and factors beside it.
func toCheck(name string) (checked, beside []paper, err error) {
	if name == "" {
		checked, err = papers(library.FS, "")
		return checked, nil, err
	}
	info, err := os.Stat(name)
	if err != nil {
		return nil, nil, err
	}
	if info.IsDir() {
		checked, err = papers(os.DirFS(name), name)
		return checked, nil, err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, nil, err
	}
	p := paper{name, text}
	if p.kind() != "methodology" {
		return []paper{p}, nil, nil
	}
	beside, err = besides(filepath.Dir(name))
	return []paper{p}, beside, err
}

// besides reads the groups and factors that stand in a folder itself, not below it.
func besides(dir string) ([]paper, error) {
	var all []paper
	for _, pattern := range []string{"*.groups.yaml", "*.factors.yaml"} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				return nil, err
			}
			all = append(all, paper{name, text})
		}
	}
	return all, nil
}
