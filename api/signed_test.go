package api

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tanpu/tanpu/flows/intake"
	"github.com/tanpu/tanpu/flows/testimony"
	"github.com/tanpu/tanpu/partner"
	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/signature"
	"github.com/tanpu/tanpu/store"
	"github.com/tanpu/tanpu/store/storetest"
)

// A production is a server whose partners sign, and valleybike's key.
type production struct {
	*world
	key ed25519.PrivateKey
}

func newProduction(t testing.TB, url string, limits Config) *production {
	t.Helper()
	p := &production{newWorldOn(t, url, limits, intake.Config{}), testKey(1)}
	p.register(t, "valleybike", p.key)
	return p
}

func testKey(b byte) ed25519.PrivateKey { return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{b}, 32)) }

func (p *production) register(t testing.TB, name string, key ed25519.PrivateKey) string {
	t.Helper()
	public := key.Public().(ed25519.PublicKey)
	if err := p.db.AddPartnerKey(context.Background(), store.PartnerKey{Partner: name, Public: public, Created: time.Now().UnixMicro()}); err != nil {
		t.Fatal(err)
	}
	return signature.KeyID(public)
}

// rides are claims of a kilometre, so many hours ago and each an hour before the last.
func (p *production) rides(prefix string, n, ago int) []claim.Claim {
	claims := make([]claim.Claim, n)
	for i := range claims {
		start := time.Now().Add(-time.Duration(ago+i) * time.Hour).Truncate(time.Second)
		claims[i] = claim.Claim{Partner: "valleybike", ID: prefix + strconv.Itoa(i), Sub: p.sub, Scenario: "shared-bike", Start: start.UnixMicro(),
			End: start.Add(5 * time.Minute).UnixMicro(), Evidence: "system", Quantities: []claim.Quantity{{Name: "distance", Text: "1"}}}
	}
	return claims
}

// signed is a request with claims as the partner sends it.
func (p *production) signed(t testing.TB, claims []claim.Claim, salt [32]byte, at time.Time) *http.Request {
	t.Helper()
	r, err := http.NewRequest("POST", p.url+"/v1/claims", bytes.NewReader(partner.Body(claims)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/cloudevents-batch+json")
	partner.SignClaims(r, p.key, claims, salt, at)
	return r
}

func (p *production) do(t testing.TB, r *http.Request) (int, string) {
	t.Helper()
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(text)
}

// refused sends a request and wants it refused for a reason.
func (p *production) refused(t testing.TB, what string, r *http.Request, want signature.Reason) {
	t.Helper()
	status, text := p.do(t, r)
	var problem Problem
	if err := json.Unmarshal([]byte(text), &problem); err != nil || status != 401 || problem.Reason != string(want) || problem.Detail == "" {
		t.Errorf("%s: got %d %s, want 401 for %s", what, status, text, want)
	}
}

// recorded reads the member's claims back by id.
func (p *production) recorded(t testing.TB) map[string]*store.ClaimRow {
	t.Helper()
	ctx := context.Background()
	l, part, err := p.db.LinkOf(ctx, p.sub)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := p.db.Claims(ctx, store.AccountID{Part: part, Number: l.Account}, store.Place{}, "", 10_000)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]*store.ClaimRow{}
	for i := range rows {
		byID[rows[i].ID] = &rows[i].ClaimRow
	}
	return byID
}

// A claim that was signed can be shown to have been, by itself, whatever became of it; one that was not recorded leaves
// nothing. Sent again it leaves no second testimony, signed anew or not.
func TestSigned(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		p := newProduction(t, url, Config{})
		ctx := context.Background()
		claims := p.rides("act-", 5, 1)
		claims[1].Start, claims[1].End = claims[0].Start, claims[0].End // overlap
		claims[2].Sub = "nobody"
		claims[3].ID = `b"\骑行 𝄞`
		c := partner.Client{URL: p.url, Key: p.key}
		verdicts, err := c.Report(ctx, claims)
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []string{"ok", "overlap", "no-link", "", "ok"} {
			if want != "" && verdicts[i].Reason != want {
				t.Errorf("claim %d is judged %s, want %s", i, verdicts[i].Reason, want)
			}
		}
		if _, err := c.Report(ctx, claims); err != nil { // with another salt
			t.Fatal(err)
		}
		for range 2 { // exactly the same
			if status, text := p.do(t, p.signed(t, claims, [32]byte{9}, time.Now())); status != 200 || !strings.Contains(text, `"replay"`) {
				t.Errorf("again: %d %s", status, text)
			}
		}
		rows := p.recorded(t)
		if len(rows) != 4 {
			t.Fatalf("%d claims are recorded, want 4", len(rows))
		}
		for i, id := range map[int]string{0: "act-0", 1: "act-1", 3: claims[3].ID, 4: "act-4"} {
			shown, found, err := testimony.Of(ctx, p.db, rows[id])
			if err != nil || !found || shown.Index != i || shown.Claims != 5 {
				t.Fatalf("%s: %+v, %v, %v", id, shown, found, err)
			}
			if err := shown.Check(&claims[i]); err != nil {
				t.Errorf("%s: %v", id, err)
			}
			if err := shown.Check(&claims[(i+1)%5]); err == nil {
				t.Errorf("%s: its testimony shows another", id)
			}
		}
		if n := count(t, url); n != 1 {
			t.Errorf("%d testimonies are kept, want that of the first request", n)
		}
		if strings.Contains(p.log.String(), p.sub) || strings.Contains(p.log.String(), "act-") {
			t.Errorf("the log tells whom it was about:\n%s", p.log)
		}
	})
}

