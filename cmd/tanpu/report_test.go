package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tanpu/tanpu/api"
	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/link"
	client "github.com/tanpu/tanpu/partner"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/signature"
	"github.com/tanpu/tanpu/store"
)

// TestReportCommand has a partner report to a server that takes signed requests only.
func TestReportCommand(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	folder := t.TempDir()
	db, err := store.Create(ctx, "sqlite:"+filepath.Join(folder, "t.db"), 2)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	book, err := publishDemo(ctx, db)
	if err != nil {
		t.Fatal(err)
	}
	subs, err := link.Enrol(ctx, db, book, demoProgramme, demoPartner, 1, time.Now().AddDate(0, -1, 0))
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- serve(ctx, db, listener, nil, intake.Config{}, api.Config{}) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}()

	keyFile, events := filepath.Join(folder, "key.pem"), filepath.Join(folder, "events.ndjson")
	key, err := client.CreateKey(keyFile)
	if err != nil {
		t.Fatal(err)
	}
	var text []byte
	for i := range 5 {
		start := time.Now().Add(-time.Duration(i+1) * time.Hour).UnixMicro()
		text = append(claim.AppendEvent(text, &claim.Claim{Partner: demoPartner, ID: fmt.Sprint("ride-", i), Sub: subs[0], Scenario: "shared-bike", Start: start,
			End: start + 300e6, Quantities: []claim.Quantity{{Name: "distance", Text: "1000 m"}}, Evidence: "system"}), '\n')
	}
	if err := os.WriteFile(events, text, 0o600); err != nil {
		t.Fatal(err)
	}
	report := func(args ...string) (status int, out, told string) {
		var stdout, stderr bytes.Buffer
		status = runReport(append(args, "--url", "http://"+listener.Addr().String(), "--key", keyFile, events), &stdout, &stderr)
		return status, stdout.String(), stderr.String()
	}
	if status, out, told := report(); status != 1 || out != "" || !strings.Contains(told, "no key") {
		t.Errorf("before its key is registered: status %d\n%s%s", status, out, told)
	}
	public := key.Public().(ed25519.PublicKey)
	if err := db.AddPartnerKey(ctx, store.PartnerKey{Partner: demoPartner, Public: public, Created: time.Now().UnixMicro()}); err != nil {
		t.Fatal(err)
	}
	if status, out, told := report("--batch", "2"); status != 0 || strings.Count(out, "\taccepted\tok\t") != 5 || told != "5 accepted, 0 duplicates, 0 refused\n" {
		t.Errorf("status %d\n%s%s", status, out, told)
	}
	if status, out, told := report("--json"); status != 0 || strings.Count(out, `"status":"duplicate","reason":"replay"`) != 5 || told != "0 accepted, 5 duplicates, 0 refused\n" {
		t.Errorf("again: status %d\n%s%s", status, out, told)
	}
	if err := db.RevokePartnerKey(ctx, signature.KeyID(public), time.Now().UnixMicro()); err != nil {
		t.Fatal(err)
	}
	if status, _, told := report(); status != 1 || !strings.Contains(told, "was revoked at") {
		t.Errorf("when its key is revoked: status %d\n%s", status, told)
	}
}
