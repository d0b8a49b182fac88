package api

import (
	"context"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/rulebook"
)

// rulebook is what is in force now.
func (s *Server) rulebook(ctx context.Context) (*rulebook.Rulebook, error) {
	number, err := s.DB.Rulebook(ctx)
	if err != nil {
		return nil, err
	}
	return s.Intake.Judge.Book(ctx, number)
}

// Words are a text in both languages.
type Words struct {
	ZH string `json:"zh"`
	EN string `json:"en"`
}

func words(t methodology.Text) Words { return Words{t.ZH, t.EN} }

// Programmes lists what the platform runs.
type Programmes struct {
	Rulebook   int64       `json:"rulebook" doc:"The number of the rulebook in force"`
	Programmes []Programme `json:"programmes" nullable:"false"`
}

// A Programme is one scheme.
type Programme struct {
	ID        string     `json:"id" example:"demo-city"`
	Title     Words      `json:"title"`
	Region    string     `json:"region" doc:"GB/T 2260" example:"CN-420100"`
	Timezone  string     `json:"timezone" example:"Asia/Shanghai"`
	Operator  Words      `json:"operator"`
	Assigned  bool       `json:"assigned" doc:"With the member's consent a reduction passes to the applicant, for points"`
	Late      string     `json:"late" doc:"How long after its end an act may be reported" example:"720h0m0s"`
	Early     string     `json:"early" doc:"How far a partner's clock may be ahead" example:"5m0s"`
	Scenarios []Scenario `json:"scenarios" nullable:"false"`
}

// A Scenario is a kind of act that a programme credits.
type Scenario struct {
	ID          string   `json:"id" example:"shared-bike"`
	Methodology string   `json:"methodology" example:"DEMO-BIKE"`
	Partners    []string `json:"partners" nullable:"false"`
}

func (s *Server) programmes(ctx context.Context, _ *struct{}) (*struct{ Body Programmes }, error) {
	book, err := s.rulebook(ctx)
	if err != nil {
		return nil, err
	}
	list := Programmes{Rulebook: book.Number, Programmes: []Programme{}}
	for _, id := range slices.Sorted(maps.Keys(book.Programmes)) {
		list.Programmes = append(list.Programmes, programme(book.Programmes[id]))
	}
	return &struct{ Body Programmes }{list}, nil
}

func programme(p *rulebook.Programme) Programme {
	out := Programme{
		ID: p.ID, Title: words(p.Title), Region: p.Region, Timezone: p.Zone.String(), Operator: words(p.Operator.Name),
		Assigned: p.Assigned, Late: p.Late.String(), Early: p.Early.String(), Scenarios: []Scenario{},
	}
	for _, id := range slices.Sorted(maps.Keys(p.Scenarios)) {
		sc := p.Scenarios[id]
		out.Scenarios = append(out.Scenarios, Scenario{id, sc.Methodology, append([]string{}, sc.Partners...)})
	}
	return out
}

// Methodologies lists the rules by which is computed.
type Methodologies struct {
	Rulebook      int64         `json:"rulebook" doc:"The number of the rulebook in force"`
	Methodologies []Methodology `json:"methodologies" nullable:"false"`
}

// A Methodology is one version of one text.
type Methodology struct {
	Name     string  `json:"name" example:"DEMO-BIKE@1"`
	ID       string  `json:"id" example:"DEMO-BIKE"`
	Version  int     `json:"version"`
	Title    Words   `json:"title"`
	BasedOn  *Words  `json:"based_on,omitempty"`
	Domain   string  `json:"domain" enum:"life,public-good,consumption,tourism,travel"`
	Activity string  `json:"activity"`
	Kind     string  `json:"kind" enum:"reduction,removal"`
	Use      string  `json:"use" enum:"points,unit" doc:"Only what may become a unit can be sold"`
	Region   string  `json:"region"`
	Timezone string  `json:"timezone"`
	From     string  `json:"from" format:"date"`
	To       string  `json:"to,omitempty" format:"date" doc:"Exclusive; none while it is open"`
	Group    string  `json:"group,omitempty" doc:"Acts of one group count once for a person"`
	Inputs   []Input `json:"inputs" nullable:"false" doc:"The quantities of a claim"`
	Evidence []Grade `json:"evidence" nullable:"false"`
	Hash     string  `json:"sha256" doc:"Of the text"`
}

// An Input is a quantity that a claim reports.
type Input struct {
	Name  string `json:"name" example:"distance"`
	Unit  string `json:"unit" example:"km"`
	Title Words  `json:"title"`
}

// A Grade is a kind of evidence.
type Grade struct {
	Name   string `json:"name" example:"system"`
	Weight string `json:"weight" doc:"The share of the result that is credited" example:"1"`
}

func (s *Server) methodologies(ctx context.Context, _ *struct{}) (*struct{ Body Methodologies }, error) {
	book, err := s.rulebook(ctx)
	if err != nil {
		return nil, err
	}
	list := Methodologies{Rulebook: book.Number, Methodologies: []Methodology{}}
	for _, m := range book.Methods() {
		list.Methodologies = append(list.Methodologies, method(m))
	}
	return &struct{ Body Methodologies }{list}, nil
}

func method(m *methodology.Methodology) Methodology {
	out := Methodology{
		Name: m.Name(), ID: m.ID, Version: m.Version, Title: words(m.Title), Domain: m.Domain, Activity: m.Activity, Kind: m.Kind,
		Use: m.Use, Region: m.Region, Timezone: m.Zone.String(), From: m.From.Format(time.DateOnly), Group: m.Group,
		Inputs: []Input{}, Evidence: []Grade{}, Hash: hex.EncodeToString(m.Hash[:]),
	}
	if m.BasedOn != (methodology.Text{}) {
		w := words(m.BasedOn)
		out.BasedOn = &w
	}
	if !m.To.IsZero() {
		out.To = m.To.Format(time.DateOnly)
	}
	for _, in := range m.Inputs {
		out.Inputs = append(out.Inputs, Input{in.Name, in.Unit.Name, words(in.Title)})
	}
	for _, name := range slices.Sorted(maps.Keys(m.Evidence)) {
		out.Evidence = append(out.Evidence, Grade{name, m.Evidence[name].Weight.String()})
	}
	return out
}
