package api

import (
	"context"
	"time"

	"github.com/tanpu/tanpu/flows/link"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/store"
)

// A LinkRequest is a member's consent, as the operator who asked for it passes it on.
type LinkRequest struct {
	Account   string    `json:"account,omitempty" maxLength:"40" doc:"The member's account; without it one is opened" example:"a3-17"`
	Programme string    `json:"programme" minLength:"1" maxLength:"64" example:"demo-city"`
	Partner   string    `json:"partner" minLength:"1" maxLength:"64" example:"valleybike"`
	Scenarios []string  `json:"scenarios,omitempty" maxItems:"50" doc:"Those consented to; without it all of the programme's"`
	Purposes  []string  `json:"purposes" nullable:"false" maxItems:"3" doc:"credit: count my acts; assign: pass title of my reductions to the applicant, for points; statistics: count me in published figures. None is valid, and then nothing is credited"`
	Since     time.Time `json:"since,omitzero" doc:"Acts from then on; without it, from now"`
	Objects   []string  `json:"objects,omitempty" maxItems:"20" doc:"Meters or cars that claims may name; each belongs to one account"`
}

// A Link is a granted one.
type Link struct {
	Sub     string `json:"sub" doc:"The pseudonym by which the partner names the member, and only this partner does"`
	Account string `json:"account" doc:"Not for the partner"`
}

func (s *Server) grantLink(ctx context.Context, in *struct {
	Key  string `header:"Idempotency-Key" maxLength:"255" doc:"Of your choosing, one for each consent: the same request under the same key, sent again, is answered as it was first, and opens no second account"`
	Body LinkRequest
}) (*struct{ Body Link }, error) {
	b := &in.Body
	consent := link.Consent{
		Programme: b.Programme, Partner: b.Partner, Scenarios: b.Scenarios, Purposes: b.Purposes, Since: b.Since, Objects: b.Objects, Key: in.Key,
	}
	if b.Account != "" {
		id, ok := store.ParseAccountID(b.Account)
		if !ok {
			return nil, fault.New(fault.NotFound, "there is no account %s", quote(b.Account))
		}
		consent.Account = id
	}
	book, err := s.rulebook(ctx)
	if err != nil {
		return nil, err
	}
	granted, err := link.Grant(ctx, s.DB, book, consent, time.Now())
	if err != nil {
		return nil, err
	}
	return &struct{ Body Link }{Link{granted.Sub, granted.Account.String()}}, nil
}

func (s *Server) revokeLink(ctx context.Context, in *struct {
	Sub string `path:"sub" maxLength:"256"`
}) (*struct{}, error) {
	return nil, link.Revoke(ctx, s.DB, in.Sub, caller(ctx).Partner, time.Now())
}
