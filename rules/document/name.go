package document

import "regexp"

var (
	regionForm = regexp.MustCompile(`^[A-Z]{2}(-[A-Z0-9]{1,12})?$`)
	wordForm   = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)
)

// maxWord is how long a name may be, in bytes.
const maxWord = 64

// Region reads a region's code after GB/T 2260 or ISO 3166: CN, CN-42, CN-420100.
func (v Value) Region() (string, bool) {
	s, ok := v.String()
	if ok && !regionForm.MatchString(s) {
		v.Errorf("%q is not a region's code such as CN, CN-42 or CN-420100", s)
		return "", false
	}
	return s, ok
}

// Word reads a name: lower-case letters, digits and hyphens.
func (v Value) Word() (string, bool) {
	s, ok := v.String()
	return s, ok && v.CheckWord(s)
}

// CheckWord reports a name, standing at v, that is not written as names are.
func (v Value) CheckWord(name string) bool {
	if wordForm.MatchString(name) && len(name) <= maxWord {
		return true
	}
	v.Errorf("%q: such a name is lower-case letters, digits and hyphens, and at most %d long", name, maxWord)
	return false
}
