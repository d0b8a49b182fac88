package signature

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
)

// TestRFC9421 is the example of appendix B.2.6: its request, its key (B.1.4), its base and its signature, exactly.
func TestRFC9421(t *testing.T) {
	seed, err := base64.RawURLEncoding.DecodeString("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU")
	if err != nil {
		t.Fatal(err)
	}
	key := ed25519.NewKeyFromSeed(seed)
	public, err := ParsePublic("-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=\n-----END PUBLIC KEY-----\n")
	if err != nil || !public.Equal(key.Public()) {
		t.Fatalf("the public key is read as %x, %v", public, err)
	}
	const input = `sig-b26=("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`
	const signature = "sig-b26=:wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==:"
	const want = `"date": Tue, 20 Apr 2021 02:07:55 GMT
"@method": POST
"@path": /foo
"@authority": example.com
"content-type": application/json
"content-length": 18
"@signature-params": ("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473;keyid="test-key-ed25519"`
	label, in, err := parseInput(input)
	if err != nil || label != "sig-b26" || in.Created != 1618884473 || in.KeyID != "test-key-ed25519" {
		t.Fatalf("the input is read as %s %+v, %v", label, in, err)
	}
	r := Request{Method: "POST", Authority: Host("Example.com:443"), Path: "/foo", Query: "param=Value&Pet=dog"}
	base, missing := in.base(func(component string) (string, bool) {
		fields := map[string]string{"date": "Tue, 20 Apr 2021 02:07:55 GMT", "content-type": "application/json", "content-length": "18"}
		if v, ok := fields[component]; ok {
			return v, true
		}
		return r.value(component)
	})
	if string(base) != want || missing != "" {
		t.Errorf("the base is\n%s\nwant\n%s", base, want)
	}
	if got := "sig-b26=" + binary(ed25519.Sign(key, base)); got != signature {
		t.Errorf("the signature is %s, want %s", got, signature)
	}
	b, err := parseSignature(signature, label)
	if err != nil {
		t.Fatal(err)
	}
	s := Signed{Input: *in, Base: base, Signature: b}
	if err := s.Verify(public); err != nil {
		t.Error(err)
	}
	// As a request to us it leaves the query open, and covers what we do not look at.
	if _, err := Read(&r, input, signature); reasonOf(err) != NotCovered {
		t.Errorf("as a request of ours it gives %v", err)
	}
}

