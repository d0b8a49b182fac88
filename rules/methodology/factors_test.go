package methodology

import "testing"

// TestWithinPadded: GB/T 2260 fills up with zeros, and a district lies in its city all the same.
func TestWithinPadded(t *testing.T) {
	for _, c := range []struct {
		region, area string
		want         bool
	}{
		{"CN-420106", "CN-420100", true}, {"CN-420106", "CN-420000", true}, {"CN-420106", "CN-42", true}, {"CN-42", "CN-420100", false},
		{"CN-420200", "CN-420100", false}, {"CN-420106", "CN-420107", false}, {"KR-29", "KR", true}, {"KR-29", "KR-000000", false},
	} {
		if got := Within(c.region, c.area); got != c.want {
			t.Errorf("Within(%s, %s) = %v, want %v", c.region, c.area, got, c.want)
		}
	}
}