// count is how many testimonies the database keeps.
func count(t testing.TB, url string) (n int) {
	t.Helper()
	driver, at := "pgx", url
	if file, ok := strings.CutPrefix(url, "sqlite:"); ok {
		driver, at = "sqlite", "file:"+file
	}
	db, err := sql.Open(driver, at)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT count(*) FROM testimony").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// A server that died after the claims were committed and before their testimony was kept gave no answer. The partner
// sends them again, and then it is kept.
func TestSignedAgainAfterCrash(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		p := newProduction(t, url, Config{})
		ctx := context.Background()
		claims := p.rides("c", 3, 1)
		if _, err := p.intake.Submit(ctx, claims[:2]); err != nil { // so far came the server
			t.Fatal(err)
		}
		if _, found, err := testimony.Of(ctx, p.db, p.recorded(t)["c0"]); found || err != nil {
			t.Fatalf("a testimony is found of what nobody signed: %v", err)
		}
		c := partner.Client{URL: p.url, Key: p.key}
		verdicts, err := c.Report(ctx, claims)
		if err != nil || verdicts[0].Reason != "replay" || verdicts[0].First != "ok" || verdicts[2].Reason != "ok" {
			t.Fatalf("%+v, %v", verdicts, err)
		}
		for id, row := range p.recorded(t) {
			if _, found, err := testimony.Of(ctx, p.db, row); !found || err != nil {
				t.Errorf("%s: found %v, %v", id, found, err)
			}
		}
	})
}

// A claim that was recorded for one sub of a member and is sent again for another is a replay, and its signature is not
// one of the claim that was recorded.
func TestSignedAgainForAnotherSub(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		p := newProduction(t, url, Config{})
		ctx := context.Background()
		claims := p.rides("s", 2, 1)
		if _, err := p.intake.Submit(ctx, claims); err != nil {
			t.Fatal(err)
		}
		l, part, err := p.db.LinkOf(ctx, p.sub)
		if err != nil {
			t.Fatal(err)
		}
		again := slices.Clone(claims)
		again[0].Sub = p.linkTo(t, store.AccountID{Part: part, Number: l.Account})
		c := partner.Client{URL: p.url, Key: p.key}
		if verdicts, err := c.Report(ctx, again); err != nil || verdicts[0].Reason != "replay" {
			t.Fatalf("%+v, %v", verdicts, err)
		}
		for id, want := range map[string]bool{"s0": false, "s1": true} {
			if _, found, err := testimony.Of(ctx, p.db, p.recorded(t)[id]); found != want || err != nil {
				t.Errorf("%s: found %v, want %v, %v", id, found, want, err)
			}
		}
	})
}

