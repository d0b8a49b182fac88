package claim

import (
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/tanpu/tanpu/rules/methodology"
	"github.com/tanpu/tanpu/rules/quantity"
	"github.com/tanpu/tanpu/rules/reason"
)

// reduction is the name under which caps count what is credited.
const reduction = "reduction"

// A weighing holds one claim's result against the caps of its methodology.
type weighing struct {
	*matter
	known   *Known
	inputs  methodology.Inputs // as reported, or cut to what is left
	value   int64              // the result, mg
	worth   int64              // what is to be credited for it, mg
	cut     bool               // an input was cut
	trimmed reason.Operands    // the cap that cut it, if any
	periods []Period           // those in which it counts
}

// hold applies the caps of the reduction, or else the others, in the order of the methodology. Where a cap
// says trim, what exceeds it is cut off; elsewhere, and when nothing is left, the claim is refused.
func (w *weighing) hold(ofReduction bool) (capped bool, limit reason.Operands) {
	for i := range w.method.Caps {
		c := &w.method.Caps[i]
		used := w.known.Usage[Period{w.link.Account, w.method.ID, w.local(c.Per)}]
		if (c.Of == reduction) != ofReduction || w.fits(c, used) {
			continue
		}
		ops := reason.Operands{Field: c.Of, Limit: c.MaxText, Until: w.until(c.Per)}
		if c.Of == "" {
			ops.Field, ops.Limit = "claims", strconv.FormatInt(c.Claims, 10)
		}
		left, ok := c.Max.Sub(used.amount(c.Of))
		if !c.Trim || !ok || left.Sign() <= 0 {
			return true, ops
		}
		w.trimmed = ops
		if c.Of == reduction {
			w.worth, _ = left.Floor()
			continue
		}
		w.inputs, w.cut = slices.Clone(w.inputs), true
		w.inputs[c.Input] = left
	}
	return false, reason.Operands{}
}

// quantify computes by the inputs that the caps left. Cutting an input must not raise the result, as it
// could where the input counts against it: then the result by the inputs as reported stands.
func (w *weighing) quantify(given *methodology.Given) (methodology.Quantified, reason.Code, reason.Operands) {
	q, code, operands := w.method.Quantify(given, w.matter.inputs)
	if !w.cut || code != reason.OK {
		return q, code, operands
	}
	if cut, code, operands := w.method.Quantify(given, w.inputs); code != reason.OK || cut.Milligrams < q.Milligrams {
		return cut, code, operands
	}
	return q, code, operands
}

// fits reports whether the claim stays within a cap, given what was used.
func (w *weighing) fits(c *methodology.Cap, used Usage) bool {
	if c.Of == "" {
		return used.Claims+1 <= c.Claims
	}
	adds := w.adds(c)
	if adds.Sign() <= 0 {
		return true
	}
	sum, ok := used.amount(c.Of).Add(adds)
	return ok && sum.Cmp(c.Max) <= 0
}

// adds is what the claim adds to what a cap counts besides claims.
func (w *weighing) adds(c *methodology.Cap) quantity.Rat {
	if c.Of == reduction {
		return quantity.Int(w.worth)
	}
	return w.inputs[c.Input]
}

// use counts the claim in its periods.
func (w *weighing) use(o *Outcome) {
	for _, p := range w.periods {
		before := w.known.Usage[p]
		after := Usage{Stored: before.Stored, Claims: before.Claims + 1, Amounts: slices.Clone(before.Amounts)}
		for _, c := range w.counting(p.Name) {
			after.add(c.Of, w.adds(c))
		}
		w.known.Usage[p] = after
		o.Changed.Usage[p] = after
	}
}

// counting lists the caps of a period that count more than claims, one for each thing counted.
func (w *weighing) counting(period string) []*methodology.Cap {
	var out []*methodology.Cap
	for i := range w.method.Caps {
		c := &w.method.Caps[i]
		same := func(o *methodology.Cap) bool { return o.Of == c.Of }
		if c.Of != "" && w.local(c.Per) == period && !slices.ContainsFunc(out, same) {
			out = append(out, c)
		}
	}
	return out
}

// used says what the caps' periods held before the claim, for its leaf.
func (w *weighing) used() []methodology.Use {
	out := make([]methodology.Use, 0, len(w.periods))
	for _, p := range w.periods {
		out = append(out, methodology.Use{What: "usage " + p.Name, Value: w.known.Usage[p].String()})
	}
	return out
}

// until is when a cap's period ends and counting resumes, in the methodology's time zone.
func (m *matter) until(per string) string {
	y, mon, day := time.UnixMicro(m.claim.Start).In(m.method.Zone).Date()
	switch per {
	case "day":
		day++
	case "month":
		mon, day = mon+1, 1
	default:
		y, mon, day = y+1, 1, 1
	}
	return time.Date(y, mon, day, 0, 0, 0, 0, m.method.Zone).Format(time.RFC3339)
}

// amount is what was used of an input, or of the reduction.
func (u Usage) amount(of string) quantity.Rat {
	i, ok := u.find(of)
	if !ok {
		return quantity.Rat{}
	}
	return u.Amounts[i].Value
}

// add counts more of an input, or of the reduction. What another version of the methodology counted stays.
func (u *Usage) add(of string, more quantity.Rat) {
	i, ok := u.find(of)
	if !ok {
		u.Amounts = slices.Insert(u.Amounts, i, Amount{Of: of})
	}
	u.Amounts[i].Value, _ = u.Amounts[i].Value.Add(more)
}

func (u Usage) find(of string) (int, bool) {
	return sort.Find(len(u.Amounts), func(i int) int { return strings.Compare(of, u.Amounts[i].Of) })
}

// String is the canonical text of a usage: the number of claims, then name=amount in order of name.
func (u Usage) String() string {
	b := strconv.AppendInt(nil, u.Claims, 10)
	for _, a := range u.Amounts {
		b = append(append(append(append(b, ' '), a.Of...), '='), a.Value.String()...)
	}
	return string(b)
}

// ParseUsage reads what String wrote.
func ParseUsage(s string) (Usage, bool) {
	words := strings.Split(s, " ")
	n, err := strconv.ParseInt(words[0], 10, 64)
	u := Usage{Claims: n}
	for _, word := range words[1:] {
		of, text, _ := strings.Cut(word, "=")
		v, verr := quantity.ParseRat(text)
		if verr != nil {
			return Usage{}, false
		}
		u.Amounts = append(u.Amounts, Amount{of, v})
	}
	return u, err == nil
}
