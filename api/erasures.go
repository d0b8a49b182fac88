package api

import (
	"context"
	"fmt"
	"time"
)

// An ErasureRequest has an account erased, for good.
type ErasureRequest struct {
	Account string `json:"account" minLength:"1" maxLength:"40" example:"a3-17"`
}

// An Erased account is one of which nothing is left but sums.
type Erased struct {
	Erasure string    `json:"erasure" doc:"Its entry in the log: partition and number" example:"3.7"`
	At      time.Time `json:"at"`
}

// erase is POST /v1/erasures. Sent again it is answered as it was first, and goes on where it broke off.
func (s *Server) erase(ctx context.Context, in *struct{ Body ErasureRequest }) (*struct{ Body Erased }, error) {
	id, err := accountID(in.Body.Account)
	if err != nil {
		return nil, err
	}
	e, err := s.erasures.Account(context.WithoutCancel(ctx), id, time.Now()) // who hangs up has asked for it all the same
	if err != nil {
		return nil, err
	}
	return &struct{ Body Erased }{Erased{fmt.Sprintf("%d.%d", e.Part, e.Number), instantOf(e.At)}}, nil
}
