package methodology

import "errors"

// Explain writes the working of a claim line by line.
func (m *Methodology) Explain(g Given, lang string) (string, error) {
	return "", errors.New("not yet")
}
