package simulate

import (
	"embed"
	"fmt"
	"strings"
	"time"

	"github.com/tanpu/tanpu/flows/publish"
)

//go:embed documents
var documents embed.FS

// files are the documents that a world begins with.
func files() ([]publish.File, error) {
	names, err := documents.ReadDir("documents")
	if err != nil {
		return nil, err
	}
	list := []publish.File{firstTerms.programme()}
	for _, n := range names {
		text, err := documents.ReadFile("documents/" + n.Name())
		if err != nil {
			return nil, err
		}
		list = append(list, publish.File{Name: n.Name(), Text: text})
	}
	return list, nil
}

var firstTerms = terms{Late: 72}

const city = `id: city
title: a city
region: CN-42
timezone: Asia/Shanghai
operator: {name: a city, mode: platform}
applicant: {name: a company}
ownership: assigned
open: {from: %s}
accepts: {late: %dh, early: 5m}
points: {name: points, per: 10 gCO2e, expires: end-of-next-year}
scenarios:
  bike: {methodology: BIKE, partners: [rides, bank]}
  walk: {methodology: WALK, partners: [rides, bank]}
  steps: {methodology: STEPS, partners: [rides, bank]}
  order: {methodology: ORDER, partners: [rides, bank]}
  share: {methodology: SHARE, partners: [rides, bank]}
  ferry: {methodology: FERRY, partners: [rides, bank]}
`

// programme is the city's document, by which it takes acts on these terms.
func (t terms) programme() publish.File {
	from := "2026-03-01"
	if t.Early {
		from = "2026-02-01"
	}
	text := fmt.Sprintf(city, from, t.Late)
	if t.Swim {
		text += "  swim: {methodology: BIKE, partners: [rides, bank]}\n"
	}
	return publish.File{Name: "city.programme.yaml", Text: []byte(text)}
}

// bike2 is the second version of a methodology, in force from a local day.
func bike2(from time.Time) (publish.File, error) {
	text, err := documents.ReadFile("documents/bike.methodology.yaml")
	s := strings.NewReplacer("version: 1", "version: 2", "2020-01-01", from.Format(time.DateOnly), "value: 100", "value: 150").Replace(string(text))
	return publish.File{Name: "bike-2.methodology.yaml", Text: []byte(s)}, err
}
