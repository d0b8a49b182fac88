// Package partner is how a partner reports to a Tanpu server from Go: it writes claims as events, signs them with the
// partner's key, sends them, and reads the verdicts. docs/partners.md says how to do the same in other languages.
package partner

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/ledger"
	"github.com/tanpu/tanpu/rules/signature"
)

// A Client reports to one server as one partner.
type Client struct {
	URL  string // of the server, such as https://tanpu.example.org
	Key  ed25519.PrivateKey
	HTTP *http.Client // nil for one of its own

	AtOnce int           // claims in a request; 0 is 1,000
	Tries  int           // how often a request is sent that gets no answer, or is told to come again; 0 is 5
	Pause  time.Duration // before it is sent again, longer each time; 0 is a second
}

// A Verdict says what became of one claim.
type Verdict struct {
	ID       string          `json:"id"`
	Status   string          `json:"status"` // accepted, duplicate, refused; retry when it was not judged
	Reason   string          `json:"reason"`
	Detail   string          `json:"detail"`
	Operands json.RawMessage `json:"operands,omitempty"`
	Method   string          `json:"method,omitempty"`
	Mg       int64           `json:"reduction_mg"`
	Points   int64           `json:"points_thousandths"`
	Ref      string          `json:"ref,omitempty"`
	First    string          `json:"first,omitempty"`
}

// retry is the status of a claim that was not judged.
const retry = "retry"

// A Problem is how the server refuses a request as a whole (RFC 9457).
type Problem struct {
	Status  int    `json:"status"`
	Detail  string `json:"detail"`
	Reason  string `json:"reason,omitempty"`
	Event   *int   `json:"event,omitempty"` // which of the claims is meant
	Pointer string `json:"pointer,omitempty"`
}

func (p *Problem) Error() string {
	where := ""
	if p.Event != nil {
		where = fmt.Sprintf("claim %d %s: ", *p.Event, p.Pointer)
	}
	return fmt.Sprintf("%d %s: %s%s", p.Status, http.StatusText(p.Status), where, p.Detail)
}

// Report sends claims and returns a verdict for each, in order. It sends again what got no answer, because the same
// claim again gets its first verdict; a claim that could not be judged after all tries has the status retry. When
// it returns an error, the verdicts are those of the claims before.
func (c *Client) Report(ctx context.Context, claims []claim.Claim) ([]Verdict, error) {
	verdicts := make([]Verdict, 0, len(claims))
	for len(claims) > 0 {
		n := min(len(claims), orElse(c.AtOnce, 1000))
		some, err := c.report(ctx, claims[:n])
		if err != nil {
			return verdicts, err
		}
		verdicts = append(verdicts, some...)
		claims = claims[n:]
	}
	return verdicts, nil
}

// report sends one request until each of its claims was judged.
func (c *Client) report(ctx context.Context, claims []claim.Claim) ([]Verdict, error) {
	verdicts := make([]Verdict, len(claims))
	open := make([]int, len(claims)) // the places of those that are not judged yet
	for i := range open {
		open[i] = i
	}
	for try := 1; ; try++ {
		some := make([]claim.Claim, len(open))
		for i, at := range open {
			some[i] = claims[at]
		}
		answered, err := c.send(ctx, some)
		if err != nil {
			return nil, err
		}
		var still []int
		for i, v := range answered {
			verdicts[open[i]] = v
			if v.Status == retry {
				still = append(still, open[i])
			}
		}
		if open = still; len(open) == 0 || try >= orElse(c.Tries, 5) {
			return verdicts, nil
		}
		if err := c.wait(ctx, try); err != nil {
			return nil, err
		}
	}
}

