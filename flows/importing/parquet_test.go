package importing

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
	"github.com/parquet-go/parquet-go/deprecated"
)

type inner struct {
	Text string   `parquet:"text"`
	Many []string `parquet:"many"`
}

type everything struct {
	Text    string           `parquet:"text,dict"`
	Maybe   *string          `parquet:"maybe,optional"`
	Yes     bool             `parquet:"yes"`
	Small   int32            `parquet:"small"`
	Large   int64            `parquet:"large"`
	Natural uint64           `parquet:"natural"`
	Tiny    uint32           `parquet:"tiny"`
	Single  float32          `parquet:"single"`
	Double  float64          `parquet:"double"`
	Price   int64            `parquet:"price,decimal(2:18)"`
	Debt    int32            `parquet:"debt,decimal(3:9)"`
	Day     int32            `parquet:"day,date"`
	Millis  int64            `parquet:"millis,timestamp(millisecond)"`
	Micros  int64            `parquet:"micros,timestamp(microsecond)"`
	Nanos   int64            `parquet:"nanos,timestamp(nanosecond)"`
	Local   int64            `parquet:"local,timestamp(microsecond:local)"`
	Clock   int64            `parquet:"clock,time(microsecond)"`
	Old     deprecated.Int96 `parquet:"old"`
	ID      [16]byte         `parquet:"id,uuid"`
	Raw     []byte           `parquet:"raw"`
	Inner   inner            `parquet:"inner"`
}

func sample() everything {
	at := time.Date(2018, 11, 12, 1, 46, 22, 0, time.UTC)
	maybe := "有"
	return everything{
		Text: "a", Maybe: &maybe, Yes: true, Small: -7, Large: 1 << 60, Natural: 1<<64 - 1, Tiny: 1<<32 - 1,
		Single: 0.1, Double: 10015, Price: 12345, Debt: -5, Day: 17847,
		Millis: at.UnixMilli(), Micros: at.UnixMicro() + 5, Nanos: at.UnixNano() + 5000, Local: at.UnixMicro(),
		Clock: 5_400_000_000,
		Old:   deprecated.Int96{0xecd7cc00, 0x5cd, 2458435}, // 2018-11-12, 6,382,000,000,000 ns later
		ID:    [16]byte{0x16, 0x30, 0xf2, 0x40, 0xe4, 0x08, 0x48, 0x26, 0x81, 0xda, 0x10, 0x60, 0x3f, 0x44, 0xc5, 0xd7},
		Raw:   []byte("raw"), Inner: inner{Text: "in", Many: []string{"x", "y"}},
	}
}

