package methodology

import (
	"os"
	"path/filepath"
	"testing"
)

// shared is where the example documents stand that every release must accept, outside the project.
const shared = "../../../shared/examples"

func TestSharedExamples(t *testing.T) {
	if _, err := os.Stat(shared); err != nil {
		t.Skip("the example documents are not here")
	}
	lib := sharedLibrary(t)
	files, err := filepath.Glob(filepath.Join(shared, "*.methodology.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no methodologies in %s (%v)", shared, err)
	}
	for _, file := range files {
		m, err := Parse(filepath.Base(file), read(t, file), lib)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		if err := m.CheckExamples(); err != nil {
			t.Errorf("%v", err)
		}
	}
}

func sharedLibrary(t *testing.T) *Library {
	t.Helper()
	groups, err := ParseGroups("activity.groups.yaml", read(t, filepath.Join(shared, "activity.groups.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	lib := new(Library)
	if err := lib.AddGroups(groups); err != nil {
		t.Fatal(err)
	}
	return lib
}

func read(t testing.TB, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
