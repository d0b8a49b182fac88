package importing

import (
	"bufio"
	"encoding/csv"
	"fmt"
	"os"
	"strconv"
)

// A report lists the rows that were not accepted, and why: row,id,reason,sentence,file.
type report struct {
	file *os.File
	buf  *bufio.Writer
	csv  *csv.Writer
	size int64
}

// unreadable is the reason of a row that no claim could be made of. It is not a verdict.
const unreadable = "unreadable"

func createReport(path string) (*report, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	r := newReport(file, 0)
	r.csv.Write([]string{"row", "id", "reason", "sentence", "file"})
	return r, r.flush()
}

// resumeReport opens the report of an interrupted run as it was at a checkpoint. It returns nil if there
// is no such report any more.
func resumeReport(path string, size int64) (*report, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.Size() < size {
		file.Close()
		return nil, nil
	}
	if err == nil {
		err = file.Truncate(size)
	}
	if err == nil {
		_, err = file.Seek(size, 0)
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return newReport(file, size), nil
}

func newReport(file *os.File, size int64) *report {
	r := &report{file: file, size: size}
	r.buf = bufio.NewWriterSize(r, 64<<10)
	r.csv = csv.NewWriter(r.buf)
	return r
}

// Write counts what goes to the file.
func (r *report) Write(b []byte) (int, error) {
	n, err := r.file.Write(b)
	r.size += int64(n)
	return n, err
}

func (r *report) line(file string, it *item, code, sentence string) {
	r.csv.Write([]string{strconv.FormatInt(it.row, 10), it.claim.ID, code, sentence, file})
}

// flush writes out what the report holds; errors of the lines before show here.
func (r *report) flush() error {
	r.csv.Flush()
	if err := r.csv.Error(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	if err := r.buf.Flush(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return nil
}

func (r *report) close() error { return r.file.Close() }
