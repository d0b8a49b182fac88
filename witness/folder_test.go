package witness

import (
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
)

func TestCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "deep", "witness")
	vkey, err := Create(dir, "witness.example", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if w := open(t, dir, newLog(t, "log.example", 1)); w.VerifierKey() != vkey {
		t.Errorf("the key is %s, was made as %s", w.VerifierKey(), vkey)
	}
	about, err := os.Stat(filepath.Join(dir, keyFile))
	if err != nil {
		t.Fatal(err)
	}
	if mode := about.Mode().Perm(); runtime.GOOS != "windows" && mode != 0o600 {
		t.Errorf("the key has mode %v", mode)
	}
	if vkey, err := Create(dir, "witness.example", rand.Reader); err == nil {
		t.Errorf("a witness was made anew, with the key %s", vkey)
	}
	if _, err := Create(filepath.Join(dir, "inside"), "two words", rand.Reader); err == nil {
		t.Error("a witness has a name of two words")
	}
}

// What cannot be a witness's folder is not served.
func TestOpenRefuses(t *testing.T) {
	l := newLog(t, "log.example", 1)
	for name, spoil := range map[string]func(dir string) error{
		"no folder":               os.RemoveAll,
		"no key":                  func(dir string) error { return os.Remove(filepath.Join(dir, keyFile)) },
		"a key that others read":  func(dir string) error { return os.Chmod(filepath.Join(dir, keyFile), 0o644) },
		"a damaged key":           func(dir string) error { return os.Truncate(filepath.Join(dir, keyFile), 40) },
		"no list of origins":      func(dir string) error { return os.Remove(filepath.Join(dir, originsFile)) },
		"the lock is a directory": func(dir string) error { return os.Mkdir(filepath.Join(dir, lockFile), 0o700) },
	} {
		dir := newFolder(t)
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if w, err := Open(Config{Dir: dir, Logs: []Log{{l.origin, []string{l.vkey}}}}); err == nil {
			w.Close()
			t.Errorf("%s: a witness opened", name)
		}
	}
}

// headFile is where the head of a log lies.
func headFile(dir, origin string) string { return (&folder{path: dir}).head(origin) }

// However its memory of a log is damaged, a witness signs nothing more for it; for the other log it does.
func TestDamagedHead(t *testing.T) {
	l, other := newLog(t, "log.example", 12), newLog(t, "other.example", 12)
	foreign := newLog(t, "log.example", 12)
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for name, damage := range map[string]func(path string) error{
		"gone":    os.Remove,
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"cut off": func(path string) error { return os.Truncate(path, 60) },
		"zeros":   func(path string) error { return os.WriteFile(path, make([]byte, 300), 0o600) },
		"one digit": func(path string) error {
			return os.WriteFile(path, []byte(strings.Replace(read(path), "\n5\n", "\n3\n", 1)), 0o600)
		},
		"the log's, but not ours": func(path string) error {
			return os.WriteFile(path, l.sign(l.head(3)), 0o600)
		},
		"a stranger's": func(path string) error { return os.WriteFile(path, foreign.sign(foreign.head(3)), 0o600) },
		"another log's": func(path string) error {
			return os.WriteFile(path, []byte(read(headFile(filepath.Dir(filepath.Dir(path)), "other.example"))), 0o600)
		},
		"a directory": func(path string) error {
			if err := os.Remove(path); err != nil {
				return err
			}
			return os.Mkdir(path, 0o700)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := open(t, newFolder(t), l, other)
			mustSign(t, w, l.request(0, 5))
			mustSign(t, w, other.request(0, 5))
			if err := damage(headFile(w.folder.path, l.origin)); err != nil {
				t.Fatal(err)
			}
			w = reopen(t, w, l, other)
			for _, r := range []Request{l.request(0, 8), l.request(5, 8), l.request(5, 5), l.request(3, 8), l.request(0, 0)} {
				if answer := post(w, r.Text()); answer.Code != 503 {
					t.Errorf("from %d: %d %q, want 503", r.Old, answer.Code, answer.Body)
				}
			}
			mustSign(t, w, other.request(5, 8))
		})
	}
}