// send has one request answered.
func (c *Client) send(ctx context.Context, claims []claim.Claim) ([]Verdict, error) {
	body, salt := Body(claims), NewSalt()
	var answer struct {
		Results []Verdict `json:"results"`
	}
	err := c.answered(ctx, &answer, func() (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(c.URL, "/")+"/v1/claims", bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		r.Header.Set("Content-Type", "application/cloudevents-batch+json")
		SignClaims(r, c.Key, claims, salt, time.Now())
		return r, nil
	})
	if err == nil && len(answer.Results) != len(claims) {
		err = fmt.Errorf("the server answers %d claims with %d verdicts", len(claims), len(answer.Results))
	}
	return answer.Results, err
}

// EndLink ends a member's link to the partner. Ended again, it stays as it is.
func (c *Client) EndLink(ctx context.Context, sub string) error {
	return c.answered(ctx, nil, func() (*http.Request, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodDelete, strings.TrimSuffix(c.URL, "/")+"/v1/links/"+url.PathEscape(sub), nil)
		if err != nil {
			return nil, err
		}
		Sign(r, c.Key, time.Now())
		return r, nil
	})
}

// answered sends a request, made and signed anew for each try, until there is an answer.
func (c *Client) answered(ctx context.Context, answer any, request func() (*http.Request, error)) error {
	for try := 1; ; try++ {
		r, err := request()
		if err != nil {
			return err
		}
		again, err := c.exchange(r, answer)
		if err == nil || !again || try >= orElse(c.Tries, 5) {
			return err
		}
		if err := c.wait(ctx, try); err != nil {
			return err
		}
	}
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

// exchange sends one request and reads its answer; again says whether it may be sent again.
func (c *Client) exchange(r *http.Request, answer any) (again bool, err error) {
	client := c.HTTP
	if client == nil {
		client = &http.Client{Timeout: 2 * time.Minute}
	}
	response, err := client.Do(r)
	if err != nil {
		return r.Context().Err() == nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return true, fmt.Errorf("reading the answer: %w", err)
	}
	if response.StatusCode/100 != 2 {
		p := &Problem{}
		if json.Unmarshal(text, p) != nil || p.Detail == "" {
			p.Detail = "the server says nothing that can be read"
		}
		p.Status = response.StatusCode
		return p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable || p.Status == http.StatusRequestTimeout, p
	}
	if answer == nil {
		return false, nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return false, fmt.Errorf("reading the answer: %w", err)
	}
	return false, nil
}

func (c *Client) wait(ctx context.Context, try int) error {
	select {
	case <-time.After(orElse(c.Pause, time.Second) * time.Duration(try)):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func orElse[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}

// Body writes claims as application/cloudevents-batch+json.
func Body(claims []claim.Claim) []byte {
	b := append(make([]byte, 0, 512*len(claims)), '[')
	for i := range claims {
		if i > 0 {
			b = append(b, ',')
		}
		b = claim.AppendEvent(b, &claims[i])
	}
	return append(b, ']')
}

// NewSalt makes what salts the claims of one request.
func NewSalt() (salt [32]byte) {
	rand.Read(salt[:])
	return salt
}

// SignClaims signs a request that reports these claims, in this order and with nothing else in its body.
func SignClaims(r *http.Request, key ed25519.PrivateKey, claims []claim.Claim, salt [32]byte, now time.Time) {
	r.Header.Set(signature.RootHeader, signature.FormatRoot(ledger.Root(claim.SaidLeaves(claims, salt))))
	r.Header.Set(signature.SaltHeader, signature.FormatSalt(salt))
	Sign(r, key, now)
}

// Sign signs a request, which has no body unless it reports claims.
func Sign(r *http.Request, key ed25519.PrivateKey, now time.Time) {
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	what := signature.Request{Method: r.Method, Authority: signature.Host(host), Path: r.URL.EscapedPath(), Query: r.URL.RawQuery, Root: r.Header.Get(signature.RootHeader)}
	input, value := signature.Sign(key, &what, now.Unix())
	r.Header.Set(signature.InputHeader, input)
	r.Header.Set(signature.SignatureHeader, value)
}
