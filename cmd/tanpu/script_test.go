package main

import (
	"errors"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

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
		Cmds:  map[string]func(ts *testscript.TestScript, neg bool, args []string){"freeport": freePort, "await": await},
	})
}

// freePort is the script command “freeport NAME”: it sets a variable to a port that nobody listens at.
func freePort(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp", "localhost:0")
	ts.Check(err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	ts.Check(errors.Join(err, l.Close()))
	ts.Setenv(args[0], port)
}

// await is the script command “await URL”: it waits until that is answered well.
func await(ts *testscript.TestScript, _ bool, args []string) {
	for until := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		answer, err := http.Get(args[0])
		if err == nil {
			answer.Body.Close()
			if answer.StatusCode == http.StatusOK {
				return
			}
			err = errors.New(answer.Status)
		}
		if time.Now().After(until) {
			ts.Fatalf("%s: %v", args[0], err)
		}
	}
}
