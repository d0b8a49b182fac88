package witness

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/tanpu/tanpu/rules/fault"
)

// maxBody bounds a request: a full proof and a checkpoint with the 16 signatures that signed-note asks for, be they of 5 kB.
const maxBody = 256 << 10

// sizeType is the media type that tells the 409 about the size from the one about another root.
const sizeType = "text/x.tlog.size"

// statuses of errors that the one who asked can do something about, as tlog-witness has them. The others are 500.
var statuses = map[fault.Kind]int{
	fault.Invalid:     http.StatusBadRequest,
	fault.Forbidden:   http.StatusForbidden,
	fault.NotFound:    http.StatusNotFound,
	fault.Conflict:    http.StatusConflict,
	fault.Unfit:       http.StatusUnprocessableEntity,
	fault.TooLarge:    http.StatusRequestEntityTooLarge,
	fault.Unavailable: http.StatusServiceUnavailable,
}

// Server is an HTTP server that answers for the witness and waits for nobody long.
func (w *Witness) Server() *http.Server {
	return &http.Server{
		Handler:           w.Handler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(w.journal.Handler(), slog.LevelDebug),
	}
}

// Handler answers for the witness. There is one thing to ask.
func (w *Witness) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /add-checkpoint", w.addCheckpoint)
	return mux
}

func (w *Witness) addCheckpoint(rw http.ResponseWriter, req *http.Request) {
	line, err := w.answer(http.MaxBytesReader(rw, req.Body, maxBody))
	if err != nil {
		w.refuse(rw, err)
		return
	}
	rw.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(rw, line)
}

func (w *Witness) answer(body io.Reader) (line string, err error) {
	text, err := io.ReadAll(body)
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return "", fault.New(fault.TooLarge, "a request of more than %d bytes", tooLarge.Limit)
	}
	if err != nil {
		return "", fault.New(fault.Invalid, "the request broke off: %v", err)
	}
	r, err := ParseRequest(text)
	if err != nil {
		return "", err
	}
	return w.Add(r)
}

// refuse says why there is no signature.
func (w *Witness) refuse(rw http.ResponseWriter, err error) {
	if size := new(SizeError); errors.As(err, &size) {
		rw.Header().Set("Content-Type", sizeType)
		rw.WriteHeader(http.StatusConflict)
		io.WriteString(rw, strconv.FormatInt(size.Size, 10)+"\n")
		return
	}
	status, ok := statuses[fault.KindOf(err)]
	if !ok {
		w.journal.Error("not answered", "why", err)
		http.Error(rw, "internal error", http.StatusInternalServerError)
		return
	}
	http.Error(rw, err.Error(), status)
}
