package api

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/tanpu/tanpu/flows/intake"
)

// Each file in testdata/requests is a conversation with a server of its own: requests as they are sent and what
// must come back. In a request <name> stands for a value that is known: a key, a sub, or <now-20m>. In a response
// it takes what stands there and keeps it for later; <*> takes anything; a response's header may say only what
// matters, and JSON is compared without its spacing.
func TestRequests(t *testing.T) {
	files, err := filepath.Glob("testdata/requests/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts:", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			w := newWorld(t, Config{}, intake.Config{})
			s := script{world: w, values: map[string]string{"operator": w.operator, "partner": w.partner, "other": w.other, "sub": w.sub}, now: time.Now()}
			s.values["from"], s.values["to"] = s.now.AddDate(0, -6, 0).Format(time.DateOnly), s.now.AddDate(0, 6, 0).Format(time.DateOnly)
			var request string
			for _, part := range txtar.Parse(text).Files {
				switch name, _, _ := strings.Cut(part.Name, " "); name {
				case "request":
					request = string(part.Data)
				case "response":
					if err := s.exchange(request, string(part.Data)); err != nil {
						t.Fatalf("%s: %v\nrequest:\n%s", part.Name, err, request)
					}
				default:
					t.Fatalf("a part is a request or a response, not %q", part.Name)
				}
			}
			for _, secret := range []string{w.operator, w.partner, s.values["sub"], s.values["account"]} {
				if secret != "" && strings.Contains(w.log.String(), secret) {
					t.Errorf("the log tells %q:\n%s", secret, w.log)
				}
			}
		})
	}
}

type script struct {
	*world
	values map[string]string
	now    time.Time
}

var placeholder = regexp.MustCompile(`<([a-z*][a-z0-9-]*)>`)

// value is what a placeholder stands for.
func (s *script) value(name string) (string, bool) {
	if ago, ok := strings.CutPrefix(name, "now-"); ok {
		d, err := time.ParseDuration(ago)
		return s.now.Add(-d).UTC().Format(time.RFC3339), err == nil
	}
	v, ok := s.values[name]
	return v, ok
}

func (s *script) exchange(request, response string) error {
	var unknown error
	request = placeholder.ReplaceAllStringFunc(request, func(p string) string {
		v, ok := s.value(p[1 : len(p)-1])
		if !ok {
			unknown = fmt.Errorf("nothing is known as %s", p)
		}
		return v
	})
	if unknown != nil {
		return unknown
	}
	line, header, body, err := parts(request)
	if err != nil {
		return err
	}
	method, path, _ := strings.Cut(line, " ")
	r, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = http.Header(header)
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	got, err := client.Do(r)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	gotBody, err := io.ReadAll(got.Body)
	if err != nil {
		return err
	}
	return s.compare(got, string(gotBody), response)
}

func (s *script) compare(got *http.Response, gotBody, want string) error {
	line, header, body, err := parts(want)
	if err != nil {
		return err
	}
	if err := s.match(got.Status, line); err != nil {
		return fmt.Errorf("status: %w\n%s", err, gotBody)
	}
	for name := range header {
		if err := s.match(got.Header.Get(name), http.Header(header).Get(name)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if body == "" {
		return nil // not of interest
	}
	return s.match(tidy(gotBody), tidy(body))
}

// match holds a text against one with placeholders.
func (s *script) match(got, want string) error {
	var names []string
	var pattern strings.Builder
	at := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(want, -1) {
		pattern.WriteString(regexp.QuoteMeta(want[at:m[0]]))
		at = m[1]
		name := want[m[2]:m[3]]
		if v, known := s.value(name); known {
			pattern.WriteString(regexp.QuoteMeta(v))
			continue
		}
		names = append(names, name)
		if name == "*" {
			pattern.WriteString(`((?s).*?)`)
		} else {
			pattern.WriteString(`([^"]*)`)
		}
	}
	pattern.WriteString(regexp.QuoteMeta(want[at:]))
	m := regexp.MustCompile(`^` + pattern.String() + `$`).FindStringSubmatch(got)
	if m == nil {
		return fmt.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for i, name := range names {
		if name != "*" {
			s.values[name] = m[i+1]
		}
	}
	return nil
}

// parts takes apart a message: first line, header, and after an empty line the body.
func parts(message string) (line string, header textproto.MIMEHeader, body string, err error) {
	head, body, _ := strings.Cut(message, "\n\n")
	line, head, _ = strings.Cut(strings.TrimSpace(head), "\n")
	header = textproto.MIMEHeader{}
	if head != "" {
		header, err = textproto.NewReader(bufio.NewReader(strings.NewReader(head + "\n\n"))).ReadMIMEHeader()
	}
	return line, header, strings.TrimSpace(body), err
}

// tidy takes the space out of JSON, where it is not in a string.
func tidy(text string) string {
	var b strings.Builder
	quoted, escaped := false, false
	for _, c := range text {
		if !quoted && unicode.IsSpace(c) {
			continue
		}
		b.WriteRune(c)
		switch {
		case escaped:
			escaped = false
		case c == '\\':
			escaped = quoted
		case c == '"':
			quoted = !quoted
		}
	}
	return b.String()
}
