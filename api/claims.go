package api

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tanpu/tanpu/flows/testimony"
	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/fault"
	"github.com/tanpu/tanpu/rules/ledger"
)

// takeClaims is POST /v1/claims. It does not go through huma, which would hold every event twice more.
// Nothing of a request is taken before all of it was read; once it was, each claim gets its own answer.
func (s *Server) takeClaims(w http.ResponseWriter, r *http.Request) {
	report, release, err := s.readReport(w, r)
	defer release()
	if err != nil {
		fail(w, err)
		return
	}
	var verdicts []claim.Verdict
	if len(report.claims) > 0 {
		// Claims that were taken are judged though their sender left, and keep their share of the budget until then.
		verdicts, err = s.judge(context.WithoutCancel(r.Context()), report)
		if r.Context().Err() != nil {
			err = problem(statusGone, "the client has gone")
		}
		if err != nil {
			fail(w, err)
			return
		}
	}
	s.Metrics.size.Observe(float64(len(report.claims)))
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(s.BodyTimeout))
	writeResults(w, r, report.claims, verdicts)
}

// statusGone is what logs and metrics have for a client that did not wait (nginx's 499).
const statusGone = 499

// A report is what a request says, and by whose word.
type report struct {
	from   sender
	claims []claim.Claim
	salt   [32]byte      // of the leaves
	leaves []ledger.Hash // whose root was signed, if anything was
}

// judge has the claims judged and, where they were signed, keeps the signature. Before that nobody hears of the verdicts.
func (s *Server) judge(ctx context.Context, r *report) ([]claim.Verdict, error) {
	verdicts, err := s.Intake.Submit(ctx, r.claims)
	if err != nil || r.from.signed == nil {
		return verdicts, err
	}
	err = s.testimonies.Keep(ctx, &testimony.Request{Partner: r.from.Partner, Signed: r.from.signed, Salt: r.salt, Claims: r.claims, Leaves: r.leaves, Verdicts: verdicts})
	if err != nil {
		p := problem(http.StatusServiceUnavailable, "the claims were judged, but your signature could not be kept: send them again, and you get their verdicts")
		p.cause = err
		return nil, p
	}
	return verdicts, nil
}

// readReport reads the claims of a request and holds them against who sent and what was signed. What it took of the
// budget is released in any case.
func (s *Server) readReport(w http.ResponseWriter, r *http.Request) (report *report, release func(), err error) {
	release = func() {}
	from, err := s.identify(r, Partner, Operator)
	if err != nil {
		return nil, release, err
	}
	f, err := formOf(r)
	if err != nil {
		return nil, release, err
	}
	b, err := s.readBody(w, r)
	release = b.release
	if err != nil {
		return nil, release, err
	}
	claims, err := decodeClaims(b.Bytes(), f, s.MaxClaims)
	if err != nil {
		return nil, release, err
	}
	rec := recordOf(r.Context())
	rec.claims, rec.partner = len(claims), from.Partner
	report, err = vouched(from, claims, r)
	return report, release, err
}

// vouched holds claims against who sent them and what was signed.
func vouched(from sender, claims []claim.Claim, r *http.Request) (*report, error) {
	if from.Role == Operator {
		return &report{from: from, claims: claims}, nil
	}
	for i := range claims {
		if claims[i].Partner != from.Partner {
			return nil, &EventError{Event: i, Pointer: "/source", Err: fault.New(fault.Forbidden, "your key is for the source %s", quote(from.Partner))}
		}
	}
	if from.signed == nil {
		return &report{from: from, claims: claims}, nil
	}
	salt, leaves, err := signedClaims(r, claims)
	return &report{from: from, claims: claims, salt: salt, leaves: leaves}, err
}

// An Event documents how a claim is sent; decodeClaims reads it.
type Event struct {
	SpecVersion string `json:"specversion" enum:"1.0"`
	Type        string `json:"type" enum:"tanpu.claim.v1"`
	Source      string `json:"source" maxLength:"64" doc:"You, the partner" example:"valleybike"`
	ID          string `json:"id" maxLength:"256" doc:"Your own id of the act. Sent again with the same content, it gets the first verdict; with other content it is refused" example:"ride-20260821-77"`
	Subject     string `json:"subject" maxLength:"256" doc:"The member, by the sub that the link gave you" example:"abqkf4x2m7hd93nzwt5c6uabcdaa"`
	ContentType string `json:"datacontenttype,omitempty" doc:"application/json, if you say it"`
	Time        string `json:"time,omitempty" format:"date-time" doc:"When you sent it; not used for deciding"`
	Data        Act    `json:"data"`
}

// An Act documents the data of such an event.
type Act struct {
	Scenario   string         `json:"scenario" maxLength:"64" doc:"The kind of act, as the programme names it" example:"shared-bike"`
	Start      string         `json:"start" format:"date-time" doc:"RFC 3339 with offset, to the microsecond" example:"2026-08-21T08:15:03+08:00"`
	End        string         `json:"end" format:"date-time" doc:"An act without length ends when it starts" example:"2026-08-21T08:27:41+08:00"`
	Quantities map[string]any `json:"quantities,omitempty" doc:"What was measured, by the names of the methodology's inputs: a number in the input's unit, or text with a unit such as \"2100 m\"; up to 16"`
	Evidence   string         `json:"evidence,omitempty" maxLength:"64" doc:"The grade of your evidence, as the methodology names it" example:"system"`
	Region     string         `json:"region,omitempty" maxLength:"64" doc:"Where it took place (GB/T 2260), if not just in the programme's region" example:"CN-420106"`
	Act        string         `json:"act,omitempty" maxLength:"256" doc:"For an act without length: a key that no other act has, such as a hash of the order"`
	Object     string         `json:"object,omitempty" maxLength:"256" doc:"The meter or car that it is about"`
	Commitment string         `json:"commitment,omitempty" pattern:"^[0-9a-fA-F]{64}$" doc:"SHA-256 of your raw record, to prove later what you held"`
}

// claimsOperation describes takeClaims; huma generates the schemas from the types.
func (s *Server) claimsOperation(schema func(any) *huma.Schema) *huma.Operation {
	event := schema(Event{})
	return &huma.Operation{
		Method: http.MethodPost, Path: "/v1/claims", OperationID: "post-claims", Tags: []string{"claims"},
		Summary: "Report acts",
		Description: "Send one event, an array of them or one a line, packed with gzip if you like. A request that cannot be read as a whole is " +
			"refused as a whole, with the event and the place in it. Otherwise every claim gets its verdict, in order: a claim that is refused is " +
			"no error of HTTP. A verdict of status retry says that this claim was not judged: send it again, with the same id. " +
			"The sentences are in Chinese or English, by Accept-Language. Partners sign the request, and with it the Merkle root of what their claims say; " +
			"only a sandbox takes their API keys instead.",
		Security:   by(Partner, Operator),
		Parameters: signedHeaders(),
		RequestBody: &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
			"application/cloudevents+json":       {Schema: event},
			"application/cloudevents-batch+json": {Schema: &huma.Schema{Type: huma.TypeArray, Items: event}},
			"application/x-ndjson":               {Schema: event},
		}},
		Responses: map[string]*huma.Response{
			"200": {Description: "A verdict for each claim, in order", Content: map[string]*huma.MediaType{"application/json": {Schema: schema(Results{})}}},
			"default": {Description: "Nothing was taken: 400 no CloudEvents, 401 not signed as it must be (see reason), 422 no claims, 403 another's source, 408 too slow, 413 too large, 415 another media type, " +
				"429 try again after Retry-After, 503 none could be judged",
				Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schema(Problem{})}}},
		},
	}
}