// Whatever is changed of a signed request, be it a header or a claim, it is refused and nothing of it is taken.
func TestTampered(t *testing.T) {
	p := newProduction(t, storetest.SQLite(t), Config{})
	rapid.Check(t, func(rt *rapid.T) {
		claims := p.rides("t", 4, 1)
		r := p.signed(t, claims, [32]byte{1}, time.Now())
		what := rapid.SampledFrom([]string{"header", "claim", "order", "missing", "added", "twice", "method", "host", "query"}).Draw(rt, "what")
		i := rapid.IntRange(0, 3).Draw(rt, "claim")
		switch what {
		case "header":
			name := rapid.SampledFrom([]string{signature.InputHeader, signature.SignatureHeader, signature.RootHeader, signature.SaltHeader}).Draw(rt, "name")
			value := r.Header.Get(name)
			at := rapid.IntRange(0, len(value)-1).Draw(rt, "at")
			changed := value[:at] + string(rapid.ByteRange('!', '~').Filter(func(b byte) bool { return b != value[at] }).Draw(rt, "byte")) + value[at+1:]
			r.Header.Set(name, changed)
		case "claim":
			change(&claims[i], rapid.IntRange(0, 9).Draw(rt, "field"))
		case "order":
			claims[i], claims[(i+1)%4] = claims[(i+1)%4], claims[i]
		case "missing":
			claims = append(claims[:i], claims[i+1:]...)
		case "added":
			claims = append(claims, p.rides("more", 1, 20)...)
		case "twice":
			claims = append(claims, claims[i])
		case "method":
			r.Method = "DELETE"
			r.URL.Path = "/v1/links/" + p.sub
		case "host":
			r.Host = "sandbox.example.org"
		case "query":
			r.URL.RawQuery = "a=b"
		}
		text := partner.Body(claims)
		r.Body, r.ContentLength, r.GetBody = io.NopCloser(bytes.NewReader(text)), int64(len(text)), nil
		if status, text := p.do(t, r); status != 401 && status != 403 || !strings.Contains(text, `"detail"`) {
			rt.Errorf("a change of %s is answered with %d %s", what, status, text)
		}
	})
	if rows := p.recorded(t); len(rows) != 0 {
		t.Errorf("%d claims were taken", len(rows))
	}
}

// change makes a claim say something else.
func change(c *claim.Claim, field int) {
	switch field {
	case 0:
		c.Partner = "demo-transit"
	case 1:
		c.ID += "x"
	case 2:
		c.Sub += "x"
	case 3:
		c.Scenario += "x"
	case 4:
		c.Start++
	case 5:
		c.End++
	case 6:
		c.Evidence = ""
	case 7:
		c.Quantities = []claim.Quantity{{Name: "distance", Text: "2"}}
	case 8:
		c.Region = "CN"
	case 9:
		c.Act, c.Object, c.Commitment = "a", "b", strings.Repeat("0", 64)
	}
}