func writeParquet[T any](t testing.TB, rows []T, options ...parquet.WriterOption) string {
	path := filepath.Join(t.TempDir(), "rows.parquet")
	if err := parquet.WriteFile(path, rows, options...); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestParquetValues(t *testing.T) {
	s := sample()
	none := s
	none.Maybe = nil
	f, err := open(writeParquet(t, []everything{s, none}))
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	want := map[string]string{
		"text": "a", "maybe": "有", "yes": "true", "small": "-7", "large": "1152921504606846976",
		"natural": "18446744073709551615", "tiny": "4294967295", "single": "0.1", "double": "10015",
		"price": "123.45", "debt": "-0.005", "day": "2018-11-12",
		"millis": "2018-11-12T01:46:22Z", "micros": "2018-11-12T01:46:22.000005Z", "nanos": "2018-11-12T01:46:22.000005Z",
		"local": "2018-11-12T01:46:22", "clock": "01:30:00", "old": "2018-11-12T01:46:22Z",
		"id": "1630f240-e408-4826-81da-10603f44c5d7", "raw": "raw", "inner.text": "in",
	}
	var places []int
	var names []string
	for i, name := range f.header() {
		if _, ok := want[name]; ok {
			places, names = append(places, i), append(names, name)
		}
	}
	if len(places) != len(want) {
		t.Fatalf("header = %v, want all of %v", f.header(), want)
	}
	if err := f.bind(places); err != nil {
		t.Fatal(err)
	}
	row := make([]string, len(places))
	for n := range 2 {
		if err := f.next(row); err != nil {
			t.Fatal(err)
		}
		for i, name := range names {
			if n == 1 && name == "maybe" {
				want[name] = ""
			}
			if row[i] != want[name] {
				t.Errorf("row %d, %s = %q, want %q", n, name, row[i], want[name])
			}
		}
	}
	if err := f.next(row); err != io.EOF {
		t.Errorf("after the last row: %v", err)
	}
}

func TestParquetRefusesLists(t *testing.T) {
	f, err := open(writeParquet(t, []everything{sample()}))
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	for i, name := range f.header() {
		if strings.HasPrefix(name, "inner.many") {
			if err := f.bind([]int{i}); err == nil || !strings.Contains(err.Error(), "holds lists") {
				t.Errorf("binding %s = %v", name, err)
			}
			return
		}
	}
	t.Errorf("no list among %v", f.header())
}

// Order and columns hold over pages and row groups, whatever order the columns are asked for in.
func TestParquetKeepsOrder(t *testing.T) {
	type ride struct {
		ID   int64  `parquet:"id"`
		Name string `parquet:"name,optional,zstd"`
		Text string `parquet:"text,dict,snappy"`
	}
	const count = 20_000
	rides := make([]ride, count)
	for i := range rides {
		rides[i] = ride{int64(i), strings.Repeat("n", i%3), fmt.Sprint("t", i%100)}
	}
	f, err := open(writeParquet(t, rides, parquet.MaxRowsPerRowGroup(3_000), parquet.PageBufferSize(4_096)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	f.bind([]int{2, 0, 1, 0})
	row := make([]string, 4)
	for i := range rides {
		if err := f.next(row); err != nil {
			t.Fatal(err)
		}
		want := []string{rides[i].Text, fmt.Sprint(i), rides[i].Name, fmt.Sprint(i)}
		if fmt.Sprint(row) != fmt.Sprint(want) {
			t.Fatalf("row %d = %q, want %q", i, row, want)
		}
	}
	if err := f.next(row); err != io.EOF || f.done.Load() != f.size {
		t.Errorf("after the last row: %v, %d of %d bytes done", err, f.done.Load(), f.size)
	}
}

func TestParquetTooLongOrNotText(t *testing.T) {
	type ride struct {
		Raw []byte `parquet:"raw"`
		N   int32  `parquet:"n"`
	}
	f, err := open(writeParquet(t, []ride{{bytes.Repeat([]byte("x"), maxField+1), 1}, {[]byte("\xff"), 2}, {[]byte("ok"), 3}}))
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	f.bind([]int{0, 1})
	row := make([]string, 2)
	for _, want := range []string{"column 1 (raw): longer than 65536 bytes", "column 1 (raw): not UTF-8"} {
		if err := f.next(row); err == nil || err.Error() != want {
			t.Errorf("next = %v, want %s", err, want)
		}
	}
	if err := f.next(row); err != nil || row[0] != "ok" || row[1] != "3" {
		t.Errorf("next = %q, %v", row, err)
	}
}

// A damaged file is an error, never a panic.
func FuzzParquet(f *testing.F) {
	whole, err := os.ReadFile(writeParquet(f, []everything{sample(), sample()}))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(0, uint32(0))
	for i := 0; i < len(whole); i += len(whole) / 50 {
		f.Add(i, uint32(0xffffffff))
	}
	path := filepath.Join(f.TempDir(), "damaged.parquet")
	f.Fuzz(func(t *testing.T, place int, change uint32) {
		damaged := bytes.Clone(whole)
		for i := range 4 {
			damaged[(uint(place)+uint(i))%uint(len(damaged))] ^= byte(change >> (8 * i))
		}
		if err := os.WriteFile(path, damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := open(path)
		if err != nil {
			return
		}
		defer s.close()
		for column := range s.header() {
			if s.bind([]int{column}) != nil {
				continue
			}
		}
		row := make([]string, 1)
		for range 100 {
			if err := s.next(row); err != nil {
				return
			}
		}
	})
}
