package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tanpu/tanpu/store/storetest"
)

// An import that is killed again and again, and started again each time, comes to what one that is left in
// peace does: the same summary, the same report.
func TestImportKilled(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		dir := t.TempDir()
		unpack(t, dir, "testdata/script/import.txtar")
		writeRides(t, filepath.Join(dir, "rides.csv"), 1_000)
		calmURL := storetest.SQLite(t)
		for _, u := range []string{url, calmURL} {
			if out, err := tanpu(dir, "init", "--db", u, "city.groups.yaml", "ride.methodology.yaml", "city.programme.yaml").CombinedOutput(); err != nil {
				t.Fatalf("init: %v\n%s", err, out)
			}
		}
		arguments := func(url, name string) []string {
			return []string{"import", "--db", url, "--programme", "city", "--partner", "bikes", "--map", "rides.map.yaml", "--subs", name + ".subs",
				"--report", name + ".csv", "--enrol", "--backfill", "--json", "--batch", "50", "rides.csv"}
		}
		began := time.Now()
		want, err := tanpu(dir, arguments(calmURL, "calm")...).Output()
		if err != nil {
			t.Fatal(err)
		}
		whole := time.Since(began)
		kills := 0
		for {
			out, finished := killed(t, dir, arguments(url, "killed"), whole/10+rand.N(whole*time.Duration(2+kills)/8))
			if finished {
				if summary(t, out) != summary(t, want) {
					t.Errorf("after %d kills:\n got %s\nwant %s", kills, out, want)
				}
				break
			}
			kills++
		}
		t.Logf("%d kills", kills)
		a, b := contents(t, filepath.Join(dir, "killed.csv")), contents(t, filepath.Join(dir, "calm.csv"))
		if a != b {
			t.Errorf("reports differ: %d and %d bytes", len(a), len(b))
		}
	})
}

// tanpu is this test binary as tanpu itself.
func tanpu(dir string, args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Dir = dir
	c.Env = append(os.Environ(), beTanpu+"=1", "LANG=C", "XDG_CONFIG_HOME="+dir) // where a key of a log on PostgreSQL would go
	return c
}

// killed runs tanpu and kills it after a while, unless it has finished, or at least told all.
func killed(t *testing.T, dir string, args []string, after time.Duration) (out []byte, finished bool) {
	c := tanpu(dir, args...)
	var stdout, stderr strings.Builder
	c.Stdout, c.Stderr = &stdout, &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(after, func() { c.Process.Kill() })
	defer timer.Stop()
	switch err := c.Wait(); {
	case err == nil:
		return []byte(stdout.String()), true
	case c.ProcessState.ExitCode() >= 0:
		t.Fatalf("import: %v\n%s", err, stderr.String())
	}
	return []byte(stdout.String()), strings.HasSuffix(stdout.String(), "}\n")
}

// summary is what an import printed, but for how long it took.
func summary(t *testing.T, out []byte) string {
	var s map[string]any
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	delete(s, "seconds")
	return fmt.Sprint(s)
}

// writeRides makes rows with overlaps, repetitions, reused ids, short rides, and rows that cannot be read.
func writeRides(t *testing.T, path string, rows int) {
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	random := rand.New(rand.NewPCG(1, 2))
	io.WriteString(f, "trip,user,begun,ended,km\n")
	begin := time.Date(2024, 9, 2, 0, 0, 0, 0, time.UTC)
	for range rows {
		start := begin.Add(time.Duration(random.IntN(60*24*60)) * time.Minute)
		end := start.Add(time.Duration(random.IntN(40)) * time.Minute)
		fmt.Fprintf(f, "%d,m%d,%s,%s,%d\n", random.IntN(rows), random.IntN(rows/50), start.Format(time.DateTime), end.Format(time.DateTime), random.IntN(8))
	}
}

func unpack(t *testing.T, dir, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range archive.Files {
		if err := os.WriteFile(filepath.Join(dir, file.Name), file.Data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func contents(t *testing.T, path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
