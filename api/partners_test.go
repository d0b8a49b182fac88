package api

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tanpu/tanpu/flows/testimony"
	"github.com/tanpu/tanpu/partner"
	"github.com/tanpu/tanpu/store/storetest"
)

// The examples of docs/partners.md work as they stand there, and what they sign can be shown. Where a language is not
// installed its example is not tried; the vectors are, everywhere.
func TestPartnersDocument(t *testing.T) {
	text, err := os.ReadFile("../docs/partners.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	for _, m := range regexp.MustCompile("(?s)\n```([a-z]+)\n(.*?)\n```\n").FindAllStringSubmatch(string(text), -1) {
		blocks[m[1]] = m[2]
	}
	for _, example := range []struct {
		language, file string
		claims         int
		probe, run     []string
	}{
		{"sh", "report.sh", 1, []string{"sh", "-c", "openssl version | grep -q '^OpenSSL 3' && curl --version"}, []string{"sh", "report.sh"}},
		{"python", "report.py", 3, []string{"python3", "-c", "import cryptography, sys; sys.exit(sys.version_info < (3, 7))"}, []string{"python3", "report.py"}},
		{"java", "Report.java", 3, []string{"sh", "-c", "java -version 2>&1 | grep -Eq 'version \"(1[5-9]|[2-9][0-9])'"}, []string{"java", "Report.java"}},
	} {
		t.Run(example.language, func(t *testing.T) {
			if blocks[example.language] == "" {
				t.Fatal("the document has no such example")
			}
			if err := exec.Command(example.probe[0], example.probe[1:]...).Run(); err != nil {
				t.Skip("what it needs is not installed here:", err)
			}
			p := newProduction(t, storetest.SQLite(t), Config{})
			folder := t.TempDir()
			if p.key, err = partner.CreateKey(filepath.Join(folder, "key.pem")); err != nil {
				t.Fatal(err)
			}
			keyid := p.register(t, "valleybike", p.key)
			if err := os.WriteFile(filepath.Join(folder, example.file), []byte(blocks[example.language]), 0o666); err != nil {
				t.Fatal(err)
			}
			run := exec.Command(example.run[0], example.run[1:]...)
			run.Dir = folder
			run.Env = append(os.Environ(), "TANPU_URL="+p.url, "TANPU_KEY=key.pem", "TANPU_SUB="+p.sub, "TANPU_KEYID="+keyid)
			out, err := run.CombinedOutput()
			if err != nil || strings.Count(string(out), "accepted") != example.claims {
				t.Errorf("%v\n%s", err, out)
			}
			if example.language == "python" {
				checkVectors(t, folder)
			}
			rows := p.recorded(t)
			if len(rows) != example.claims {
				t.Errorf("%d claims are recorded, want %d", len(rows), example.claims)
			}
			for id, row := range rows {
				if _, found, err := testimony.Of(context.Background(), p.db, row); !found || err != nil {
					t.Errorf("%s: found %v, %v", id, found, err)
				}
			}
		})
	}
}

// checkVectors has the document's Python work out the vectors that are published for everybody.
func checkVectors(t *testing.T, folder string) {
	t.Helper()
	vectors, err := filepath.Abs("../partner/testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	check := exec.Command("python3", "-c", `
import json, sys, report
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
v = json.load(open(sys.argv[1]))
salt, key = bytes.fromhex(v["request_salt_hex"]), Ed25519PrivateKey.from_private_bytes(bytes.fromhex(v["private_key_seed_hex"]))
for i, c in enumerate(v["claims"]):
    own = report.hmac.digest(salt, i.to_bytes(4, "big"), "sha256")
    assert own.hex() == c["salt_hex"]
    assert report.hashlib.sha256(b"\0" + own + c["canonical"].encode()).hexdigest() == c["leaf_hex"]
for i in 0, 3:  # whose quantities are in their form
    assert report.canonical(v["claims"][i]["event"]).decode() == v["claims"][i]["canonical"]
    assert report.leaf(salt, i, v["claims"][i]["event"]).hex() == v["claims"][i]["leaf_hex"]
assert report.merkle([bytes.fromhex(c["leaf_hex"]) for c in v["claims"]]).hex() == v["root_hex"]
assert report.thumbprint(key) == v["keyid"]
assert "tanpu=:%s:" % report.b64(key.sign(v["signature_base"].encode())) == v["headers"]["Signature"]
`, vectors)
	check.Dir = folder
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("the vectors: %v\n%s", err, out)
	}
}
