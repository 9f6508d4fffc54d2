// fasthttp, the paths told apart by hand as its manual does: fasthttp PORT
package main

import (
	"io"
	"strconv"
	"strings"

	"github.com/valyala/fasthttp"

	"races/peers/work"
)

// More than an upload has.
const bodyBytesMax = 64 << 20

func main() {
	work.Load()
	files := (&fasthttp.FS{Root: work.Folder()}).NewRequestHandler()
	server := &fasthttp.Server{
		Handler: func(ctx *fasthttp.RequestCtx) {
			path := string(ctx.Path())
			switch {
			case path == "/":
				send(ctx, "text/plain", []byte(work.Hello))
			case path == "/json":
				send(ctx, "application/json", work.List())
			case strings.HasPrefix(path, "/users/"):
				query := ctx.QueryArgs()
				page, sort := string(query.Peek("page")), string(query.Peek("sort"))
				send(ctx, "application/json", work.User(path[len("/users/"):], page, sort))
			case path == "/echo":
				echo(ctx)
			case path == "/upload":
				count(ctx)
			default:
				files(ctx)
			}
		},
		StreamRequestBody:  true,
		MaxRequestBodySize: bodyBytesMax,
	}
	work.Check(server.Serve(work.Listen()))
}

func send(ctx *fasthttp.RequestCtx, kind string, body []byte) {
	ctx.SetContentType(kind)
	ctx.SetBody(body)
}

func echo(ctx *fasthttp.RequestCtx) {
	send(ctx, "text/plain", ctx.PostBody())
}

func count(ctx *fasthttp.RequestCtx) {
	bytes, err := io.Copy(io.Discard, ctx.RequestBodyStream())
	if err != nil {
		ctx.Error(err.Error(), fasthttp.StatusBadRequest)
		return
	}
	send(ctx, "text/plain", strconv.AppendInt(nil, bytes, 10))
}
