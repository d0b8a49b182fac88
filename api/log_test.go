package api

import (
	"encoding/binary"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/seal"
	"github.com/tanpu/tanpu/proof"
)

// seal begins the world's log, or goes on with it, and publishes its head.
func (w *world) sealer(t *testing.T) *seal.Sealer {
	t.Helper()
	key := filepath.Join(t.TempDir(), "log-key")
	if _, err := seal.CreateKey(key, "example.org/log"); err != nil {
		t.Fatal(err)
	}
	signer, err := seal.LoadSigner(key, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := seal.Begin(t.Context(), w.db, signer, time.Now()); err != nil {
		t.Fatal(err)
	}
	s, err := seal.New(t.Context(), seal.Config{DB: w.db, Signer: signer})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func step(t *testing.T, s *seal.Sealer) {
	t.Helper()
	if _, err := s.Step(t.Context(), time.Now()); err != nil {
		t.Fatal(err)
	}
}

// A receipt can be had once the log covers the claim: by an operator, and by the partner that reported it.
func TestReceipt(t *testing.T) {
	w := newWorld(t, Config{}, intake.Config{})
	s := w.sealer(t)
	step(t, s)
	_, text := w.report(t, w.partner, w.ride("r1", time.Hour))
	ref := regexp.MustCompile(`"ref":"([^"]+)"`).FindStringSubmatch(text)
	if ref == nil {
		t.Fatal(text)
	}
	path := "/v1/claims/" + ref[1] + "/receipt"
	if status, text := w.get(t, path, w.partner); status != 404 || !strings.Contains(text, "not in the log yet") {
		t.Errorf("before it was sealed: %d %s", status, text)
	}
	step(t, s)
	for name, tt := range map[string]struct {
		path, key string
		status    int
	}{
		"the operator": {path, w.operator, 200}, "its partner": {path, w.partner, 200}, "another partner": {path, w.other, 404}, "nobody": {path, "", 401},
		"no claim": {"/v1/claims/0.99.0/receipt", w.operator, 404}, "no partition": {"/v1/claims/77.1.0/receipt", w.operator, 404},
		"no reference": {"/v1/claims/x/receipt", w.operator, 404}, "a place beyond the batch": {"/v1/claims/" + ref[1] + "9/receipt", w.operator, 404},
	} {
		status, text := w.get(t, tt.path, tt.key)
		if status != tt.status {
			t.Errorf("%s: %d %s, want %d", name, status, text, tt.status)
			continue
		}
		if status != 200 {
			continue
		}
		report, err := proof.Verify([]byte(text), proof.Trust{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := report.Receipt.Claim.ID; got != "r1" {
			t.Errorf("%s: a receipt of %s", name, got)
		}
	}
}

// Tiles and bundles are served as tlog-tiles says, to anybody, and nothing that the log has not.
func TestLogTiles(t *testing.T) {
	w := newWorld(t, Config{}, intake.Config{})
	if status, _ := w.get(t, "/log/checkpoint", ""); status != 404 {
		t.Errorf("a checkpoint of no log: %d", status)
	}
	s := w.sealer(t)
	w.report(t, w.partner, w.ride("r1", time.Hour))
	step(t, s)
	_, text := w.get(t, "/log/checkpoint", "")
	body, _, _ := strings.Cut(text, "\n\n")
	c, err := proof.ParseCheckpoint(body + "\n")
	if err != nil || c.Size != 6 { // origin, three documents, a link, a batch
		t.Fatalf("checkpoint %q: %v", text, err)
	}
	status, bundle := w.get(t, "/log/tile/entries/000.p/6", "")
	entries, err := proof.ParseBundle([]byte(bundle), 6)
	if status != 200 || err != nil {
		t.Fatalf("%d, %v", status, err)
	}
	if n := binary.BigEndian.Uint16([]byte(bundle)); int(n) != len(entries[0]) || !strings.HasPrefix(string(entries[0]), `{"type":"origin"`) {
		t.Errorf("the first entry is %s", entries[0])
	}
	_, hashes := w.get(t, "/log/tile/0/000.p/6", "")
	edge := &proof.Edge{}
	for i, e := range entries {
		leaf := tlog.RecordHash(e)
		if hashes[32*i:32*i+32] != string(leaf[:]) {
			t.Errorf("hash %d is not that of its entry", i)
		}
		edge.Append(leaf)
	}
	if edge.Root() != c.Root {
		t.Error("the entries have another root than the checkpoint")
	}
	for _, path := range []string{"0/000.p/7", "0/000", "0/001", "entries/000", "entries/000.p/7", "1/000.p/1", "entries/000.p/0", "0/000.p/256", "0/0", "0/x000/000",
		"-1/000", "8/000.p/1", "entries/x999/x999/x999/x999/x999/x999/x999/999", "0/000.p/06", "0/000.p/6/7"} {
		if status, text := w.get(t, "/log/tile/"+path, ""); status == 200 {
			t.Errorf("%s: %d bytes", path, len(text))
		}
	}
	if status, same := w.get(t, "/logs/1/checkpoint", ""); status != 200 || same != text {
		t.Errorf("the log by its number: %d %s", status, same)
	}
	for _, path := range []string{"/logs/1/tile/0/000.p/7", "/logs/2/checkpoint", "/logs/0/checkpoint", "/logs/01/checkpoint", "/logs/x/checkpoint", "/logs/99999999999999999999/checkpoint", "/logs/1073741825/tile/0/000.p/6"} {
		if status, _ := w.get(t, path, ""); status != 404 {
			t.Errorf("%s: %d", path, status)
		}
	}
	if status, text := w.get(t, "/log/tile/0/000.p/3", ""); status != 200 || text != hashes[:96] {
		t.Errorf("a narrower tile: %d, %d bytes", status, len(text))
	}
}
