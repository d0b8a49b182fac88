package trial

import (
	"fmt"
	"math"
	"time"

	"github.com/tanpu/tanpu/flows/restate"
	"github.com/tanpu/tanpu/web/figure"
)

// A chart has two bars a month. Only shapes are drawn in SVG, which stretches to whatever width there is; what is
// written stands beside it, so that it keeps its size. All places are percentages.
type chart struct {
	Label    string // says it all to those who do not see it
	Old, New string // what the bars are
	Bars     []rect
	Ticks    []tick // up the axis
	Months   []tick // along it
}

type rect struct {
	Class      string
	X, Y, W, H string
}

type tick struct {
	At   string
	Text string
	Zero bool
}

// Months along the axis are named so many at most, lest they run into each other.
const namedMonths = 8

func newChart(w words, r *restate.Report, u figure.Unit) *chart {
	c := &chart{Old: w.say("已记录", "Recorded"), New: w.say("试算", "Tried"),
		Label: w.sayf("各月减排量，已记录与试算，%s CO₂e；数值见下表", "Reductions by month, recorded and tried, %s CO₂e; the table below has the figures", u.Name)}
	low, high := int64(0), int64(0)
	for i := range r.Months {
		m := &r.Months[i]
		low, high = min(low, m.Old, m.New), max(high, m.Old, m.New)
	}
	step := niceStep(low, high)
	bottom, top := -ceil(-low, step)*step, ceil(high, step)*step
	if top == bottom {
		top = bottom + step
	}
	y := func(mg int64) float64 { return 100 * float64(top-mg) / float64(top-bottom) }
	for at := bottom; at <= top; at += step {
		c.Ticks = append(c.Ticks, tick{At: at3(y(at)), Text: u.Plain(at), Zero: at == 0})
	}
	months := withoutGaps(r.Months)
	slot := 100 / float64(len(months))
	every := (len(months) + namedMonths - 1) / namedMonths
	end := w.unfinished(r)
	for i := range months {
		m := &months[i]
		for k, mg := range []int64{m.Old, m.New} {
			from, to := y(max(mg, 0)), y(min(mg, 0))
			c.Bars = append(c.Bars, rect{[]string{"was", "now"}[k], at3(slot * (float64(i) + .14 + .37*float64(k))), at3(from), at3(slot * .35), at3(to - from)})
		}
		switch last := i == len(months)-1; {
		case last && end != "":
			c.Months = append(c.Months, tick{At: at3(slot * (float64(i) + .5)), Text: m.Month + end})
		case i%every == 0 && (end == "" || i+every < len(months)):
			c.Months = append(c.Months, tick{At: at3(slot * (float64(i) + .5)), Text: m.Month})
		}
	}
	return c
}

// most months that an axis has room for; beyond that, those without any claims are left out.
const mostMonths = 240

// withoutGaps puts months in between in which no act began, so that the axis is one of time.
func withoutGaps(months []restate.Month) []restate.Month {
	first, err := time.Parse("2006-01", months[0].Month)
	if err != nil {
		return months
	}
	var all []restate.Month
	for i := 0; i < len(months) && len(all) < mostMonths; {
		name := first.AddDate(0, len(all), 0).Format("2006-01")
		if months[i].Month != name {
			all = append(all, restate.Month{Month: name})
			continue
		}
		all = append(all, months[i])
		i++
	}
	if len(all) == mostMonths {
		return months
	}
	return all
}

// unfinished says that the last month was not over when the last claim was judged; "" where it was.
func (w words) unfinished(r *restate.Report) string {
	at, ok := last(r)
	if !ok || len(r.Months) == 0 || r.Months[len(r.Months)-1].Month != at.Format("2006-01") {
		return ""
	}
	return w.sayf("，截至 %d日", ", to the %d.", at.Day())
}

// niceStep parts an axis into some four round steps.
func niceStep(low, high int64) int64 {
	rough := float64(high-low) / 4
	if rough < 1 {
		return 1
	}
	ten := math.Pow(10, math.Floor(math.Log10(rough)))
	for _, n := range []float64{1, 2, 5} {
		if rough <= n*ten {
			return int64(n * ten)
		}
	}
	return int64(10 * ten)
}

// ceil divides upward what is not below zero.
func ceil(n, step int64) int64 { return (n + step - 1) / step }

func at3(x float64) string { return fmt.Sprintf("%.3f", x) }
