package api

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/tanpu/tanpu/rules/fault"
)

// forms are the media types in which claims come.
var forms = map[string]form{
	"application/cloudevents+json":       single,
	"application/cloudevents-batch+json": batch,
	"application/x-ndjson":               lines,
}

func formOf(r *http.Request) (form, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if f, ok := forms[media]; ok && err == nil {
		return f, nil
	}
	return 0, problem(http.StatusUnsupportedMediaType,
		"claims come as application/cloudevents+json, application/cloudevents-batch+json or application/x-ndjson")
}

// A request takes this many bytes of memory for each byte of its body while it is decoded, judged and
// answered: the body, the claims (events of the smallest size make the most of their bytes) and the
// verdicts. TestMemory measures it.
const bytesPerByte = 6

// A body is what a request carries, unpacked, with its part of the budget.
type body struct {
	bytes.Buffer
	server   *Server
	releases []func()
}

// A body grows in steps, each with its part of the budget: first by what is announced, up to firstStep, then doubling.
// So a request does not fail for the budget half way, and one that announces much and sends little holds little.
const (
	leastStep = 64 << 10
	firstStep = 1 << 20
)

var bodies = sync.Pool{New: func() any { return new(body) }}

// readBody reads a request's body within the limits: its size as sent and unpacked, the time it takes, and the
// server's budget, which is taken before the memory is. The caller releases the body in any case.
func (s *Server) readBody(w http.ResponseWriter, r *http.Request) (*body, error) {
	b := bodies.Get().(*body)
	b.server = s
	if r.ContentLength > s.MaxBody {
		return b, s.tooLarge()
	}
	limited := http.MaxBytesReader(w, r.Body, s.MaxBody)
	var from io.Reader = limited
	expected := r.ContentLength
	switch encoding := strings.ToLower(r.Header.Get("Content-Encoding")); encoding {
	case "", "identity":
	case "gzip":
		expected *= 8 // about what events pack to
		unpacker := &gunzip{packed: limited}
		defer unpacker.close()
		from = unpacker
	default:
		w.Header().Set("Accept-Encoding", "gzip")
		return b, problem(http.StatusUnsupportedMediaType, "the body may be packed with gzip, not with %s", quote(encoding))
	}
	if err := b.fill(from, expected); err != nil {
		return b, s.bodyError(err)
	}
	// While the claims are judged the connection is read to see it close; the time to come whole is no limit to that.
	http.NewResponseController(w).SetReadDeadline(time.Time{})
	return b, nil
}

// fill reads all of r, which is expected to have so many bytes, or -1 when nobody said.
func (b *body) fill(r io.Reader, expected int64) error {
	step := min(expected, firstStep) + 1 // one more, to see the end
	if expected < 0 {
		step = leastStep
	}
	for {
		release, ok := b.server.Intake.Reserve(step * bytesPerByte)
		if !ok {
			return fault.New(fault.Busy, "too much is being taken in at this moment; nothing of this request was: send it again")
		}
		b.releases = append(b.releases, release)
		n, err := io.CopyN(&b.Buffer, r, step)
		switch {
		case int64(b.Len()) > b.server.MaxBody:
			return b.server.tooLarge()
		case n < step && err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		step = min(max(leastStep, int64(b.Len())), b.server.MaxBody+1-int64(b.Len()))
	}
}

// release gives back what the body took.
func (b *body) release() {
	for _, release := range b.releases {
		release()
	}
	clear(b.releases)
	b.releases = b.releases[:0]
	b.server = nil
	if b.Cap() > 1<<20 {
		return // too large to be kept for others
	}
	b.Reset()
	bodies.Put(b)
}

func (s *Server) tooLarge() error {
	return fault.New(fault.TooLarge, "a request's body may have up to %d bytes, unpacked: send the rest in another", s.MaxBody)
}

// bodyError puts into words why a body could not be read.
func (s *Server) bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	var corrupt flate.CorruptInputError
	switch {
	case fault.KindOf(err) != "":
		return err
	case errors.As(err, &tooLarge):
		return s.tooLarge()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem(http.StatusRequestTimeout, "the body did not come within %s", s.BodyTimeout)
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum), errors.As(err, &corrupt):
		return fault.New(fault.Invalid, "the body is not what gzip makes")
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return fault.New(fault.Invalid, "the body ends too early")
	}
	return fault.New(fault.Invalid, "%s", fmt.Errorf("reading the body: %w", err))
}

// A gunzip unpacks a body with a reader that it borrows.
type gunzip struct {
	packed io.Reader
	reader *gzip.Reader
}

var unpackers sync.Pool

func (g *gunzip) Read(p []byte) (n int, err error) {
	if g.reader == nil {
		if g.reader, _ = unpackers.Get().(*gzip.Reader); g.reader == nil {
			g.reader = new(gzip.Reader)
		}
		if err := g.reader.Reset(g.packed); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF // an empty body is nothing that gzip makes
			}
			return 0, err
		}
	}
	return g.reader.Read(p)
}

func (g *gunzip) close() {
	if g.reader != nil {
		unpackers.Put(g.reader)
	}
}
