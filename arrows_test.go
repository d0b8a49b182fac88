// Package tanpu_test guards the arrows between the packages of this module. They run one way:
//
//	rules ← store ← flows ← api, web ← cmd
//
// so that a rule can be read, run and replayed without anything around it.
package tanpu_test

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tanpu/tanpu/"

// mayImport names, for each top folder, the folders of this module that its packages may import. The library is data:
// it is read by those who load documents, and reads nothing.
var mayImport = map[string][]string{
	"rules":   {"rules"},
	"library": {},
	"proof":   {"proof", "rules"},
	"witness": {"witness", "proof", "rules"},
	"partner": {"partner", "rules"},
	"mirror":  {"mirror", "proof", "rules"},
	"store":   {"store", "rules"},
	"flows":   {"flows", "store", "proof", "rules", "library"},
	"api":     {"api", "flows", "store", "proof", "rules", "library"},
	"web":     {"web", "api", "flows", "store", "rules", "library", "proof"},
	"edge":    {"edge", "rules", "proof"},
	"cmd":     {"cmd", "edge", "web", "api", "flows", "store", "rules", "library", "witness", "partner", "mirror", "proof"},
}

// impure are the packages through which a rule could see or move more than its arguments.
var impure = []string{"os", "os/exec", "os/signal", "net", "net/http", "database/sql", "math/rand", "math/rand/v2",
	"crypto/rand", "log", "log/slog", "syscall", "plugin", "C"}

// clocks are what package time offers beyond arithmetic: a rule is given its instant.
var clocks = []string{"Now", "Since", "Until", "Sleep", "After", "AfterFunc", "Tick", "NewTicker", "NewTimer"}

// fromOutside names the packages of other modules that a rule or a proof may import, each for its reason.
var fromOutside = map[string][]string{
	"rules": {"go.yaml.in/yaml/v3"},                                         // documents, with line and column
	"proof": {"golang.org/x/mod/sumdb/note", "golang.org/x/mod/sumdb/tlog"}, // signed heads and tiles
}

// listed is what the test reads of go list -json.
type listed struct {
	ImportPath, Dir  string
	Imports, GoFiles []string
}

func TestArrows(t *testing.T) {
	for _, p := range list(t) {
		top := topFolder(p.ImportPath)
		if _, known := mayImport[top]; !known {
			t.Errorf("%s stands in a folder that has no line in mayImport", p.ImportPath)
		}
		for _, imported := range p.Imports {
			if reason := objection(top, imported); reason != "" {
				t.Errorf("%s imports %s: %s", p.ImportPath, imported, reason)
			}
		}
		if top == "rules" || top == "proof" {
			checkClocks(t, p)
		}
	}
}

// TestObjection makes sure that the guard would bark.
func TestObjection(t *testing.T) {
	for _, c := range []struct {
		top, imported string
		want          bool
	}{
		{"rules", "fmt", false},
		{"rules", module + "rules/quantity", false},
		{"rules", "go.yaml.in/yaml/v3", false},
		{"rules", "os", true},
		{"rules", "database/sql", true},
		{"rules", "github.com/jackc/pgx/v5", true},
		{"rules", module + "store", true},
		{"rules", module + "library", true},
		{"library", "embed", false},
		{"library", module + "rules/methodology", true},
		{"proof", "golang.org/x/mod/sumdb/tlog", false},
		{"proof", module + "store", true},
		{"witness", "net/http", false},
		{"witness", module + "proof", false},
		{"witness", module + "store", true},
		{"flows", module + "witness", true},
		{"api", module + "witness", true},
		{"cmd", module + "witness", false},
		{"partner", "net/http", false},
		{"partner", module + "rules/claim", false},
		{"partner", module + "api", true},
		{"api", module + "partner", true},
		{"cmd", module + "partner", false},
		{"mirror", "net/http", false},
		{"mirror", module + "rules/record", false},
		{"mirror", module + "store", true},
		{"flows", module + "mirror", true},
		{"store", "database/sql", false},
		{"store", module + "rules/claim", false},
		{"store", module + "flows/intake", true},
		{"flows", module + "api", true},
		{"flows", module + "store/storetest", true},
		{"api", module + "web", true},
		{"api", module + "cmd/tanpu", true},
		{"cmd", module + "api", false},
	} {
		if got := objection(c.top, c.imported); (got != "") != c.want {
			t.Errorf("objection(%q, %q) = %q, want one: %v", c.top, c.imported, got, c.want)
		}
	}
}

// objection says why a package in folder top may not import another one, or nothing.
func objection(top, imported string) string {
	pure := top == "rules" || top == "proof"
	switch {
	case imported == module+"store/storetest":
		return "it is for tests"
	case strings.HasPrefix(imported, module):
		if !slices.Contains(mayImport[top], topFolder(imported)) {
			return "against the arrows rules ← store ← flows ← api, web ← cmd"
		}
	case imported == "C":
		return "Tanpu is built without a C compiler"
	case pure && slices.Contains(impure, imported):
		return "a rule sees nothing but its arguments"
	case pure && !standard(imported) && !slices.Contains(fromOutside[top], imported):
		return "rules and proofs stand on the standard library"
	}
	return ""
}

// checkClocks reports every use of a clock in the files of p.
func checkClocks(t *testing.T, p listed) {
	t.Helper()
	for _, name := range p.GoFiles {
		files := token.NewFileSet()
		file, err := parser.ParseFile(files, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && slices.Contains(clocks, s.Sel.Name) {
				if from, ok := s.X.(*ast.Ident); ok && from.Name == "time" {
					t.Errorf("%s/%s:%d uses time.%s: a rule is given its instant",
						p.ImportPath, name, files.Position(s.Pos()).Line, s.Sel.Name)
				}
			}
			return true
		})
	}
}

// list returns every package of the module that has code, tests apart.
func list(t *testing.T) []listed {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Dir,Imports,GoFiles", "./...").Output()
	if err != nil {
		if exit := new(exec.ExitError); errors.As(err, &exit) {
			t.Fatalf("go list: %v\n%s", err, exit.Stderr)
		}
		t.Fatal(err)
	}
	var all []listed
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listed
		if err := d.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) > 0 {
			all = append(all, p)
		}
	}
	if len(all) < 5 {
		t.Fatalf("go list names %d packages with code, want the whole module", len(all))
	}
	return all
}

// topFolder returns the first folder of a package of this module.
func topFolder(path string) string {
	top, _, _ := strings.Cut(strings.TrimPrefix(path, module), "/")
	return top
}

// standard tells packages of the standard library from others: only the others have a dot in the first element.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}