// Who may do what, and why not.
func TestSignedRefusals(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		p := newProduction(t, url, Config{Hosts: []string{"tanpu.example.org", "localhost:99"}})
		sign := func(change func(*http.Request)) *http.Request {
			r := p.signed(t, p.rides("r", 2, 1), [32]byte{1}, time.Now())
			r.Host = "Tanpu.example.org:443"
			partner.Sign(r, p.key, time.Now())
			change(r)
			return r
		}
		header := func(name string, values ...string) *http.Request {
			return sign(func(r *http.Request) { r.Header[name] = values })
		}
		again := func(host string, at time.Time) *http.Request {
			return sign(func(r *http.Request) {
				r.Host = host
				partner.Sign(r, p.key, at)
			})
		}
		p.refused(t, "a partner's API key", p.request(t, "POST", "/v1/claims", p.partner, "[]", "Content-Type", "application/cloudevents-batch+json"), signature.Unsigned)
		p.refused(t, "no key", p.request(t, "POST", "/v1/claims", "", "[]", "Content-Type", "application/cloudevents-batch+json"), signature.Unsigned)
		p.refused(t, "a partner's API key", p.request(t, "DELETE", "/v1/links/"+p.sub, p.partner, ""), signature.Unsigned)
		p.refused(t, "two ways", header("Authorization", "Bearer "+p.operator), signature.Malformed)
		for _, name := range []string{signature.InputHeader, signature.SignatureHeader} {
			p.refused(t, "no "+name, sign(func(r *http.Request) { r.Header.Del(name) }), signature.Malformed)
			p.refused(t, "two of "+name, header(name, "a=()", "a=()"), signature.Malformed)
		}
		p.refused(t, "no root", sign(func(r *http.Request) { r.Header.Del(signature.RootHeader) }), signature.NotCovered)
		p.refused(t, "a root not in its form", header(signature.RootHeader, "sha-256=:AA==:"), signature.Malformed)
		p.refused(t, "two roots", header(signature.RootHeader, "a", "b"), signature.Malformed)
		p.refused(t, "no salt", sign(func(r *http.Request) { r.Header.Del(signature.SaltHeader) }), signature.Malformed)
		p.refused(t, "another salt", header(signature.SaltHeader, signature.FormatSalt([32]byte{2})), signature.RootDiffers)
		p.refused(t, "another server", again("sandbox.example.org", time.Now()), signature.WrongHost)
		p.refused(t, "a query that is no text", sign(func(r *http.Request) {
			r.URL.RawQuery = "\xff"
			partner.Sign(r, p.key, time.Now())
		}), signature.Malformed)
		p.refused(t, "long ago", again("tanpu.example.org", time.Now().Add(-6*time.Minute)), signature.OutsideWindow)
		p.refused(t, "to come", again("tanpu.example.org", time.Now().Add(6*time.Minute)), signature.OutsideWindow)
		if status, text := p.do(t, again("localhost:99", time.Now().Add(-4*time.Minute))); status != 200 {
			t.Errorf("four minutes ago, by another name: %d %s", status, text)
		}
		stranger := sign(func(r *http.Request) { partner.Sign(r, testKey(7), time.Now()) })
		p.refused(t, "a key that nobody registered", stranger, signature.UnknownKey)
		p.register(t, "demo-transit", testKey(7))
		other := sign(func(r *http.Request) { partner.Sign(r, testKey(7), time.Now()) })
		if status, text := p.do(t, other); status != 403 || !strings.Contains(text, "demo-transit") {
			t.Errorf("as another partner: %d %s", status, text)
		}
		mixed := sign(func(r *http.Request) {
			r.Header.Set(signature.SignatureHeader, stranger.Header.Get(signature.SignatureHeader))
		})
		p.refused(t, "another's signature", mixed, signature.BadSignature)
		if status, text := p.do(t, p.request(t, "POST", "/v1/claims", p.operator, string(partner.Body(p.rides("o", 1, 9))), "Content-Type", "application/cloudevents-batch+json")); status != 200 {
			t.Errorf("the operator: %d %s", status, text)
		}
		receipt := p.request(t, "GET", "/v1/claims/0.9.9/receipt", "", "")
		receipt.Host = "tanpu.example.org"
		partner.Sign(receipt, p.key, time.Now())
		if status, text := p.do(t, receipt); status != 404 {
			t.Errorf("a receipt of a claim that is not there: %d %s", status, text)
		}
		account := p.request(t, "GET", "/v1/accounts/a0-1", "", "")
		account.Host = "tanpu.example.org"
		partner.Sign(account, p.key, time.Now())
		if status, text := p.do(t, account); status != 403 {
			t.Errorf("a partner reading an account: %d %s", status, text)
		}
	})
}