// TestKeyID is RFC 8037, appendix A.3.
func TestKeyID(t *testing.T) {
	public, err := base64.RawURLEncoding.DecodeString("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := KeyID(public), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"; got != want {
		t.Errorf("the thumbprint is %s, want %s", got, want)
	}
}

func reasonOf(err error) Reason {
	var r *Refusal
	if errors.As(err, &r) && fault.KindOf(err) == fault.Unauthorized && r.Error() != "" {
		return r.Reason
	}
	return ""
}

var (
	testKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
	public  = testKey.Public().(ed25519.PublicKey)
	now     = time.Unix(1787270400, 0)
	claims  = []claim.Claim{
		{Partner: "bikes", ID: "a", Sub: "s1", Scenario: "bike", Start: 1, End: 2},
		{Partner: "bikes", ID: "b", Sub: "s2", Scenario: "bike", Start: 3, End: 4, Evidence: "system"},
		{Partner: "bikes", ID: "c", Sub: "s3", Scenario: "bike", Start: 5, End: 6, Quantities: []claim.Quantity{{Name: "distance", Text: "2.1"}}},
	}
	salt = [32]byte{1, 2, 3}
)

func report() Request {
	return Request{Method: "POST", Authority: "tanpu.example.org", Path: "/v1/claims", Root: FormatRoot(ledger.Root(claim.SaidLeaves(claims, salt)))}
}

// verify is what a server does with a request's headers.
func verify(r *Request, input, signature string) error {
	s, err := Read(r, input, signature)
	if err != nil {
		return err
	}
	if err := s.Timely(now, 5*time.Minute); err != nil {
		return err
	}
	return s.Verify(public)
}

// What was signed verifies; with any part of the request or of the headers changed it does not.
func TestSign(t *testing.T) {
	for _, r := range []Request{
		report(),
		{Method: "DELETE", Authority: "tanpu.example.org", Path: "/v1/links/abc"},
		{Method: "GET", Authority: "localhost:8080", Path: "/v1/x", Query: "a=1&b=%20"},
	} {
		input, signature := Sign(testKey, &r, now.Unix())
		if err := verify(&r, input, signature); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
		for _, change := range []func(*Request){
			func(r *Request) { r.Method = "PUT" }, func(r *Request) { r.Authority = "sandbox.example.org" }, func(r *Request) { r.Path += "x" },
			func(r *Request) { r.Query += "&more" },
			func(r *Request) { r.Root = FormatRoot(ledger.Hash{1}) },
			func(r *Request) { r.Path += "\n\"@method\": GET" },
		} {
			other := r
			change(&other)
			if err := verify(&other, input, signature); reasonOf(err) == "" {
				t.Errorf("%+v was taken for %+v: %v", other, r, err)
			}
		}
	}
}

// Whatever byte of the headers is changed, the request is refused, and with a reason.
func TestTamperedHeaders(t *testing.T) {
	r := report()
	input, signature := Sign(testKey, &r, now.Unix())
	rapid.Check(t, func(t *rapid.T) {
		in, sig := tamper(t, input), signature
		if rapid.Bool().Draw(t, "signature") {
			in, sig = input, tamper(t, signature)
		}
		if in == input && sig == signature {
			return
		}
		if err := verify(&r, in, sig); reasonOf(err) == "" {
			t.Errorf("taken with %s\n%s: %v", in, sig, err)
		}
	})
}

func tamper(t *rapid.T, s string) string {
	at := rapid.IntRange(0, len(s)-1).Draw(t, "at")
	switch rapid.IntRange(0, 2).Draw(t, "how") {
	case 0:
		return s[:at] + s[at+1:]
	case 1:
		return s[:at] + rapid.StringN(1, 3, -1).Draw(t, "text") + s[at:]
	}
	return s[:at] + string(rune(rapid.Byte().Draw(t, "byte"))) + s[at+1:]
}

// Libraries may order what is covered, and the parameters, as they like.
func TestAnyOrder(t *testing.T) {
	r := report()
	for _, params := range []string{
		`("tanpu-claims-root" "@path" "@authority" "@method");keyid="` + KeyID(public) + `";created=1787270400`,
		`("@method" "@query" "@authority" "@path" "tanpu-claims-root");alg="ed25519";created=1787270400;expires=1787270500;nonce="x y";keyid="` + KeyID(public) + `"`,
	} {
		in, err := parseParams(params)
		if err != nil {
			t.Fatal(err)
		}
		base, missing := in.base(r.value)
		if missing != "" {
			t.Fatal(missing)
		}
		if err := verify(&r, "a*1="+params, "a*1="+binary(ed25519.Sign(testKey, base))); err != nil {
			t.Errorf("%s: %v", params, err)
		}
	}
}

// TestRefusals has one of each mistake, signed properly otherwise.
func TestRefusals(t *testing.T) {
	const all = `("@method" "@authority" "@path" "tanpu-claims-root")`
	id := `;keyid="` + KeyID(public) + `"`
	for _, c := range []struct {
		params string
		want   Reason
		says   string
	}{
		{all + ";created=1787270400" + id, "", ""},
		{all + ";created=1787270100" + id, "", ""},
		{all + ";created=1787270099" + id, OutsideWindow, "2026-08-21T00:00:00Z here"},
		{all + ";created=1787270701" + id, OutsideWindow, "sign again"},
		{all + ";created=999999999999999" + id, OutsideWindow, "sign again"},
		{all + ";created=1787270400;expires=1787270400" + id, OutsideWindow, "has expired"},
		{all + ";created=1787270400;alg=\"rsa-pss-sha512\"" + id, Malformed, "of ed25519"},
		{all + ";created=1787270400;tag=\"x\"" + id, Malformed, "not \"tag\""},
		{all + ";created=1787270400;created=1787270400" + id, Malformed, "twice"},
		{all + ";created=-1" + id, Malformed, "whole seconds"},
		{all + ";created=01787270400" + id, Malformed, "whole seconds"},
		{all + ";created=1787270400.5" + id, Malformed, "after the list"},
		{all + ";created=1787270400;nonce=\"" + strings.Repeat("n", 129) + `"` + id, Malformed, "nonce cannot be read"},
		{all + ";created=1787270400;nonce=\"a\\\"b\"" + id, Malformed, "nonce cannot be read"},
		{all + id, Malformed, "created is missing"},
		{all + ";created=1787270400", Malformed, "keyid is missing"},
		{all + ";created=1787270400" + id + ", b=()", Malformed, "nothing after them"},
		{all + "; created=1787270400" + id, Malformed, "not \" created\""},
		{`("@method"  "@authority" "@path" "tanpu-claims-root");created=1787270400` + id, Malformed, "in quotes"},
		{`("@method" "@method" "@authority" "@path" "tanpu-claims-root");created=1787270400` + id, Malformed, "covered once"},
		{`("@method";req "@authority" "@path" "tanpu-claims-root");created=1787270400` + id, Malformed, "no parameters"},
		{`();created=1787270400` + id, NotCovered, `cover "@method" "@authority" "@path" "tanpu-claims-root"`},
		{`("@authority" "@path" "tanpu-claims-root");created=1787270400` + id, NotCovered, `does not cover "@method"`},
		{`("@method" "@path" "tanpu-claims-root");created=1787270400` + id, NotCovered, `does not cover "@authority"`},
		{`("@method" "@authority" "tanpu-claims-root");created=1787270400` + id, NotCovered, `does not cover "@path"`},
		{`("@method" "@authority" "@path");created=1787270400` + id, NotCovered, `does not cover "tanpu-claims-root"`},
		{`("@method" "@target-uri" "@authority" "@path" "tanpu-claims-root");created=1787270400` + id, NotCovered, `"@target-uri", which is not checked`},
		{`("@Method" "@authority" "@path" "tanpu-claims-root");created=1787270400` + id, NotCovered, "not checked"},
		{``, Malformed, "brackets"},
		{`(`, Malformed, "in quotes"},
		{strings.Repeat("(", 2000), Malformed, "more than 1024 bytes"},
	} {
		r := report()
		base := []byte("anything")
		if in, err := parseParams(c.params); err == nil {
			if b, missing := in.base(r.value); missing == "" {
				base = b
			}
		}
		err := verify(&r, "s="+c.params, "s="+binary(ed25519.Sign(testKey, base)))
		if reasonOf(err) != c.want || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s\n got %q: %v\nwant %q: %s", c.params, reasonOf(err), err, c.want, c.says)
		}
	}
	r := report()
	input, signature := Sign(testKey, &r, now.Unix())
	for _, h := range [][2]string{
		{"", signature}, {input, ""}, {"Tanpu" + input, signature}, {input, "x" + signature}, {input, signature + ", b=:AA==:"}, {input, strings.TrimSuffix(signature, ":")},
		{input, "tanpu=:" + strings.Repeat("A", 88) + ":"}, {input, strings.Replace(signature, "==:", ":", 1)}, {input, strings.Repeat(signature, 12)}, {"1" + input, "1" + signature},
	} {
		if err := verify(&r, h[0], h[1]); reasonOf(err) != Malformed {
			t.Errorf("%s\n%s\ngive %v", h[0], h[1], err)
		}
	}
	other := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{8}, 32))
	input, signature = Sign(other, &r, now.Unix())
	if err := verify(&r, input, signature); reasonOf(err) != BadSignature {
		t.Errorf("another's signature gives %v", err)
	}
}

