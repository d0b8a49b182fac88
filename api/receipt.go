package api

import (
	"context"

	"github.com/tanpu/tanpu/flows/receipt"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
)

// receiptOutput is the file, byte for byte as it can be checked.
type receiptOutput struct {
	ContentType string `header:"Content-Type"`
	Body        []byte
}

// receipt is GET /v1/claims/{ref}/receipt. An operator gets it for the member; a partner gets that of its own claims, without
// what only the member may see.
func (s *Server) receipt(ctx context.Context, in *struct {
	Ref string `path:"ref" maxLength:"60" example:"3.120.5" doc:"As the verdict gave it"`
}) (*receiptOutput, error) {
	ref, ok := claim.ParseRef(in.Ref)
	if !ok {
		return nil, fault.New(fault.NotFound, "there is no claim %s", quote(in.Ref))
	}
	r, err := receipt.Make(ctx, s.DB, ref, caller(ctx).Partner, s.Witnesses)
	if err != nil {
		return nil, err
	}
	return &receiptOutput{"application/json", r.Encode()}, nil
}
