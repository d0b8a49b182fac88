package api

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/tanpu/tanpu/rules/reason"
)

//go:embed docs.html
var docsHTML string

//go:embed docs.css
var docsCSS string

var docsTemplate = template.Must(template.New("docs").Parse(docsHTML))

// docs is what the page shows: the OpenAPI document, and the reasons in words.
type docs struct {
	Title, Version, Description, KeyUse string
	Operations                          []docsOperation
	Schemas                             []docsSchema
	Reasons                             []docsReason
}

type docsOperation struct {
	ID, Method, Path, Summary, Description string
	Who                                    string
	Parameters                             []docsField
	Takes, Gives                           []docsContent
}

type docsContent struct{ Status, Description, Media, Type, Ref string }

type docsSchema struct {
	Name, Description string
	Fields            []docsField
}

type docsField struct {
	Name, In, Type, Ref, Doc, Example string
	Required                          bool
}

type docsReason struct {
	Code   reason.Code
	Kind   reason.Kind
	ZH, EN string
}

// docsPage renders the page once. It needs nothing from elsewhere, no script and no network.
func docsPage(o *huma.OpenAPI, operations []*huma.Operation) http.Handler {
	d := docs{Title: o.Info.Title, Version: o.Info.Version, Description: o.Info.Description, KeyUse: o.Components.SecuritySchemes[keyScheme].Description}
	for _, op := range operations {
		d.Operations = append(d.Operations, docsOperationOf(op))
	}
	schemas := o.Components.Schemas.Map()
	for _, name := range slices.Sorted(maps.Keys(schemas)) {
		d.Schemas = append(d.Schemas, docsSchemaOf(name, schemas[name]))
	}
	for _, code := range reason.All {
		d.Reasons = append(d.Reasons, docsReason{code, code.Kind(), reason.Label(code, reason.ZH, false), reason.Label(code, reason.EN, false)})
	}
	var page bytes.Buffer
	if err := docsTemplate.Execute(&page, d); err != nil {
		panic(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		w.Write(page.Bytes())
	})
}

func docsOperationOf(op *huma.Operation) docsOperation {
	out := docsOperation{ID: op.OperationID, Method: op.Method, Path: op.Path, Summary: op.Summary, Description: op.Description, Who: "anybody"}
	if roles := rolesOf(op); len(roles) > 0 {
		out.Who = strings.Join(roles, ", ")
	}
	for _, p := range op.Parameters {
		f := docsFieldOf(p.Name, p.Schema)
		f.In, f.Required = p.In, p.Required
		if p.Description != "" {
			f.Doc = p.Description
		}
		out.Parameters = append(out.Parameters, f)
	}
	if op.RequestBody != nil {
		out.Takes = docsContents("", "", op.RequestBody.Content)
	}
	for _, status := range slices.Sorted(maps.Keys(op.Responses)) {
		r := op.Responses[status]
		contents := docsContents(status, r.Description, r.Content)
		if len(contents) == 0 {
			contents = []docsContent{{Status: status, Description: r.Description}}
		}
		out.Gives = append(out.Gives, contents...)
	}
	return out
}

func docsContents(status, description string, content map[string]*huma.MediaType) []docsContent {
	var list []docsContent
	for _, media := range slices.Sorted(maps.Keys(content)) {
		f := docsFieldOf("", content[media].Schema)
		list = append(list, docsContent{status, description, media, f.Type, f.Ref})
	}
	return list
}

func docsSchemaOf(name string, s *huma.Schema) docsSchema {
	out := docsSchema{Name: name, Description: s.Description}
	for _, field := range slices.Sorted(maps.Keys(s.Properties)) {
		f := docsFieldOf(field, s.Properties[field])
		f.Required = slices.Contains(s.Required, field)
		out.Fields = append(out.Fields, f)
	}
	slices.SortStableFunc(out.Fields, func(x, y docsField) int {
		switch {
		case x.Required == y.Required:
			return 0
		case x.Required:
			return -1
		}
		return 1
	})
	return out
}

// docsFieldOf says a schema in a few words; Ref names the schema that it refers to.
func docsFieldOf(name string, s *huma.Schema) docsField {
	f := docsField{Name: name, Doc: s.Description, Type: s.Type}
	switch {
	case s.Ref != "":
		f.Ref = s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	case s.Type == huma.TypeArray && s.Items != nil:
		item := docsFieldOf("", s.Items)
		f.Type, f.Ref = strings.TrimSpace("array of "+item.Type), item.Ref
	case (name == "reason" || name == "first") && s.MaxLength == nil:
		f.Type = "a reason, see above"
	case len(s.Enum) > 0:
		var values []string
		for _, v := range s.Enum {
			values = append(values, fmt.Sprint(v))
		}
		f.Type = strings.Join(values, " | ")
	case s.Format != "":
		f.Type += ", " + s.Format
	case s.Type == "":
		f.Type = "any"
	}
	if len(s.Examples) > 0 {
		if text, ok := s.Examples[0].(string); ok {
			f.Example = text
		}
	}
	return f
}
