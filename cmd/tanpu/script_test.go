package main

import (
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// beTanpu makes the test binary run as tanpu itself, for tests that start and kill real processes.
const beTanpu = "TANPU_TEST_BE_TANPU"

func TestMain(m *testing.M) {
	if os.Getenv(beTanpu) != "" {
		main()
		return
	}
	testscript.Main(m, map[string]func(){"tanpu": main})
}

// TestScripts runs what a person would type, and compares what they would see.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: func(e *testscript.Env) error { e.Setenv("LANG", "C"); return nil },
	})
}
