package rulebook

import (
	"fmt"
	"time"

	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/quantity"
)

// A Programme is one scheme run on the platform.
type Programme struct {
	ID        string
	Title     methodology.Text
	Region    string
	Zone      *time.Location
	Operator  Party
	Mode      string // who runs it: government, enterprise or platform
	Applicant Party  // to whom title passes when ownership is assigned
	Assigned  bool   // with the member's consent a reduction passes to the applicant, for points
	Late      time.Duration
	Early     time.Duration
	From, To  time.Time // when it is open for acts; zero for always, To exclusive
	Points    *Points   // nil when it gives none
	Erasure   Erasure
	Scenarios map[string]Scenario
}

// Erasure says what becomes of what a member holds whose account is erased. The zero value is the rule of a programme
// that states none.
type Erasure struct {
	VoidPoints     bool // points are taken back, as if they had not been given; otherwise they run out at once
	VoidReductions bool // reductions that the member holds are taken back; otherwise they are retired: nobody's, and never sold
	Retention      int  // months for which what is in a lot is kept, restricted and without its tie to the person; 0 is not stated
}

// A Party is an organisation.
type Party struct{ Name methodology.Text }

// A Scenario is a kind of act that a programme credits.
type Scenario struct {
	Methodology string
	Partners    []string
}

// Points says what members get for reductions whose title passes to the applicant.
type Points struct {
	Name    methodology.Text
	Per     quantity.Rat // mg CO2e a point
	Expires string       // end-of-year, end-of-next-year, or "N months"
	months  int          // for N months; 0 otherwise

	zone *time.Location
}

// Open reports whether the programme takes acts that began at an instant (µs UTC).
func (p *Programme) Open(at int64) bool {
	return (p.From.IsZero() || p.From.UnixMicro() <= at) && (p.To.IsZero() || at < p.To.UnixMicro())
}

// Day is the programme's local day of an instant, 2026-08-21.
func (p *Programme) Day(at int64) string {
	return time.UnixMicro(at).In(p.Zone).Format(time.DateOnly)
}

// For is how many thousandths of a point a reduction of mg milligrams earns, rounded down; a debit earns none.
func (p *Points) For(mg int64) int64 {
	if mg <= 0 {
		return 0
	}
	thousandths, ok := quantity.Int(mg).Mul(quantity.Int(1000))
	if !ok {
		return 0
	}
	if thousandths, ok = thousandths.Quo(p.Per); !ok {
		return 0
	}
	n, _ := thousandths.Floor()
	return n
}

// Expiry is the last month, such as 2027-12, in which points earned at an instant can be used.
func (p *Points) Expiry(at int64) string {
	t := time.UnixMicro(at).In(p.zone)
	switch {
	case p.months > 0:
		return time.Date(t.Year(), t.Month()+time.Month(p.months), 1, 0, 0, 0, 0, p.zone).Format("2006-01")
	case p.Expires == "end-of-next-year":
		return fmt.Sprintf("%04d-12", t.Year()+1)
	}
	return fmt.Sprintf("%04d-12", t.Year())
}
