package api

import (
	"context"
	"time"

	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
)

// maxDays bounds what one request sums.
const maxDays = 400

// Totals are sums by the programmes' local days on which claims were judged.
type Totals struct {
	From   string  `json:"from" format:"date"`
	To     string  `json:"to" format:"date" doc:"Included"`
	Totals []Total `json:"totals" nullable:"false"`
}

// A Total sums the claims of one day with one methodology, vintage and reason.
type Total struct {
	Programme string      `json:"programme"`
	Day       string      `json:"day" format:"date"`
	Method    string      `json:"method,omitempty"`
	Vintage   string      `json:"vintage,omitempty"`
	Reason    reason.Code `json:"reason" doc:"Or reversed, on the day of the correction: claims that had been accepted and whose credit was taken back, in negative numbers"`
	Claims    int64       `json:"claims"`
	Mg        int64       `json:"reduction_mg"`
	Points    int64       `json:"points_thousandths"`
}

func (s *Server) totals(ctx context.Context, in *struct {
	Programme string `query:"programme" maxLength:"64" doc:"One programme; all if not given"`
	From      string `query:"from" format:"date" doc:"The first day; 30 days before the last if not given" example:"2026-08-01"`
	To        string `query:"to" format:"date" doc:"The last day; today (UTC) if not given" example:"2026-08-31"`
}) (*struct{ Body Totals }, error) {
	from, to, err := days(in.From, in.To, time.Now().UTC())
	if err != nil {
		return nil, err
	}
	sums, err := s.DB.Totals(ctx, in.Programme, from, to)
	if err != nil {
		return nil, err
	}
	t := Totals{From: from, To: to, Totals: []Total{}}
	for _, d := range sums {
		t.Totals = append(t.Totals, Total{d.Programme, d.Day, d.Method, d.Vintage, d.Reason, d.Claims, d.Milligrams, d.Points})
	}
	return &struct{ Body Totals }{t}, nil
}

// days fills in and checks a range of days.
func days(from, to string, now time.Time) (first, last string, err error) {
	end := now
	if to != "" {
		if end, err = time.Parse(time.DateOnly, to); err != nil {
			return "", "", fault.New(fault.Invalid, "to is no day: want one such as 2026-08-31")
		}
	}
	begin := end.AddDate(0, 0, -30)
	if from != "" {
		if begin, err = time.Parse(time.DateOnly, from); err != nil {
			return "", "", fault.New(fault.Invalid, "from is no day: want one such as 2026-08-01")
		}
	}
	first, last = begin.Format(time.DateOnly), end.Format(time.DateOnly)
	if last < first || end.Sub(begin) > maxDays*24*time.Hour {
		return "", "", fault.New(fault.Invalid, "from %s to %s is no range of 1 to %d days", first, last, maxDays)
	}
	return first, last, nil
}