// Keys that anybody can sign with are refused: the points of small order, in every encoding that Go's ed25519 takes.
func TestWeakKeys(t *testing.T) {
	for _, text := range []string{
		"0100000000000000000000000000000000000000000000000000000000000000",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0000000000000000000000000000000000000000000000000000000000000080",
		"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		key := make(ed25519.PublicKey, 32)
		for i := range key {
			key[i] = hexByte(text[2*i])<<4 | hexByte(text[2*i+1])
		}
		if !weak(key) {
			t.Errorf("%s is not found to be weak", text)
		}
		if _, err := ParsePublic(FormatPublic(key)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s is taken: %v", text, err)
		}
	}
	if weak(public) {
		t.Error("a proper key is taken for a weak one")
	}
}

func hexByte(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

func TestParsePublic(t *testing.T) {
	line := FormatPublic(public)
	for _, text := range []string{line, line + "\n", "-----BEGIN PUBLIC KEY-----\n" + line + "\n-----END PUBLIC KEY-----\n"} {
		if got, err := ParsePublic(text); err != nil || !got.Equal(public) {
			t.Errorf("%q is read as %x, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "x", line[1:], line + line, strings.Repeat("A", 5000), base64.StdEncoding.EncodeToString(public),
		"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ+DYvh6SEqVTm50DFtMDoQikTmiCqirVv9mWG9qfSnF\n-----END PRIVATE KEY-----\n",
	} {
		if _, err := ParsePublic(text); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%q gives %v", text, err)
		}
	}
}

func testimony(t testing.TB, i int) *Testimony {
	t.Helper()
	r := report()
	input, signature := Sign(testKey, &r, now.Unix())
	s, err := Read(&r, input, signature)
	if err != nil {
		t.Fatal(err)
	}
	leaves := claim.SaidLeaves(claims, salt)
	return &Testimony{Public: public, Base: string(s.Base), Signature: s.Signature, Salt: claim.SaidSalt(salt, i), Index: i, Claims: len(claims), Path: ledger.Path(leaves, i)}
}

// A testimony shows one claim, no other, and nothing of it can be changed.
func TestTestimony(t *testing.T) {
	for i := range claims {
		if err := testimony(t, i).Check(&claims[i]); err != nil {
			t.Errorf("claim %d: %v", i, err)
		}
		if err := testimony(t, i).Check(&claims[(i+1)%len(claims)]); err == nil {
			t.Errorf("the testimony of claim %d shows another", i)
		}
	}
	for what, change := range map[string]func(*Testimony){
		"key":       func(o *Testimony) { o.Public = ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey) },
		"no key":    func(o *Testimony) { o.Public = nil },
		"signature": func(o *Testimony) { o.Signature[5] ^= 1 },
		"short":     func(o *Testimony) { o.Signature = o.Signature[:63] },
		"salt":      func(o *Testimony) { o.Salt[0] ^= 1 },
		"index":     func(o *Testimony) { o.Index++ },
		"path":      func(o *Testimony) { o.Path[0][0] ^= 1 },
		"root":      func(o *Testimony) { o.Base = strings.Replace(o.Base, "sha-256=:", "sha-256=:A", 1) },
		"method":    func(o *Testimony) { o.Base = strings.Replace(o.Base, "POST", "PUT", 1) },
		"host":      func(o *Testimony) { o.Base = strings.Replace(o.Base, "tanpu.", "sandbox.", 1) },
		"order":     func(o *Testimony) { o.Base = strings.Replace(o.Base, "\n", "\n\n", 1) },
		"empty":     func(o *Testimony) { o.Base = "" },
		"long":      func(o *Testimony) { o.Base = strings.Repeat("x", 1<<20) },
	} {
		o := testimony(t, 1)
		change(o)
		if err := o.Check(&claims[1]); err == nil {
			t.Errorf("with another %s it still holds", what)
		}
	}
}

// What is taken is kept and shown for years: a base that a database would not take, JSON would change, or a reader would find
// too long, is not taken in the first place.
func TestReadWhatCanBeShown(t *testing.T) {
	for _, query := range []string{"a=%ff", "a=\xff", "a=\u00e9", "a=\x00", strings.Repeat("q", 4000)} {
		r := report()
		r.Query = query
		in := Input{Covered: r.needed(), Created: now.Unix(), KeyID: KeyID(public), Alg: algorithm}
		in.text = in.write()
		base := []byte(fmt.Sprintf("\"@method\": %s\n\"@authority\": %s\n\"@path\": %s\n\"@query\": ?%s\n\"tanpu-claims-root\": %s\n\"@signature-params\": %s",
			r.Method, r.Authority, r.Path, r.Query, r.Root, in.text))
		s, err := Read(&r, "tanpu="+in.text, "tanpu="+binary(ed25519.Sign(testKey, base)))
		if query == "a=%ff" {
			if err != nil || s.Verify(public) != nil {
				t.Errorf("?%s: %v", query, err)
			}
			continue
		}
		if reasonOf(err) != Malformed {
			t.Errorf("?%.20q is taken: %v", query, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	r := report()
	input, signature := Sign(testKey, &r, now.Unix())
	f.Add(input, signature)
	f.Add(`a=("@method" "@authority" "@path" "tanpu-claims-root");created=1;keyid="x";nonce="";alg="ed25519";expires=2`, "a=::")
	f.Add(`a=("@method";req)`, "a=:AA==:")
	f.Add(`sig1=()`, `sig1=:`+strings.Repeat("A", 86)+"==:")
	f.Fuzz(func(t *testing.T, input, signature string) {
		s, err := Read(&r, input, signature)
		if err != nil {
			if reasonOf(err) == "" {
				t.Errorf("refused without a reason: %v", err)
			}
			return
		}
		got, in, err := parseBase(string(s.Base))
		if err != nil || *got != r || in.text != s.text {
			t.Errorf("%q is read back as %+v, %v", s.Base, got, err)
		}
		if s.Verify(public) == nil && s.KeyID == KeyID(public) && s.Created != now.Unix() {
			t.Errorf("taken: %q %q", input, signature)
		}
	})
}

func FuzzTestimony(f *testing.F) {
	f.Add(testimony(f, 1).Base)
	f.Add("\"@signature-params\": ();created=1;keyid=\"\"")
	f.Fuzz(func(t *testing.T, base string) {
		o := testimony(t, 1)
		want := o.Base
		o.Base = base
		if o.Check(&claims[1]) == nil && base != want {
			t.Errorf("another base holds: %q", base)
		}
	})
}

func FuzzParsePublic(f *testing.F) {
	f.Add(FormatPublic(public))
	f.Fuzz(func(t *testing.T, text string) {
		if key, err := ParsePublic(text); err == nil {
			if again, err := ParsePublic(FormatPublic(key)); err != nil || !again.Equal(key) {
				t.Errorf("%q is read back as %x, %v", text, again, err)
			}
		}
	})
}
