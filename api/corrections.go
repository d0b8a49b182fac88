package api

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/tanpu/tanpu/flows/correct"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/reason"
)

// A CorrectionRequest retracts a claim, or has another one take its place.
type CorrectionRequest struct {
	Subject    string          `json:"subject" minLength:"1" maxLength:"256" doc:"The member, by the sub that the link gave the partner" example:"abqkf4x2m7hd93nzwt5c6uabcdaa"`
	Source     string          `json:"source,omitempty" maxLength:"64" doc:"For an operator: the partner whose claim it is" example:"valleybike"`
	Retracts   string          `json:"retracts,omitempty" maxLength:"256" doc:"The id of a claim that is taken back" example:"ride-20260821-77"`
	Supersedes string          `json:"supersedes,omitempty" maxLength:"256" doc:"Or that of one in whose place the event is judged" example:"ride-20260821-77"`
	Event      json.RawMessage `json:"event,omitempty" doc:"With supersedes: an event as POST /v1/claims takes it, with an id of its own"`
	Reason     string          `json:"reason,omitempty" maxLength:"1000" doc:"For people; a retraction needs one. It goes into the log as part of a salted hash" example:"the bike stood still"`
}

// A Corrected answer says what a correction changed.
type Corrected struct {
	Correction  string     `json:"correction,omitempty" doc:"The batch that it is; none when nothing changed" example:"3.121"`
	At          *time.Time `json:"at,omitempty"`
	Account     string     `json:"account,omitempty" doc:"For an operator"`
	Reversed    []Undone   `json:"reversed" nullable:"false" doc:"What was asked for"`
	JudgedAgain []Undone   `json:"judged_again" nullable:"false" doc:"What was judged again because of it and came out otherwise: claims that had lost to it, and such as were computed with it. A partner is told of its own"`
}

// Undone is a claim that was reversed, and what stands in its place.
type Undone struct {
	Source     string  `json:"source"`
	ID         string  `json:"id" doc:"The partner's own"`
	Ref        string  `json:"ref" example:"3.120.5"`
	Reversal   string  `json:"reversal" doc:"Where its reversal is recorded" example:"3.121.0"`
	Why        string  `json:"why" enum:"retracted,replaced,rejudged,restated"`
	Mg         int64   `json:"reduction_mg" doc:"Taken back: not above zero, unless a debit was"`
	Points     int64   `json:"points_thousandths"`
	OwedMg     int64   `json:"liability_mg" doc:"As much of that as had gone into a lot: the partner owes it"`
	OwedPoints int64   `json:"liability_thousandths" doc:"As many of the points as were spent: the partner owes them"`
	Next       *Result `json:"next,omitempty" doc:"The verdict that stands in its place"`
}

func (s *Server) correctClaim(ctx context.Context, in *struct {
	Language string `header:"Accept-Language" doc:"For sentences: zh or en"`
	Body     CorrectionRequest
}) (*struct{ Body Corrected }, error) {
	b, key := &in.Body, caller(ctx)
	r := correct.Request{Subject: b.Subject, Partner: key.Partner, By: key.Partner, Reason: b.Reason}
	if key.Role == Operator {
		r.Partner, r.By = b.Source, claim.Operator
	}
	switch {
	case (b.Retracts == "") == (b.Supersedes == "") || (b.Supersedes == "") != (len(b.Event) == 0):
		return nil, fault.New(fault.Unfit, "a correction retracts a claim, or supersedes one with an event")
	case key.Role == Operator && b.Source == "":
		return nil, fault.New(fault.Unfit, "say as source whose claim it is")
	case key.Role != Operator && b.Source != "" && b.Source != key.Partner:
		return nil, fault.New(fault.Forbidden, "your key is for the source %s", quote(key.Partner))
	case !clean(b.Reason):
		return nil, fault.New(fault.Invalid, "the reason holds control characters")
	case b.Retracts != "" && b.Reason == "":
		return nil, fault.New(fault.Unfit, "say the reason for which the claim is taken back")
	}
	now := time.Now().UnixMicro()
	var done *correct.Done
	var err error
	if r.ID = b.Retracts; r.ID != "" {
		done, err = s.desk.Retract(ctx, r, now)
	} else {
		r.ID = b.Supersedes
		var with claim.Claim
		if with, err = replacement(b, r.Partner); err == nil {
			done, err = s.desk.Replace(ctx, r, with, now)
		}
	}
	if err != nil {
		return nil, err
	}
	return &struct{ Body Corrected }{corrected(done, key, in.Language)}, nil
}

