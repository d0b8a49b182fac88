package record

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/tanpu/tanpu/rules/ledger"
)

// maxSums bounds the sums, and the ranges of days, that are kept of a log.
const maxSums = 1 << 18

// A Sum is what all totals of one programme, methodology and vintage come to.
type Sum struct {
	Programme string `json:"programme"`
	Method    string `json:"method"`
	Vintage   string `json:"vintage"`
	From      string `json:"from"` // the first local day that a total is of
	To        string `json:"to"`   // and the last
	Claims    int64  `json:"claims"`
	Reduction int64  `json:"reduction_mg"`
	Points    int64  `json:"points_thousandths"`
}

// Sums add up the totals of a log. No day may be counted twice.
type Sums struct {
	of   map[series]*summed
	kept int // sums and ranges
}

type series struct{ programme, method, vintage string }

type summed struct {
	claims, reduction, points int64
	days                      []days // in order, neither touching nor overlapping
}

// days are a range, both ends included, by their numbers since 1970.
type days struct{ from, to int64 }

const day = "2006-01-02"

// number is a day's; false for what is no day.
func number(text string) (int64, bool) {
	t, err := time.Parse(day, text)
	return t.Unix() / 86400, err == nil && t.Format(day) == text
}

// Add takes in one entry, and says what is wrong with it; "" when nothing is.
func (s *Sums) Add(t *Totals) string {
	from, ok1 := number(t.From)
	to, ok2 := number(t.To)
	if !ok1 || !ok2 || from > to {
		return fmt.Sprintf("totals %d are of no days: from %.20q to %.20q", t.Number, t.From, t.To)
	}
	if s.kept >= maxSums {
		return fmt.Sprintf("totals %d are not summed: there are too many programmes, methods, vintages and gaps between days", t.Number)
	}
	k := series{t.Programme, t.Method, t.Vintage}
	sum := s.of[k]
	if sum == nil {
		if s.of == nil {
			s.of = map[series]*summed{}
		}
		sum = &summed{}
		s.of[k] = sum
		s.kept++
	}
	if t.Claims < 0 {
		return fmt.Sprintf("totals %d are of %d claims", t.Number, t.Claims)
	}
	if !s.take(sum, days{from, to}) {
		return fmt.Sprintf("totals %d of programme %.100q, method %.100q, vintage %.20q count a day from %s to %s again", t.Number, t.Programme, t.Method, t.Vintage, t.From, t.To)
	}
	for _, add := range []struct {
		to *int64
		n  int64
	}{{&sum.claims, t.Claims}, {&sum.reduction, t.Reduction}, {&sum.points, t.Points}} {
		n, fits := ledger.Add(*add.to, add.n)
		if !fits {
			return fmt.Sprintf("totals %d make a sum too great to be true", t.Number)
		}
		*add.to = n
	}
	return ""
}

// take notes that days have been counted; false when one of them was before.
func (s *Sums) take(sum *summed, d days) bool {
	i, _ := slices.BinarySearchFunc(sum.days, d, func(a, b days) int { return cmp.Compare(a.to, b.from) })
	// Days before i end before d begins.
	if i < len(sum.days) && sum.days[i].from <= d.to {
		return false
	}
	after := i < len(sum.days) && sum.days[i].from == d.to+1
	before := i > 0 && sum.days[i-1].to == d.from-1
	switch {
	case before && after:
		sum.days[i-1].to = sum.days[i].to
		sum.days = slices.Delete(sum.days, i, i+1)
		s.kept--
	case before:
		sum.days[i-1].to = d.to
	case after:
		sum.days[i].from = d.from
	default:
		sum.days = slices.Insert(sum.days, i, d)
		s.kept++
	}
	return true
}

// All lists the sums, in order of programme, method and vintage.
func (s *Sums) All() []Sum {
	list := make([]Sum, 0, len(s.of))
	for k, sum := range s.of {
		one := Sum{Programme: k.programme, Method: k.method, Vintage: k.vintage, Claims: sum.claims, Reduction: sum.reduction, Points: sum.points}
		if n := len(sum.days); n > 0 {
			one.From = time.Unix(sum.days[0].from*86400, 0).UTC().Format(day)
			one.To = time.Unix(sum.days[n-1].to*86400, 0).UTC().Format(day)
		}
		list = append(list, one)
	}
	slices.SortFunc(list, func(a, b Sum) int {
		return cmp.Or(cmp.Compare(a.Programme, b.Programme), cmp.Compare(a.Method, b.Method), cmp.Compare(a.Vintage, b.Vintage))
	})
	return list
}
