package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/tanpu/tanpu/proof"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/record"
)

// full is how many hashes or entries a full tile has.
const full = 1 << proof.TileHeight

const (
	maxCheckpoint = 1 << 17                     // with the signatures of all witnesses
	maxBundle     = full * (2 + record.MaxSize) // of entries
	attempts      = 6                           // of one request
	maxPause      = 30 * time.Second            // that a server can ask for
	maxRedirects  = 5
)

// A server is the log's, which is not trusted with anything.
type server struct {
	base    string // without a slash at its end
	client  *http.Client
	pause   time.Duration
	timeout time.Duration
	fetched atomic.Int64 // bytes
}

func newServer(c *Config) (*server, error) {
	base, err := url.Parse(c.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, fault.New(fault.Invalid, "a log is named by its address, such as https://log.example/log, and not %q", c.URL)
	}
	s := &server{base: strings.TrimRight(base.String(), "/"), pause: c.Pause, timeout: c.Timeout}
	if s.pause == 0 {
		s.pause = time.Second / 2
	}
	if s.timeout == 0 {
		s.timeout = time.Minute
	}
	s.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
			TLSHandshakeTimeout:    10 * time.Second,
			ResponseHeaderTimeout:  s.timeout,
			MaxResponseHeaderBytes: 64 << 10,
			MaxIdleConnsPerHost:    ahead,
			IdleConnTimeout:        30 * time.Second,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(to *http.Request, via []*http.Request) error {
			if first := via[0].URL; len(via) > maxRedirects || to.URL.Host != first.Host || to.URL.Scheme != first.Scheme {
				return &refusal{"it is redirected elsewhere", false}
			}
			return nil
		},
	}
	return s, nil
}

// A refusal is an answer that a log must not give.
type refusal struct {
	what   string
	absent bool
}

func (r *refusal) Error() string { return r.what }

// errLater says that asking again may help.
type errLater struct {
	error
	pause time.Duration // that the server asks for
}

// get fetches what is at a path, of at most limit bytes. The error is a *refusal where the server answered, and wrongly.
func (s *server) get(ctx context.Context, path string, limit int) ([]byte, error) {
	pause := s.pause
	for attempt := 1; ; attempt++ {
		data, err := s.once(ctx, path, limit)
		later := errLater{}
		if !errors.As(err, &later) || attempt == attempts {
			return data, err
		}
		// Many who fail at once should not all come back at once.
		wait := max(min(later.pause, maxPause), pause/2+rand.N(pause))
		pause *= 2
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
		}
	}
}

func (s *server) once(ctx context.Context, path string, limit int) ([]byte, error) {
	within, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(within, http.MethodGet, s.base+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "tanpu audit")
	answer, err := s.client.Do(req)
	if err != nil {
		return nil, again(ctx, err)
	}
	defer answer.Body.Close()
	switch code := answer.StatusCode; {
	case code == http.StatusNotFound || code == http.StatusGone:
		return nil, &refusal{"there is nothing", true}
	case code == http.StatusTooManyRequests || code >= 500:
		seconds, _ := strconv.Atoi(answer.Header.Get("Retry-After"))
		return nil, errLater{fmt.Errorf("fetching %s/%s: the server answers with status %d", s.base, path, code), time.Duration(min(max(seconds, 0), 60)) * time.Second}
	case code != http.StatusOK:
		return nil, &refusal{fmt.Sprintf("the server answers with status %d", code), false}
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, int64(limit)+1))
	s.fetched.Add(int64(len(data)))
	switch {
	case len(data) > limit:
		return nil, &refusal{fmt.Sprintf("it has more than %d bytes", limit), false}
	case err != nil:
		return nil, again(ctx, fmt.Errorf("fetching %s/%s: %w", s.base, path, err))
	}
	return data, nil
}

// again says that an error may go away, unless it is a refusal or we were told to end.
func again(ctx context.Context, err error) error {
	refused := (*refusal)(nil)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &refused):
		return refused
	}
	return errLater{err, 0}
}

// checkpoint fetches the log's head, signed.
func (s *server) checkpoint(ctx context.Context) ([]byte, error) {
	text, err := s.get(ctx, "checkpoint", maxCheckpoint)
	return text, broken(StepCheckpoint, "checkpoint", err)
}

// broken makes a finding of a refusal, and leaves all else as it is.
func broken(step, place string, err error) error {
	if refused := (*refusal)(nil); errors.As(err, &refused) {
		return &Broken{step, place, refused.what}
	}
	return err
}

// tile fetches a tile or a bundle of entries, and checks it. A tile that was not full then may be served only as it is now.
func (s *server) tile(ctx context.Context, t tlog.Tile, check func([]byte) error) ([]byte, error) {
	path, step, limit := proof.TilePath(t), StepTiles, t.W*tlog.HashSize
	if t.L == proof.EntriesLevel {
		step, limit = StepEntries, t.W*(2+record.MaxSize)
	}
	data, err := s.get(ctx, path, limit)
	if refused := (*refusal)(nil); errors.As(err, &refused) && refused.absent && t.W < full {
		data, err = s.beginning(ctx, t, err)
	}
	if err != nil {
		return nil, broken(step, path, err)
	}
	return data, check(data)
}

// beginning takes what a tile was from what it is by now.
func (s *server) beginning(ctx context.Context, t tlog.Tile, absent error) ([]byte, error) {
	now, limit := t, full*tlog.HashSize
	now.W = full
	if t.L == proof.EntriesLevel {
		limit = maxBundle
	}
	data, err := s.get(ctx, proof.TilePath(now), limit)
	if err != nil {
		if refused := (*refusal)(nil); errors.As(err, &refused) {
			err = absent
		}
		return nil, err
	}
	if t.L != proof.EntriesLevel {
		return data[:min(len(data), t.W*tlog.HashSize)], nil
	}
	size := 0
	for range t.W {
		if len(data) < size+2 {
			break
		}
		size = min(len(data), size+2+int(data[size])<<8+int(data[size+1]))
	}
	return data[:size], nil
}

// hashTiles gives package tlog the tiles that it asks for. It checks what they lead to.
type hashTiles struct {
	ctx    context.Context
	server *server
	err    error // ours, which tlog would wrap beyond recognition
}

func (h *hashTiles) Height() int { return proof.TileHeight }

func (h *hashTiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var list [][]byte
	for _, t := range tiles {
		data, err := h.server.tile(h.ctx, t, func(data []byte) error { return checkWidth(t, data) })
		if err != nil {
			h.err = err
			return nil, err
		}
		list = append(list, data)
	}
	return list, nil
}

func (h *hashTiles) SaveTiles([]tlog.Tile, [][]byte) {}

// checkWidth makes sure that a tile has as many hashes as it must.
func checkWidth(t tlog.Tile, data []byte) error {
	if len(data) != t.W*tlog.HashSize {
		return &Broken{StepTiles, proof.TilePath(t), fmt.Sprintf("it has %d bytes, and must have %d", len(data), t.W*tlog.HashSize)}
	}
	return nil
}