// replacement reads the event of a correction.
func replacement(b *CorrectionRequest, partner string) (claim.Claim, error) {
	claims, err := decodeClaims(b.Event, single, 1)
	if err != nil {
		return claim.Claim{}, err
	}
	switch c := claims[0]; {
	case c.Partner != partner:
		return c, fault.New(fault.Forbidden, "the event is of the source %s, and the claim of %s", quote(c.Partner), quote(partner))
	case c.Sub != b.Subject:
		return c, fault.New(fault.Unfit, "the event and the correction name different members")
	}
	return claims[0], nil
}

func corrected(done *correct.Done, key sender, accept string) Corrected {
	out := Corrected{Reversed: []Undone{}, JudgedAgain: []Undone{}}
	if key.Role == Operator {
		out.Account = done.Account.String()
	}
	if done.Batch == 0 {
		return out
	}
	at := instantOf(done.At)
	out.Correction, out.At = fmt.Sprintf("%d.%d", done.Account.Part, done.Batch), &at
	lang, _ := language(accept)
	for i := range done.Changes {
		c := &done.Changes[i]
		switch {
		case claim.Asked(c.Why, c.Was.Verdict.Reason):
			out.Reversed = append(out.Reversed, undone(c, lang))
		case key.Role == Operator || c.Was.Claim.Partner == key.Partner: // who else reported the act is nobody's business
			out.JudgedAgain = append(out.JudgedAgain, undone(c, lang))
		}
	}
	return out
}

func undone(c *correct.Change, lang reason.Lang) Undone {
	u := Undone{Source: c.Was.Claim.Partner, ID: c.Was.Claim.ID, Ref: c.Of.String(), Reversal: c.Ref.String(), Why: string(c.Why),
		Mg: -c.Milligrams, Points: -c.Points, OwedMg: c.OwedMilligrams, OwedPoints: c.OwedPoints}
	if c.Next == nil {
		return u
	}
	v := &c.Next.Verdict
	u.Next = &Result{ID: c.Next.Claim.ID, Status: status(v.Reason), Reason: v.Reason, Detail: claim.ForPartner(c.Next.Claim, v, lang),
		Method: v.Method, Mg: v.Milligrams, Points: v.Points, Ref: v.Ref.String()}
	if operands := forPartner(v.Operands); operands != (reason.Operands{}) {
		u.Next.Operands = &operands
	}
	return u
}

// A RejudgementRequest has refusals judged again that have proved curable.
type RejudgementRequest struct {
	Refs   []string `json:"refs" minItems:"1" maxItems:"1000" doc:"Recorded refusals with the reason unknown-methodology, scenario-off or programme-closed" example:"[\"3.120.5\"]"`
	Reason string   `json:"reason" minLength:"1" maxLength:"1000" doc:"For people, and for good" example:"the methodology was published a week late"`
}

// Rejudged says what judging again changed, account by account.
type Rejudged struct {
	Corrections []Corrected `json:"corrections" nullable:"false"`
	Unchanged   []string    `json:"unchanged" nullable:"false" doc:"The refusals that came out as they were, and stand"`
}

func (s *Server) rejudge(ctx context.Context, in *struct {
	Language string `header:"Accept-Language" doc:"For sentences: zh or en"`
	Body     RejudgementRequest
}) (*struct{ Body Rejudged }, error) {
	if !clean(in.Body.Reason) {
		return nil, fault.New(fault.Invalid, "the reason holds control characters")
	}
	var refs []claim.Ref
	for _, text := range in.Body.Refs {
		ref, ok := claim.ParseRef(text)
		if !ok {
			return nil, fault.New(fault.NotFound, "there is no claim %s", quote(text))
		}
		refs = append(refs, ref)
	}
	list, err := s.desk.Rejudge(ctx, refs, in.Body.Reason, time.Now().UnixMicro())
	if err != nil {
		return nil, err
	}
	out := Rejudged{Corrections: []Corrected{}, Unchanged: []string{}}
	changed := map[string]bool{}
	for _, done := range list {
		c := corrected(done, caller(ctx), in.Language)
		for _, u := range c.Reversed {
			changed[u.Ref] = true
		}
		out.Corrections = append(out.Corrections, c)
	}
	for _, ref := range in.Body.Refs {
		if !changed[ref] {
			out.Unchanged = append(out.Unchanged, ref)
		}
	}
	return &struct{ Body Rejudged }{out}, nil
}
