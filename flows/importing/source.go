package importing

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
)

// rows is a file of rows with named columns, read once, in order.
type rows interface {
	// header names the columns.
	header() []string
	// bind says which columns fill which places of a row. It comes before next.
	bind(places []int) error
	// next fills row with the next row's bound columns, as text. A *RowError concerns that row only, and
	// reading may go on; any other error ends it, io.EOF as the file's end.
	next(row []string) error
	close() error
}

// A RowError says what is wrong with one row of a file.
type RowError struct {
	Column int    // from 1; 0 when it concerns the whole row
	Name   string // of the column, or of the map's key
	Text   string
}

func (e *RowError) Error() string {
	switch {
	case e.Column > 0 && e.Name != "":
		return fmt.Sprintf("column %d (%s): %s", e.Column, clip(e.Name), e.Text)
	case e.Column > 0:
		return fmt.Sprintf("column %d: %s", e.Column, e.Text)
	case e.Name != "":
		return fmt.Sprintf("%s: %s", clip(e.Name), e.Text)
	}
	return e.Text
}

// A source is an open file. Its kind is told by its first bytes, not by its name.
type source struct {
	rows
	file *os.File
	size int64
	done atomic.Int64 // bytes of the file read so far, for progress
}

func open(path string) (s *source, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			f.Close()
		}
	}()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, errors.New("not a regular file")
	}
	s = &source{file: f, size: info.Size()}
	var magic [4]byte
	n, err := f.ReadAt(magic[:], 0)
	switch {
	case err != nil && err != io.EOF:
		return nil, err
	case string(magic[:n]) == "PAR1":
		p, err := newParquet(f, s.size)
		s.rows = counted{p, s}
		return s, err
	case n >= 2 && magic[0] == 0x1f && magic[1] == 0x8b:
		z, err := gzip.NewReader(bufio.NewReaderSize(s, 64<<10))
		if err != nil {
			return nil, err
		}
		s.rows, err = newCSV(z)
		return s, err
	}
	s.rows, err = newCSV(s)
	return s, err
}

// openBound opens a file whose rows are to be read by a map.
func openBound(path string, m *Map) (*source, error) {
	s, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	places, err := m.bind(path, s.header())
	if err == nil {
		if err = s.bind(places); err != nil {
			err = fmt.Errorf("reading %s: %w", path, err)
		}
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// sameFile reports whether two names are of one file, links included. A file that is not there is no other.
func sameFile(a, b string) bool {
	x, err1 := os.Stat(a)
	y, err2 := os.Stat(b)
	if err1 != nil || err2 != nil {
		return filepath.Clean(a) == filepath.Clean(b)
	}
	return os.SameFile(x, y)
}

// Read counts what is read of the file.
func (s *source) Read(b []byte) (int, error) {
	n, err := s.file.Read(b)
	s.done.Add(int64(n))
	return n, err
}

// counted counts a Parquet file's rows as their share of its bytes.
type counted struct {
	*parquetReader
	s *source
}

func (c counted) next(row []string) error {
	err := c.parquetReader.next(row)
	if total := c.file.NumRows(); total > 0 {
		c.s.done.Store(int64(float64(c.s.size) * float64(c.read) / float64(total)))
	}
	return err
}

func (s *source) close() error {
	return errors.Join(s.rows.close(), s.file.Close())
}

// A mark tells a file from another without reading all of it.
type mark struct {
	name string
	size int64
	head [32]byte // SHA-256 of its first bytes
}

func marksOf(paths []string) ([]mark, error) {
	var marks []mark
	for _, path := range paths {
		m, err := markOf(path)
		if err != nil {
			return nil, err
		}
		marks = append(marks, m)
	}
	return marks, nil
}

func markOf(path string) (mark, error) {
	f, err := os.Open(path)
	if err != nil {
		return mark{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return mark{}, err
	}
	h := sha256.New()
	if _, err := io.CopyN(h, f, 64<<10); err != nil && err != io.EOF {
		return mark{}, err
	}
	m := mark{name: info.Name(), size: info.Size()}
	h.Sum(m.head[:0])
	return m, nil
}

// clip shortens a text that a file gave, so that a message stays readable.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && s[cut]&0xc0 == 0x80 { // not inside a character
		cut--
	}
	return s[:cut] + "…"
}
