package trial

import (
	_ "embed"
	"html/template"
	"io"

	"github.com/tanpu/tanpu/flows/restate"
)

//go:embed page.html
var pageText string

//go:embed tokens.css
var tokens string

//go:embed page.css
var style string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"style": func() template.CSS { return template.CSS(tokens + style) },
}).Parse(pageText))

// Page writes a report as one HTML page that needs nothing else: no script, no other file, no network.
func Page(out io.Writer, r *restate.Report, lang string) error {
	return page.Execute(out, newView(r, lang))
}
