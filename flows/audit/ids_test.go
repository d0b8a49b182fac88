package audit

import (
	"maps"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

// However little memory the sorters have, they find what a map finds.
func TestMerge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		most := rapid.IntRange(2, 4).Draw(t, "most")
		want := map[uint64]int{}
		var sorters []*sorter
		for range rapid.IntRange(1, 3).Draw(t, "sorters") {
			s := newSorter(rapid.IntRange(1, 9).Draw(t, "limit"))
			defer s.close()
			for i := range rapid.IntRange(0, 60).Draw(t, "uses") {
				hash := rapid.Uint64Range(0, 30).Draw(t, "hash")
				s.add(hash, len(sorters), int64(i)+1)
				if i%3 == 0 { // judged again
					s.add(hash, len(sorters), int64(i)+1)
				}
				want[hash]++
			}
			sorters = append(sorters, s)
		}
		maps.DeleteFunc(want, func(_ uint64, n int) bool { return n < 2 })
		got := map[uint64]int{}
		err := merge(sorters, most, func(same []use) {
			if _, twice := got[same[0].hash]; twice {
				t.Fatalf("hash %d came twice", same[0].hash)
			}
			got[same[0].hash] = len(same)
		})
		if err != nil {
			t.Fatal(err)
		}
		for hash := range want {
			want[hash] = min(want[hash], most)
		}
		if !maps.Equal(got, want) {
			t.Errorf("merged %v, want %v", got, want)
		}
	})
}

// The sorted runs do not outlive the audit.
func TestSorterCleansUp(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	s := newSorter(2)
	for i := range 7 {
		s.add(uint64(i), 0, 1)
	}
	if names, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(names) != 1 || len(s.runs) != 3 {
		t.Fatalf("%d files and %d runs, want 1 and 3", len(names), len(s.runs))
	}
	s.close()
	if names, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(names) != 0 {
		t.Errorf("%v are left", names)
	}
}