// Keys change without a gap: both are good until one is revoked. That takes effect at once, though the clock by which it
// was done is ahead of the server's, and what it signed before can still be shown.
func TestPartnerKeyRotation(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		p := newProduction(t, url, Config{})
		ctx := context.Background()
		old, fresh := p.key, testKey(2)
		p.register(t, "valleybike", fresh)
		for i, key := range []ed25519.PrivateKey{old, fresh} {
			c := partner.Client{URL: p.url, Key: key}
			if _, err := c.Report(ctx, p.rides("k"+strconv.Itoa(i), 1, 1+2*i)); err != nil {
				t.Error(err)
			}
		}
		if err := p.db.RevokePartnerKey(ctx, signature.KeyID(old.Public().(ed25519.PublicKey)), time.Now().Add(time.Hour).UnixMicro()); err != nil {
			t.Fatal(err)
		}
		p.refused(t, "a revoked key", p.signed(t, p.rides("k2", 1, 9), [32]byte{}, time.Now().Add(-time.Minute)), signature.RevokedKey)
		p.key = fresh
		if status, text := p.do(t, p.signed(t, p.rides("k3", 1, 11), [32]byte{}, time.Now())); status != 200 {
			t.Errorf("the new key: %d %s", status, text)
		}
		for id, row := range p.recorded(t) {
			if shown, found, err := testimony.Of(ctx, p.db, row); !found || err != nil || shown.Public.Equal(old.Public()) != (id == "k00") {
				t.Errorf("%s: found %v, %v", id, found, err)
			}
		}
	})
}

// A partner ends a link by a signed request, whose body nobody would check.
func TestSignedEnd(t *testing.T) {
	p := newProduction(t, storetest.SQLite(t), Config{})
	withBody := p.request(t, "DELETE", "/v1/links/"+p.sub, "", "{}")
	partner.Sign(withBody, p.key, time.Now())
	p.refused(t, "a body", withBody, signature.NotCovered)
	elsewhere := p.request(t, "DELETE", "/v1/links/"+p.link(t), "", "")
	partner.Sign(elsewhere, p.key, time.Now())
	elsewhere.URL.Path = "/v1/links/" + p.sub
	p.refused(t, "another's link", elsewhere, signature.BadSignature)

	c := partner.Client{URL: p.url, Key: p.key}
	for range 2 {
		if err := c.EndLink(context.Background(), p.sub); err != nil {
			t.Error(err)
		}
	}
	verdicts, err := c.Report(context.Background(), p.rides("e", 1, 1))
	if err != nil || verdicts[0].Reason != "link-revoked" && verdicts[0].Reason != "no-link" {
		t.Errorf("after its end: %+v, %v", verdicts, err)
	}
}