// Nobody has a signature when the answer is lost, and asking again gives one of the same head.
func TestLostAnswer(t *testing.T) {
	l := newLog(t, "log.example", 12)
	w := open(t, newFolder(t), l)
	mustSign(t, w, l.request(0, 5))
	if _, err := w.Add(l.request(5, 8)); err != nil { // and here the line goes dead
		t.Fatal(err)
	}
	w = reopen(t, w, l)
	if answer := post(w, l.request(5, 8).Text()); answer.Code != 409 || answer.Body.String() != "8\n" {
		t.Errorf("asked again: %d %q, want 409 and 8", answer.Code, answer.Body)
	}
	mustSign(t, w, l.request(8, 8))
	mustSign(t, w, l.request(8, 12))
}

// What a crash between any two steps of keeping a head leaves behind.
func TestCrashWhileKeeping(t *testing.T) {
	l := newLog(t, "log.example", 12)
	fork := l.fork(3, 9)
	unlisted := func(dir string) error { return os.WriteFile(filepath.Join(dir, originsFile), nil, 0o600) }
	for name, crash := range map[string]func(dir string) error{
		"before anything": func(string) error { return nil },
		"in the middle of writing": func(dir string) error {
			return os.WriteFile(headFile(dir, l.origin)+".new", []byte("log.exa"), 0o600)
		},
		"before the origin is listed": unlisted,
		"while the origin is listed": func(dir string) error {
			return errors.Join(unlisted(dir), os.WriteFile(filepath.Join(dir, originsFile+".new"), []byte("log"), 0o600))
		},
	} {
		w := open(t, newFolder(t), l)
		mustSign(t, w, l.request(0, 5))
		if err := crash(w.folder.path); err != nil {
			t.Fatal(err)
		}
		w = reopen(t, w, l)
		listed, err := os.ReadFile(filepath.Join(w.folder.path, originsFile))
		if err != nil || string(listed) != "log.example\n" {
			t.Errorf("%s: the list of origins is %q, %v", name, listed, err)
		}
		if _, err := w.Add(fork.request(5, 8)); fault.KindOf(err) != fault.Unfit {
			t.Errorf("%s: a fork gives %v, want a refusal", name, err)
		}
		mustSign(t, w, l.request(5, 8))
	}
}

// A disk that takes nothing costs the answer, not the memory: nothing is signed, and once there is room all goes on.
func TestFullDisk(t *testing.T) {
	l := newLog(t, "log.example", 12)
	w := open(t, newFolder(t), l)
	mustSign(t, w, l.request(0, 5))
	next := headFile(w.folder.path, l.origin) + ".new"
	if err := os.Mkdir(next, 0o700); err != nil { // so that no file can be written there
		t.Fatal(err)
	}
	if answer := post(w, l.request(5, 8).Text()); answer.Code != 500 || answer.Body.String() != "internal error\n" {
		t.Errorf("%d %q, want 500 and no details", answer.Code, answer.Body)
	}
	if err := os.Remove(next); err != nil {
		t.Fatal(err)
	}
	mustSign(t, w, l.request(5, 8))
}

// When it is uncertain which head is on the disk, nothing is signed until a new start has looked.
func TestUncertainDisk(t *testing.T) {
	l := newLog(t, "log.example", 12)
	w := open(t, newFolder(t), l)
	path := headFile(w.folder.path, l.origin)
	if err := os.Mkdir(path, 0o700); err != nil { // so that no file can take its name
		t.Fatal(err)
	}
	if answer := post(w, l.request(0, 5).Text()); answer.Code != 500 {
		t.Errorf("%d %q, want 500", answer.Code, answer.Body)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if answer := post(w, l.request(0, 5).Text()); answer.Code != 503 {
		t.Errorf("asked again: %d %q, want 503", answer.Code, answer.Body)
	}
	w = reopen(t, w, l)
	mustSign(t, w, l.request(0, 5))
}

// The head that is kept is evidence: the log signed it, and we did.
func TestKeptHead(t *testing.T) {
	l := newLog(t, "log.example", 12)
	w := open(t, newFolder(t), l)
	r := l.request(0, 5)
	r.Checkpoint = append(r.Checkpoint, "— stranger.example AAAAAAAA\n"...)
	mustSign(t, w, r)
	text, err := os.ReadFile(headFile(w.folder.path, l.origin))
	if err != nil {
		t.Fatal(err)
	}
	_, signed, err := proof.OpenCheckpoint(text, l.origin, w.logs[l.origin].verifiers[0], w.cosigner.Verifier())
	if err != nil || len(signed.Sigs) != 2 || len(signed.UnverifiedSigs) != 0 {
		t.Errorf("%s holds %v, %v; want the log's signature and ours", text, signed, err)
	}
}
