package api

import (
	"context"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/go-json-experiment/json"

	"github.com/tanpu/tanpu/rules/claim"
	"github.com/tanpu/tanpu/rules/reason"
	"github.com/tanpu/tanpu/rules/signature"
)

// Version is of the API, not of the program: what is under /v1 only grows.
const Version = "1.0.0"

// maxDocument bounds the body of every request but POST /v1/claims.
const maxDocument = 64 << 10

// openAPI configures huma: JSON only, read strictly, with nothing that a page would load from elsewhere.
// Operations are added to the list in the order of the table.
func openAPI(operations *[]*huma.Operation) huma.Config {
	c := huma.DefaultConfig("Tanpu", Version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil
	c.Formats = map[string]huma.Format{"application/json": strictJSON, "json": strictJSON}
	c.RejectUnknownQueryParameters = true
	c.Transformers = []huma.Transformer{ours}
	c.OnAddOperation = append(c.OnAddOperation, func(_ *huma.OpenAPI, op *huma.Operation) { *operations = append(*operations, op) })
	c.Info.Description = "Partners report what members did; each claim gets a verdict with its reason, and what counts is credited to the " +
		"member's account. Errors are problem documents (RFC 9457)."
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		keyScheme: {Type: "http", Scheme: "bearer", Description: "An API key, beginning with tp_. Partners report and correct claims as their own source and end " +
			"their own links, in a sandbox; operators may do everything."},
		signatureScheme: {Type: "apiKey", In: "header", Name: signature.SignatureHeader, Description: "HTTP Message Signatures (RFC 9421) with Ed25519, " +
			"with Signature-Input: over @method, @authority, @path, @query where there is one, and tanpu-claims-root where claims are reported. " +
			"docs/partners.md has the recipe, and vectors to try it with."},
	}
	return c
}

// strictJSON refuses bodies that two readers could understand differently: names that stand twice, invalid UTF-8.
var strictJSON = huma.Format{
	Marshal:   huma.DefaultJSONFormat.Marshal,
	Unmarshal: func(data []byte, v any) error { return json.Unmarshal(data, v) },
}

// route registers an operation: a pattern as ServeMux has it, a summary, who may, and what carries it out.
func route[I, O any](api huma.API, pattern, summary string, who []map[string][]string, handle func(context.Context, *I) (*O, error)) {
	method, path, _ := strings.Cut(pattern, " ")
	op := huma.Operation{
		OperationID: strings.ToLower(method + strings.NewReplacer("/v1", "", "/", "-", "{", "", "}", "").Replace(path)),
		Method:      method, Path: path, Summary: summary, Security: who,
		Tags:         []string{strings.Split(path, "/")[2]},
		MaxBodyBytes: maxDocument,
		Responses:    map[string]*huma.Response{},
	}
	op.Responses["default"] = &huma.Response{Description: "A problem",
		Content: map[string]*huma.MediaType{"application/problem+json": {Schema: schemaOf(api, Problem{})}}}
	if method == http.MethodPost {
		op.DefaultStatus = http.StatusCreated
	}
	op.Responses[strconv.Itoa(successOf(op))] = &huma.Response{}
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := handle(ctx, in)
		if err != nil {
			p := problemOf(err)
			recordOf(ctx).keep(p)
			return nil, p
		}
		return out, nil
	})
}

func successOf(op huma.Operation) int {
	switch op.Method {
	case http.MethodPost:
		return http.StatusCreated
	case http.MethodDelete:
		return http.StatusNoContent
	}
	return http.StatusOK
}

// schemaOf puts a type's schema among the components and refers to it.
func schemaOf(api huma.API, v any) *huma.Schema {
	t := reflect.TypeOf(v)
	return api.OpenAPI().Components.Schemas.Schema(t, true, t.Name())
}

func unwrap(ctx huma.Context) (*http.Request, http.ResponseWriter) { return humago.Unwrap(ctx) }

// describe returns the OpenAPI document and the page that shows it, both as they will stay.
func describe(api huma.API, operations []*huma.Operation) (document, page http.Handler) {
	o := api.OpenAPI()
	refine(o.Components.Schemas.Map())
	for _, name := range []string{"ErrorModel", "ErrorDetail"} { // huma's form of problems, which is never sent
		delete(o.Components.Schemas.Map(), name)
	}
	text, err := o.MarshalJSON()
	if err != nil {
		panic(err)
	}
	document = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/vnd.oai.openapi+json;version=3.1")
		w.Write(text)
	})
	return document, docsPage(o, operations)
}

// refine says in the schemas what Go's types do not: the closed list of reasons, that events may have extension
// attributes, and what a quantity is.
func refine(schemas map[string]*huma.Schema) {
	codes := []any{reason.Retry}
	for _, c := range reason.All {
		codes = append(codes, c)
	}
	for of, s := range schemas {
		if of == "Problem" {
			continue
		}
		for name, property := range s.Properties {
			if (name == "reason" || name == "first") && property.MaxLength == nil { // else it is a text of the sender's
				property.Enum = codes
			}
		}
	}
	for _, why := range signature.Reasons {
		schemas["Problem"].Properties["reason"].Enum = append(schemas["Problem"].Properties["reason"].Enum, why)
	}
	schemas["Total"].Properties["reason"].Enum = append(codes, reason.Reversed)
	schemas["Event"].AdditionalProperties = true
	schemas["Act"].Properties["quantities"].AdditionalProperties = &huma.Schema{
		OneOf: []*huma.Schema{{Type: huma.TypeNumber}, {Type: huma.TypeString, MaxLength: new(claim.MaxQuantity)}},
	}
}

func style(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	io.WriteString(w, docsCSS)
}
