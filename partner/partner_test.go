package partner_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/api"
	"github.com/tanpu/tanpu/partner"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/signature"
)

var testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))

// moody answers each request by the next of its moods: a status, or for 200 the ids that it does not judge.
type moody struct {
	t     *testing.T
	moods []any
	asked [][]string // the ids of each request
}

func (m *moody) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	if err != nil {
		m.t.Error(err)
	}
	what := signature.Request{Method: r.Method, Authority: r.Host, Path: r.URL.Path, Root: r.Header.Get(signature.RootHeader)}
	signed, err := signature.Read(&what, r.Header.Get(signature.InputHeader), r.Header.Get(signature.SignatureHeader))
	if err == nil {
		err = signed.Verify(testKey.Public().(ed25519.PublicKey))
	}
	if err != nil {
		m.t.Errorf("a request is not signed: %v", err)
	}
	claims, err := api.ReadEvents(bytes.ReplaceAll(bytes.Trim(text, "[]"), []byte("}},{"), []byte("}}\n{")), 100)
	if err != nil {
		m.t.Error(err)
	}
	var ids []string
	for _, c := range claims {
		ids = append(ids, c.ID)
	}
	m.asked = append(m.asked, ids)
	mood := any("")
	if len(m.moods) > 0 {
		mood, m.moods = m.moods[0], m.moods[1:]
	}
	if status, ok := mood.(int); ok {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"status":%d,"detail":"in no mood","reason":"bad-signature"}`, status)
		return
	}
	var verdicts []partner.Verdict
	for _, id := range ids {
		v := partner.Verdict{ID: id, Status: "accepted", Reason: "ok"}
		if strings.Contains(mood.(string), id) {
			v.Status, v.Reason = "retry", "retry"
		}
		verdicts = append(verdicts, v)
	}
	json.NewEncoder(w).Encode(map[string]any{"results": verdicts})
}

func claims(ids string) (list []claim.Claim) {
	for _, id := range ids {
		list = append(list, claim.Claim{Partner: "p", ID: string(id), Sub: "s", Scenario: "x", Evidence: "e"})
	}
	return list
}

// The client asks again for what got no answer, and for no more than that.
func TestReport(t *testing.T) {
	for _, c := range []struct {
		moods []any
		asked string // the ids of each request
		want  string // statuses, or the error
	}{
		{nil, "ab cd e", "accepted accepted accepted accepted accepted"},
		{[]any{503, 429, ""}, "ab ab ab cd e", "accepted accepted accepted accepted accepted"},
		{[]any{"b", "", "c", ""}, "ab b cd c e", "accepted accepted accepted accepted accepted"},
		{[]any{"", "d", "d", "d"}, "ab cd d d e", "accepted accepted accepted retry accepted"},
		{[]any{503, 503, 503}, "ab ab ab", "503 Service Unavailable: in no mood"},
		{[]any{"", 401}, "ab cd", "401 Unauthorized: in no mood"},
	} {
		m := &moody{t: t, moods: c.moods}
		server := httptest.NewServer(m)
		client := partner.Client{URL: server.URL + "/", Key: testKey, AtOnce: 2, Tries: 3, Pause: time.Millisecond}
		verdicts, err := client.Report(context.Background(), claims("abcde"))
		server.Close()
		var got, asked []string
		for _, v := range verdicts {
			got = append(got, v.Status)
		}
		if err != nil {
			got = []string{err.Error()}
		}
		for _, ids := range m.asked {
			asked = append(asked, strings.Join(ids, ""))
		}
		if strings.Join(got, " ") != c.want || strings.Join(asked, " ") != c.asked {
			t.Errorf("%v: asked for %v and got %v\nwant %s and %s", c.moods, asked, got, c.asked, c.want)
		}
		var p *partner.Problem
		if err != nil && (!errors.As(err, &p) || p.Reason != "bad-signature") {
			t.Errorf("%v: the error is %#v", c.moods, err)
		}
	}
}

// Who stops waiting is not kept.
func TestReportCancelled(t *testing.T) {
	server := httptest.NewServer(&moody{t: t, moods: []any{503, 503, 503, 503, 503}})
	defer server.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	client := partner.Client{URL: server.URL, Key: testKey}
	if _, err := client.Report(ctx, claims("a")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A server that answers nonsense is told from one that answers.
func TestNonsense(t *testing.T) {
	for _, answer := range []string{"", "{", `{"results":[]}`, `{"results":[{},{},{}]}`, `{"results":"x"}`, "<html>"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, answer) }))
		client := partner.Client{URL: server.URL, Key: testKey, Tries: 1}
		if verdicts, err := client.Report(context.Background(), claims("ab")); err == nil || len(verdicts) > 0 {
			t.Errorf("%q is taken for %v", answer, verdicts)
		}
		server.Close()
	}
}

func TestKeyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.pem")
	key, err := partner.CreateKey(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	if got, err := partner.LoadKey(file); err != nil || !got.Equal(key) {
		t.Errorf("it is read back as another key, %v", err)
	}
	if _, err := partner.CreateKey(file); !errors.Is(err, os.ErrExist) {
		t.Errorf("a key is written over another: %v", err)
	}
	for _, text := range []string{"", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
		"-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n"} {
		bad := filepath.Join(t.TempDir(), "bad")
		if err := os.WriteFile(bad, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := partner.LoadKey(bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q gives %v", text, err)
		}
	}
}
