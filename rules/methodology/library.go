package methodology

import (
	"fmt"
	"maps"
	"slices"
)

// A Library is what methodologies compile against.
type Library struct {
	Groups  map[string]Group
	Factors Factors
}

// AddGroups adds groups; one whose name is taken is an error, and then none is added.
func (lib *Library) AddGroups(groups []Group) error {
	for _, g := range groups {
		if _, taken := lib.Groups[g.Name]; taken {
			return fmt.Errorf("group %q is already defined by another document", g.Name)
		}
	}
	if lib.Groups == nil {
		lib.Groups = map[string]Group{}
	}
	for _, g := range groups {
		lib.Groups[g.Name] = g
	}
	return nil
}

// AddFactors adds factors; one whose name is taken is an error, and then none is added.
func (lib *Library) AddFactors(factors Factors) error {
	for name := range factors {
		if _, taken := lib.Factors[name]; taken {
			return fmt.Errorf("factor %q is already defined by another document", name)
		}
	}
	if lib.Factors == nil {
		lib.Factors = Factors{}
	}
	maps.Copy(lib.Factors, factors)
	return nil
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
