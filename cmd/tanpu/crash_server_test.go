package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tanpu/tanpu/store/storetest"
)

// A server is started and killed again and again; each time is a life.
type server struct {
	binary  string
	url     string
	key     string // of the log: a file
	test    *testing.T
	current atomic.Pointer[life]
}

// A life is one process, from its start to its end.
type life struct {
	cmd      *exec.Cmd
	base     string        // its address; set when answers is closed
	answers  chan struct{} // closed when it begins to answer
	gone     chan struct{} // closed when the process has ended, and err says how
	err      error
	killed   atomic.Int64 // when it was killed or frozen, in ns; 0 while it was not
	ending   atomic.Int64 // when it was told to end
	mu       sync.Mutex
	warnings []string // its last ones; guarded by mu
}

func newServer(t *testing.T, binary, url, key string) *server {
	s := &server{binary: binary, url: url, key: key, test: t}
	t.Cleanup(func() {
		if l := s.current.Load(); l != nil {
			l.cmd.Process.Kill()
			<-l.gone
		}
	})
	return s
}

// start begins a life, and does not wait for it to answer.
func (s *server) start() {
	cmd := exec.Command(s.binary, "serve", "--sandbox", "--db", s.url, "--listen", "127.0.0.1:0", "--log-key", s.key)
	out, err := cmd.StderrPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		s.test.Fatal(err)
	}
	l := &life{cmd: cmd, answers: make(chan struct{}), gone: make(chan struct{})}
	s.current.Store(l)
	go l.listen(out)
}

// listen reads what the process says until it ends.
func (l *life) listen(out io.Reader) {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var entry struct{ Level, Msg, At string }
		json.Unmarshal(lines.Bytes(), &entry)
		switch {
		case entry.Msg == "answering":
			l.base = "http://" + entry.At
			close(l.answers)
		case entry.Level != "INFO":
			l.warn(lines.Text())
		}
	}
	l.err = l.cmd.Wait()
	close(l.gone)
}

func (l *life) warn(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.warnings = append(l.warnings[max(0, len(l.warnings)-9):], line)
}

// answering reports whether the process can be asked.
func (l *life) answering() bool {
	select {
	case <-l.answers:
		return l.killed.Load() == 0
	default:
		return false
	}
}

// ready waits until the server answers.
func (s *server) ready() error {
	l := s.current.Load()
	select {
	case <-l.answers:
		return nil
	case <-l.gone:
		return fmt.Errorf("%v\n%s", l.err, s.said())
	case <-time.After(time.Minute):
		return fmt.Errorf("it does not answer after a minute\n%s", s.said())
	}
}

// said is what the server warned of last.
func (s *server) said() string {
	l := s.current.Load()
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Join(l.warnings, "\n")
}

// kill ends the server as a power cut would, and reports whether it had begun to answer.
func (s *server) kill() (answered bool) {
	l := s.current.Load()
	select {
	case <-l.gone:
		s.test.Errorf("a server ended by itself: %v\n%s", l.err, s.said())
		return true
	default:
	}
	answered = l.answering()
	l.killed.Store(time.Now().UnixNano())
	l.cmd.Process.Kill()
	<-l.gone
	return answered
}

// freeze stops the server as it is; thaw lets it go on.
func (s *server) freeze() {
	l := s.current.Load()
	l.killed.Store(time.Now().UnixNano())
	l.cmd.Process.Signal(syscall.SIGSTOP)
}

func (s *server) thaw() {
	l := s.current.Load()
	l.cmd.Process.Signal(syscall.SIGCONT)
	l.killed.Store(0)
}

// end tells the server to end and waits until it has.
func (s *server) end() error {
	l := s.current.Load()
	l.ending.Store(time.Now().UnixNano())
	if err := l.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-l.gone:
		return l.err
	case <-time.After(2 * drain):
		return fmt.Errorf("it is still there after %v", 2*drain)
	}
}

// A cluster is a PostgreSQL of this test's own: other tests must not feel that it is killed, and it makes
// commits durable, which theirs need not.
type cluster struct{ dir string }

const postgresScript = "../../scripts/postgres"

// startCluster starts one, and makes storetest use it. It goes with the test, or with this process.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	run := exec.Command(postgresScript, "run", "sh", "-c", `echo "$`+storetest.Server+`"; echo "$TANPU_POSTGRES_DIR"; exec cat`)
	var complaints bytes.Buffer
	run.Stderr = &complaints
	in, err := run.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := run.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		run.Wait()
	})
	lines := bufio.NewScanner(out)
	var told []string
	for len(told) < 2 && lines.Scan() {
		told = append(told, lines.Text())
	}
	if len(told) < 2 {
		t.Fatalf("PostgreSQL did not start: %s", &complaints)
	}
	t.Setenv(storetest.Server, told[0])
	return &cluster{dir: told[1]}
}

func (c *cluster) kill(t *testing.T)  { c.script(t, "kill") }
func (c *cluster) again(t *testing.T) { c.script(t, "again") }

func (c *cluster) script(t *testing.T, what string) {
	cmd := exec.Command(postgresScript, what)
	cmd.Env = append(os.Environ(), "TANPU_POSTGRES_DIR="+c.dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", postgresScript, what, err, out)
	}
}
