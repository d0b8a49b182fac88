package witness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
)

const (
	maxAnswer = 64 << 10         // of a witness
	patience  = 10 * time.Second // with a witness, if a context does not say less
)

// A Client asks one witness for cosignatures, on behalf of a log. Several goroutines may use it.
type Client struct {
	address  string
	verifier note.Verifier
	http     *http.Client
}

// NewClient asks the witness at this URL, the one to which /add-checkpoint is added, that signs with this key.
func NewClient(witness, vkey string) (*Client, error) {
	address, err := url.Parse(witness)
	if err != nil {
		return nil, fmt.Errorf("the address of a witness: %w", err)
	}
	if address.Scheme != "http" && address.Scheme != "https" || address.Host == "" {
		return nil, fmt.Errorf("the address of a witness is http://… or https://…, and not %q", witness)
	}
	verifier, err := proof.NewCosignatureVerifier(vkey)
	if err != nil {
		return nil, err
	}
	return &Client{
		address:  address.JoinPath("add-checkpoint").String(),
		verifier: verifier,
		http: &http.Client{
			Timeout:       patience,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// Name is the name in the witness's key.
func (c *Client) Name() string { return c.verifier.Name() }

// Add submits a signed checkpoint, with the proof that it extends the head of size old, the last that the witness signed; 0
// and no proof before the first. It gives the witness's signature lines, verified, to be appended to the checkpoint.
//
// The error is a *SizeError if the witness's last head has another size: ask again with that. It is a fault.Conflict if the
// witness signed another head of this size: then this log, or the witness, has two histories.
func (c *Client) Add(ctx context.Context, old int64, path []tlog.Hash, checkpoint []byte) (cosignatures []byte, err error) {
	body := bytes.NewReader(Request{old, path, checkpoint}.Text())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "text/plain; charset=utf-8")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("asking witness %s: %w", c.Name(), err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("hearing witness %s: %w", c.Name(), err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("witness %s answers with more than %d bytes", c.Name(), maxAnswer)
	case resp.StatusCode != http.StatusOK:
		return nil, c.refusal(resp, string(answer), old)
	}
	return c.verified(checkpoint, answer)
}

// refusal turns an answer without signatures into an error.
func (c *Client) refusal(resp *http.Response, answer string, old int64) error {
	switch {
	case resp.StatusCode != http.StatusConflict:
		return fmt.Errorf("witness %s answers with status %d: %.300q", c.Name(), resp.StatusCode, answer)
	case resp.Header.Get("Content-Type") != sizeType:
		return fault.New(fault.Conflict, "witness %s signed another head of this size: %.300q", c.Name(), answer)
	}
	size, err := proof.ParseSize(strings.TrimSuffix(answer, "\n"))
	if err != nil {
		return fmt.Errorf("witness %s tells its size: %w", c.Name(), err)
	}
	if size == old { // who asks again with that would ask for ever
		return fmt.Errorf("witness %s says that its last head has %d leaves, and not %d", c.Name(), size, old)
	}
	return &SizeError{size}
}

// verified gives those lines of the answer that the witness signed, for this checkpoint. Lines of other keys are left out.
func (c *Client) verified(checkpoint, answer []byte) ([]byte, error) {
	end := bytes.LastIndex(checkpoint, []byte("\n\n"))
	if end < 0 {
		return nil, errors.New("the checkpoint is not signed")
	}
	// Earlier signatures of the witness that may stand below the checkpoint are of no interest here. An answer with a text of
	// its own would make a longer text of both, with an empty line in it, which no cosignature verifies.
	text := string(checkpoint[:end+1])
	signed, err := note.Open([]byte(text+"\n"+string(answer)), note.VerifierList(c.verifier))
	if err != nil {
		return nil, fmt.Errorf("the answer of witness %s: %w", c.Name(), err)
	}
	var lines []byte
	for _, s := range signed.Sigs {
		lines = fmt.Appendf(lines, "— %s %s\n", s.Name, s.Base64)
	}
	return lines, nil
}