// Many at once share transactions, and each finds its own.
func TestSignedCrowd(t *testing.T) {
	storetest.Each(t, func(t *testing.T, url string) {
		p := newProduction(t, url, Config{})
		var group sync.WaitGroup
		for i := range 20 {
			group.Go(func() {
				c := partner.Client{URL: p.url, Key: p.key, AtOnce: 3}
				if _, err := c.Report(context.Background(), p.rides("m"+strconv.Itoa(i)+"-", 7, 1)); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		rows := p.recorded(t)
		if len(rows) != 140 {
			t.Errorf("%d claims are recorded, want 140", len(rows))
		}
		for id, row := range rows {
			if _, found, err := testimony.Of(context.Background(), p.db, row); !found || err != nil {
				t.Errorf("%s: found %v, %v", id, found, err)
			}
		}
	})
}

// In a sandbox both ways are open.
func TestSandbox(t *testing.T) {
	p := newProduction(t, storetest.SQLite(t), Config{Sandbox: true})
	if status, text := p.report(t, p.partner, p.ride("s", time.Hour)); status != 200 {
		t.Errorf("an API key: %d %s", status, text)
	}
	if status, text := p.do(t, p.signed(t, p.rides("s", 1, 4), [32]byte{}, time.Now())); status != 200 {
		t.Errorf("a signature: %d %s", status, text)
	}
}

// While the signature cannot be kept nobody hears of the verdicts; sent again, the claims get them and it is kept.
func TestSignatureNotKept(t *testing.T) {
	url := storetest.SQLite(t)
	p := newProduction(t, url, Config{})
	raw, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(url, "sqlite:"))
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	rename := func(from, to string) {
		t.Helper()
		if _, err := raw.Exec("ALTER TABLE " + from + " RENAME TO " + to); err != nil {
			t.Fatal(err)
		}
	}
	claims := p.rides("n", 2, 1)
	rename("testimony", "mislaid")
	if status, text := p.do(t, p.signed(t, claims, [32]byte{1}, time.Now())); status != 503 || strings.Contains(text, `"ok"`) || strings.Contains(text, "mislaid") {
		t.Errorf("got %d %s, want 503 and no verdicts", status, text)
	}
	if !strings.Contains(p.log.String(), "keeping what was signed") {
		t.Errorf("the log does not tell:\n%s", p.log)
	}
	rename("mislaid", "testimony")
	if status, text := p.do(t, p.signed(t, claims, [32]byte{2}, time.Now())); status != 200 || strings.Count(text, `"replay"`) != 2 {
		t.Errorf("again: %d %s", status, text)
	}
	for id, row := range p.recorded(t) {
		if _, found, err := testimony.Of(context.Background(), p.db, row); !found || err != nil {
			t.Errorf("%s: found %v, %v", id, found, err)
		}
	}
}

// A partner corrects by a signed request, whose body the signature covers by its hash.
func TestSignedCorrection(t *testing.T) {
	p := newProduction(t, storetest.SQLite(t), Config{})
	if status, text := p.do(t, p.signed(t, p.rides("c", 2, 1), [32]byte{}, time.Now())); status != 200 {
		t.Fatal(status, text)
	}
	correction := func(id, signedFor string) *http.Request {
		body := func(id string) string { return `{"subject":"` + p.sub + `","retracts":"` + id + `","reason":"a test"}` }
		r := p.request(t, "POST", "/v1/corrections", "", body(id), "Content-Type", "application/json")
		if signedFor != "" {
			r.Header.Set(signature.RootHeader, signature.FormatRoot(sha256.Sum256([]byte(body(signedFor)))))
		}
		partner.Sign(r, p.key, time.Now())
		return r
	}
	p.refused(t, "a body without its hash", correction("c0", ""), signature.NotCovered)
	p.refused(t, "another body", correction("c1", "c0"), signature.RootDiffers)
	if status, text := p.do(t, correction("c0", "c0")); status != 201 || !strings.Contains(text, `"retracted"`) {
		t.Errorf("a signed correction: %d %s", status, text)
	}
}

// A receipt of a signed claim carries the partner's signature, and nothing in that can be changed.
func TestSignedReceipt(t *testing.T) {
	p := newProduction(t, storetest.SQLite(t), Config{})
	s := p.sealer(t)
	const claims = 5
	if status, text := p.do(t, p.signed(t, p.rides("s", claims, 1), [32]byte{7}, time.Now())); status != 200 {
		t.Fatal(status, text)
	}
	step(t, s)
	for id, row := range p.recorded(t) {
		_, text := p.get(t, "/v1/claims/"+row.Verdict.Ref.String()+"/receipt", p.operator)
		report, err := proof.Verify([]byte(text), proof.Trust{})
		if err != nil || report.Receipt.Testimony == nil {
			t.Fatalf("%s: %v\n%s", id, err, text)
		}
		for what, change := range map[string]func(*proof.ReceiptTestimony){
			"key": func(r *proof.ReceiptTestimony) { r.Public = strings.Repeat("0", 64) }, "base": func(r *proof.ReceiptTestimony) { r.Base += " " },
			"signature": func(r *proof.ReceiptTestimony) { r.Signature = strings.ToUpper(r.Signature) }, "salt": func(r *proof.ReceiptTestimony) { r.Salt[0]++ },
			"path": func(r *proof.ReceiptTestimony) { r.Path = r.Path[1:] }, "no signature": func(r *proof.ReceiptTestimony) { r.Signature = "" },
		} {
			receipt, err := proof.ParseReceipt([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			change(receipt.Testimony)
			var failure *proof.Failure
			if _, err := proof.Verify(receipt.Encode(), proof.Trust{}); !errors.As(err, &failure) || failure.Step != proof.StepTestimony {
				t.Errorf("%s: with another %s: %v", id, what, err)
			}
		}
	}
}
